use super::string::find_special;

/// Appends `json`, one or more valid JSON values, to `out` without the white space outside of strings.
///
/// Text that is not JSON is copied just as blindly: nothing here can fail.
pub fn minify(json: &[u8], out: &mut Vec<u8>) {
    out.reserve(json.len());
    // Everything up to `copied` is dealt with; from there to `at` nothing is left out.
    let (mut copied, mut at) = (0, 0);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = end_of_string(json, at + 1),
            b' ' | b'\n' | b'\r' | b'\t' => {
                out.extend_from_slice(json.get(copied..at).unwrap_or_default());
                at += 1;
                copied = at;
            }
            _ => at += 1,
        }
    }
    out.extend_from_slice(json.get(copied..).unwrap_or_default());
}

fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start;
    loop {
        at = find_special(json, at);
        match json.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return json.len(),
        }
    }
}
