use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime};

/// A whole answer, before it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Headers beside `content-length`, `date` and `connection`, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// How long a formatted `date` is used. It has whole seconds, so it is wrong by one second and this at most.
const DATE_TIME: Duration = Duration::from_millis(500);

/// The `date` of answers (RFC 9110, section 6.6.1), formatted at most twice a second.
#[derive(Debug)]
pub(crate) struct Clock {
    text: String,
    until: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { text: String::new(), until: Instant::now() }
    }

    pub(crate) fn date(&mut self, now: Instant) -> &str {
        if now >= self.until {
            // Formatting a time before 1970 panics.
            self.text = httpdate::fmt_http_date(SystemTime::now().max(SystemTime::UNIX_EPOCH));
            self.until = now + DATE_TIME;
        }
        &self.text
    }
}

/// Appends an answer in its wire form.
pub(crate) fn write(out: &mut Vec<u8>, answer: &Answer, date: &str, close: bool) {
    start(out, answer.status);
    for (name, value) in &answer.headers {
        put(out, &[name, ": ", value, "\r\n"]);
    }
    finish(out, date, close, &answer.body);
}

/// Appends the answer to a request that the engine took: events are stored, or a publication stored none of its own.
pub(crate) fn write_acknowledgement(
    out: &mut Vec<u8>,
    (status, body): (u16, &[u8]),
    durability: Option<&str>,
    date: &str,
    close: bool,
) {
    start(out, status);
    put(out, &["content-type: application/json\r\n"]);
    if let Some(durability) = durability {
        put(out, &["forebay-durability: ", durability, "\r\n"]);
    }
    finish(out, date, close, body);
}

fn start(out: &mut Vec<u8>, status: u16) {
    // Writing into memory cannot fail.
    let _infallible = write!(out, "HTTP/1.1 {status} {}\r\n", reason(status));
}

fn finish(out: &mut Vec<u8>, date: &str, close: bool, body: &[u8]) {
    if close {
        put(out, &["connection: close\r\n"]);
    }
    // Writing into memory cannot fail.
    let _infallible = write!(out, "server: forebay\r\ncontent-length: {}\r\ndate: {date}\r\n\r\n", body.len());
    out.extend_from_slice(body);
}

fn put(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The reason phrase (RFC 9110, section 15).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_rfc_9112_says() {
        let mut out = Vec::new();
        let headers = vec![("retry-after", "1".to_owned())];
        write(&mut out, &Answer { status: 429, headers, body: b"{}".to_vec() }, "now", true);
        let expected = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\nconnection: close\r\nserver: forebay\r\ncontent-length: 2\r\ndate: now\r\n\r\n{}";
        assert_eq!(String::from_utf8_lossy(&out), expected);
        out.clear();
        write_acknowledgement(&mut out, (202, b"ok"), Some("fsync"), "now", false);
        let expected = "HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\nforebay-durability: fsync\r\nserver: forebay\r\ncontent-length: 2\r\ndate: now\r\n\r\nok";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
