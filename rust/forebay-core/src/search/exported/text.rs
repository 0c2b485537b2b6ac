//! Events as lines for people: time, level, service, message.

use super::event::LogEvent;

/// Appends one event as one line.
pub(super) fn write_line(time: &str, event: &LogEvent<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(time.as_bytes());
    for field in [&event.level, &event.service, &event.message] {
        out.push(b' ');
        write_shown(field.as_deref().unwrap_or_default(), out);
    }
    out.push(b'\n');
}

/// Appends a text with an escape for each character that would end the line, or that a terminal would obey or not show.
fn write_shown(text: &str, out: &mut Vec<u8>) {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for letter in text.chars() {
        if is_hidden(letter) {
            out.extend(letter.escape_default().map(|escape| escape as u8));
        } else {
            out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Control characters, the line ends of Unicode, and what turns the direction of a text.
fn is_hidden(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use super::*;

    #[test]
    fn an_event_is_one_line_that_a_terminal_shows_as_it_is() {
        let event = LogEvent {
            level: Some("error".into()),
            service: Some("größe".into()),
            message: Some("a\nb\tc\r\u{1b}[31m\0\u{7f}\u{9b}\u{2028}\u{202e}\\ 'x' \"y\"".into()),
            ..LogEvent::default()
        };
        let mut out = Vec::new();
        write_line("2025-12-04T12:15:30.000001Z", &event, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "2025-12-04T12:15:30.000001Z error größe \
             a\\nb\\tc\\r\\u{1b}[31m\\u{0}\\u{7f}\\u{9b}\\u{2028}\\u{202e}\\ 'x' \"y\"\n"
        );
    }
}
