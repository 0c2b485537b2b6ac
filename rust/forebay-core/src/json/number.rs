use super::error::{JsonError, JsonFault};

/// Returns the index after the number that begins at `start`: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`.
///
/// The caller checks what may follow a number. Any length and any exponent passes: the number is kept as
/// sent, and only its reader decides on a range.
pub(super) fn end_of_number(bytes: &[u8], start: usize) -> Result<usize, JsonError> {
    let at = |index: usize| bytes.get(index).copied();
    let mut end = start + usize::from(at(start) == Some(b'-'));
    end = if at(end) == Some(b'0') { end + 1 } else { digits(bytes, end)? };
    if at(end) == Some(b'.') {
        end = digits(bytes, end + 1)?;
    }
    if let Some(b'e' | b'E') = at(end) {
        let signed = matches!(at(end + 1), Some(b'+' | b'-'));
        end = digits(bytes, end + 1 + usize::from(signed))?;
    }
    // "01" would otherwise be reported as a missing comma.
    if at(end).is_some_and(|byte| byte.is_ascii_digit()) {
        return Err(JsonError::new(JsonFault::Number, end));
    }
    Ok(end)
}

/// Returns the index after one or more digits.
#[inline]
fn digits(bytes: &[u8], start: usize) -> Result<usize, JsonError> {
    let mut end = start;
    while bytes.get(end).is_some_and(u8::is_ascii_digit) {
        end += 1;
    }
    if end > start {
        return Ok(end);
    }
    let fault = if end < bytes.len() { JsonFault::Number } else { JsonFault::Truncated };
    Err(JsonError::new(fault, end))
}
