//! Events as comma-separated values (RFC 4180) that a spreadsheet cannot take for formulas.

use super::event::LogEvent;
use crate::json;

/// The line before all events: the names of the columns.
pub const CSV_HEAD: &str = "timestamp,level,service,project_id,message,request_id,user_id,event_id,metadata\r\n";

/// Appends one event as a line. A field that is not there is empty, and an empty text is `""`.
pub(super) fn write_line(time: &str, event_id: &str, event: &LogEvent<'_>, out: &mut Vec<u8>) {
    let metadata = event.metadata.as_deref().map(one_line);
    let fields = [
        Some(time),
        event.level.as_deref(),
        event.service.as_deref(),
        event.project_id.as_deref(),
        event.message.as_deref(),
        event.request_id.as_deref(),
        event.user_id.as_deref(),
        Some(event_id),
        metadata.as_deref(),
    ];
    for (index, field) in fields.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if let Some(field) = field {
            write_field(field, out);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Line ends in metadata stand between its values; without them an event is on one line unless its texts are on several.
fn one_line(metadata: &str) -> std::borrow::Cow<'_, str> {
    if !metadata.contains(['\n', '\r']) {
        return metadata.into();
    }
    let mut line = Vec::new();
    json::minify(metadata.as_bytes(), &mut line);
    String::from_utf8_lossy(&line).into_owned().into()
}

fn write_field(text: &str, out: &mut Vec<u8>) {
    let is_formula = begins_formula(text);
    if !is_formula && !text.is_empty() && text.bytes().all(is_plain) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    if is_formula {
        out.push(b'\'');
    }
    let mut rest = text.as_bytes();
    while let Some(quote) = memchr::memchr(b'"', rest) {
        let (before, behind) = rest.split_at(quote + 1);
        out.extend_from_slice(before);
        out.push(b'"');
        rest = behind;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Returns whether a spreadsheet would calculate a field, or hide what it begins with and then calculate it. The last four
/// are the wide forms of the first, which spreadsheets of some languages take for them.
fn begins_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
}

/// Returns whether a byte means nothing to any reader of CSV. Some guess what separates fields, so whatever might is quoted.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b' ' | b'-' | b'_' | b'.' | b':' | b'/')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use super::*;

    fn field(text: &str) -> String {
        let mut out = Vec::new();
        write_field(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_means_something_to_a_reader_of_csv_is_quoted() {
        for plain in ["a", "10.42.17.99", "größe /a b_c: 2025-12-04", " a "] {
            assert_eq!(field(plain), plain);
        }
        for quoted in ["a,b", "a;=1", "a\tb", "a\nb", "a\rb", "{}", "", "a=b", "a'b", "a|b"] {
            assert_eq!(field(quoted), format!("\"{quoted}\""));
        }
        assert_eq!(field(r#"say "hi""#), r#""say ""hi""""#);
        assert_eq!(field("\""), r#""""""#);
    }

    #[test]
    fn nothing_begins_a_formula() {
        for begin in ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"] {
            assert_eq!(field(&format!("{begin}1+1")), format!("\"'{begin}1+1\""));
        }
        assert_eq!(field(r#"=HYPERLINK("x")"#), r#""'=HYPERLINK(""x"")""#);
        assert_eq!(field("a=1-1"), "\"a=1-1\"");
    }

    #[test]
    fn a_line_has_a_field_for_each_name_of_the_head() {
        let event = LogEvent {
            message: Some("-5, or \"so\"".into()),
            level: Some("".into()),
            metadata: Some("{\"a\":\r\n 1}".into()),
            ..LogEvent::default()
        };
        let mut out = Vec::new();
        write_line("2025-12-04T12:15:30.000001Z", "evt_1_2_3", &event, &mut out);
        let line = String::from_utf8(out).unwrap();
        let expected = "2025-12-04T12:15:30.000001Z,\"\",,,\"'-5, or \"\"so\"\"\",,,evt_1_2_3,\"{\"\"a\"\":1}\"\r\n";
        assert_eq!(line, expected);
        assert_eq!(CSV_HEAD.matches(',').count(), 8);
    }
}
