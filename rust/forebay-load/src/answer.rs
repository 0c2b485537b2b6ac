use memchr::memmem;

/// The longest head that is read; no sane server sends a longer one.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The longest chunk-size line that is read.
const MAX_CHUNK_LINE_BYTES: usize = 256;

/// A complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The server closes the connection after it.
    pub(crate) closes: bool,
}

/// The answer does not follow HTTP/1.1; the connection cannot be used further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Head,
    /// This many more bytes of the body, then the end.
    Body(u64),
    ChunkLine,
    /// This many more bytes of the chunk and its line end.
    Chunk(u64),
    Trailer,
    /// The body ends with the connection.
    Close,
}

/// Reads the answers of one connection from whatever pieces the socket gives (RFC 9112). Bodies are skipped.
#[derive(Debug)]
pub(crate) struct AnswerReader {
    held: Vec<u8>,
    expect: Expect,
    answer: Answer,
}

impl AnswerReader {
    pub(crate) fn new() -> AnswerReader {
        AnswerReader { held: Vec::new(), expect: Expect::Head, answer: Answer { status: 0, closes: false } }
    }

    /// Takes the next bytes. `Some` when they complete an answer. Bytes after it are malformed: one request is in
    /// flight at a time, so nothing more can follow.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<Option<Answer>, Malformed> {
        loop {
            let step = match self.expect {
                Expect::Head => self.head(&mut bytes)?,
                Expect::Body(left) => self.skip(&mut bytes, left, Expect::Body),
                Expect::ChunkLine => self.chunk_line(&mut bytes)?,
                Expect::Chunk(left) => {
                    let whole = self.skip(&mut bytes, left, Expect::Chunk);
                    if whole {
                        self.expect = Expect::ChunkLine;
                    }
                    if whole { false } else { return Ok(None) }
                }
                Expect::Trailer => self.trailer(&mut bytes)?,
                Expect::Close => return Ok(None),
            };
            if step {
                self.expect = Expect::Head;
                return if bytes.is_empty() { Ok(Some(self.answer)) } else { Err(Malformed) };
            }
            if bytes.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Takes the end of the connection, which completes an answer without a length and nothing else.
    pub(crate) fn finish(&mut self) -> Option<Answer> {
        (self.expect == Expect::Close).then_some(self.answer)
    }

    fn skip(&mut self, bytes: &mut &[u8], left: u64, expect: impl Fn(u64) -> Expect) -> bool {
        let taken = left.min(bytes.len() as u64);
        *bytes = bytes.get(taken as usize..).unwrap_or_default();
        self.expect = expect(left - taken);
        left == taken
    }

    /// Moves bytes up to and including `end` into `held`. True when `end` was found.
    fn hold_until(&mut self, bytes: &mut &[u8], end: &[u8], limit: usize) -> Result<bool, Malformed> {
        let before = self.held.len();
        self.held.extend_from_slice(bytes);
        let from = before.saturating_sub(end.len() - 1);
        match memmem::find(self.held.get(from..).unwrap_or_default(), end) {
            Some(at) => {
                let length = from + at + end.len();
                *bytes = bytes.get(length - before..).unwrap_or_default();
                self.held.truncate(length);
                Ok(true)
            }
            None if self.held.len() > limit => Err(Malformed),
            None => {
                *bytes = &[];
                Ok(false)
            }
        }
    }

    fn head(&mut self, bytes: &mut &[u8]) -> Result<bool, Malformed> {
        if !self.hold_until(bytes, b"\r\n\r\n", MAX_HEAD_BYTES)? {
            return Ok(false);
        }
        let (answer, expect) = parse_head(&self.held)?;
        self.held.clear();
        // An interim answer (100, 103) is followed by the real one.
        if (100..200).contains(&answer.status) {
            return Ok(false);
        }
        self.answer = answer;
        self.expect = expect;
        Ok(expect == Expect::Body(0))
    }

    fn chunk_line(&mut self, bytes: &mut &[u8]) -> Result<bool, Malformed> {
        if !self.hold_until(bytes, b"\r\n", MAX_CHUNK_LINE_BYTES)? {
            return Ok(false);
        }
        let line = self.held.split(|b| matches!(b, b';' | b'\r')).next().unwrap_or_default();
        let size =
            std::str::from_utf8(line).ok().and_then(|s| u64::from_str_radix(s.trim(), 16).ok()).ok_or(Malformed)?;
        self.held.clear();
        self.expect = if size == 0 { Expect::Trailer } else { Expect::Chunk(size.checked_add(2).ok_or(Malformed)?) };
        Ok(false)
    }

    fn trailer(&mut self, bytes: &mut &[u8]) -> Result<bool, Malformed> {
        loop {
            if !self.hold_until(bytes, b"\r\n", MAX_HEAD_BYTES)? {
                return Ok(false);
            }
            let last = self.held.len() == 2;
            self.held.clear();
            if last || bytes.is_empty() {
                return Ok(last);
            }
        }
    }
}

fn parse_head(head: &[u8]) -> Result<(Answer, Expect), Malformed> {
    let text = std::str::from_utf8(head).map_err(|_| Malformed)?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let (version, rest) = first.split_once(' ').ok_or(Malformed)?;
    let status: u16 = rest.get(..3).and_then(|s| s.parse().ok()).filter(|s| *s >= 100).ok_or(Malformed)?;
    let mut closes = match version {
        "HTTP/1.1" => false,
        "HTTP/1.0" => true,
        _ => return Err(Malformed),
    };
    let (mut length, mut chunked) = (None, false);
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(Malformed)?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse().map_err(|_| Malformed)?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close") || (closes && !value.eq_ignore_ascii_case("keep-alive"));
        }
    }
    let expect = match (status, chunked, length) {
        (204 | 304, ..) => Expect::Body(0),
        (_, true, _) => Expect::ChunkLine,
        (_, false, Some(length)) => Expect::Body(length),
        (_, false, None) => Expect::Close,
    };
    Ok((Answer { status, closes: closes || expect == Expect::Close }, expect))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outcome must not depend on how the bytes are cut.
    fn read(bytes: &[u8]) -> Result<Option<Answer>, Malformed> {
        let whole = AnswerReader::new().feed(bytes);
        for step in 1..bytes.len() {
            let mut reader = AnswerReader::new();
            let mut last = Ok(None);
            for piece in bytes.chunks(step) {
                last = match last {
                    Ok(None) => reader.feed(piece),
                    Ok(Some(_)) => Err(Malformed),
                    Err(_) => break,
                };
            }
            assert_eq!(last, whole, "cut every {step} bytes");
        }
        whole
    }

    fn answered(status: u16, closes: bool) -> Result<Option<Answer>, Malformed> {
        Ok(Some(Answer { status, closes }))
    }

    #[test]
    fn framings() {
        assert_eq!(read(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}"), answered(202, false));
        assert_eq!(read(b"HTTP/1.1 204 No Content\r\n\r\n"), answered(204, false));
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), answered(200, false));
        assert_eq!(read(b"HTTP/1.1 429 X\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"), answered(429, true));
        assert_eq!(read(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"), answered(200, true));
        assert_eq!(
            read(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx"),
            answered(200, false)
        );
        assert_eq!(
            read(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 X\r\nContent-Length: 1\r\n\r\nx"),
            answered(503, false)
        );
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n";
        assert_eq!(read(chunked), answered(200, false));
    }

    #[test]
    fn an_unfinished_answer_is_none() {
        assert_eq!(read(b"HTTP/1.1 202 Accepted\r\ncontent-length: 3\r\n\r\n{}"), Ok(None));
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"), Ok(None));
    }

    #[test]
    fn without_a_length_the_close_ends_it() {
        let mut reader = AnswerReader::new();
        assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\n\r\nanything"), Ok(None));
        assert_eq!(reader.finish(), Some(Answer { status: 200, closes: true }));
        assert_eq!(AnswerReader::new().finish(), None);
    }

    #[test]
    fn malformed_answers() {
        for bytes in [
            &b"SSH-2.0-x\r\n\r\n"[..],
            b"HTTP/1.1 20\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            assert_eq!(AnswerReader::new().feed(bytes), Err(Malformed));
        }
        assert_eq!(AnswerReader::new().feed(&vec![b'a'; MAX_HEAD_BYTES + 1]), Err(Malformed));
    }

    #[test]
    fn a_reader_is_used_again() {
        let mut reader = AnswerReader::new();
        for status in [202, 429] {
            let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 1\r\n\r\nx");
            assert_eq!(reader.feed(text.as_bytes()), answered(status, false));
        }
    }
}
