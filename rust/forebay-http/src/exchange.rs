use std::collections::VecDeque;

/// The longest head that is followed. The server behind takes or refuses a longer one all the same.
const MAX_TUNNEL_HEAD_BYTES: usize = 64 * 1024;
/// The query parameter by which a poll commits the events of its answer for its group.
const AUTO_COMMIT: &str = "autoCommit=true";
/// The most header fields that are parsed: more than the server behind takes.
const MAX_TUNNEL_HEADERS: usize = 128;
/// The most unanswered requests of one tunnel that are followed. A client that pipelines more is served all the same,
/// but its half-close is then taken for its end.
const MAX_UNANSWERED: usize = 64;
/// The opcode of a WebSocket's close frame (RFC 6455, 5.5.1).
const CLOSE_OPCODE: u8 = 8;
/// The longest line before a chunk: its size and its extensions.
const MAX_CHUNK_LINE_BYTES: usize = 4 * 1024;

/// The place of the next byte in the messages of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In a head, or before one.
    Head,
    /// In a body, with this many bytes left.
    Body(u64),
    /// In the line before a chunk.
    ChunkSize,
    /// In a chunk, with this many bytes left, its line end included.
    Chunk(u64),
    /// In the lines behind the last chunk.
    Trailers,
    /// In the head of a WebSocket's frame, or before one.
    Frame,
    /// In a frame, with this many bytes left.
    Payload(u64),
    /// In bytes that are no HTTP/1 message, or in a message that only the end of the connection ends.
    Opaque,
}

/// The messages of one direction.
#[derive(Clone, Debug)]
struct Messages {
    at: At,
    /// The bytes of an unfinished head or line.
    part: Vec<u8>,
}

/// The next event in the bytes of one direction.
enum Piece {
    /// A whole head; the bytes behind it are still to be read.
    Head(Vec<u8>),
    /// The end of a message.
    End,
    /// The bytes are used up.
    Nothing,
}

impl Messages {
    const fn new() -> Self {
        Self { at: At::Head, part: Vec::new() }
    }

    fn is_between(&self) -> bool {
        matches!(self.at, At::Head | At::Frame) && self.part.is_empty()
    }

    /// Reads on to the next head or end. After a head, the caller sets `at` to the kind of body that follows.
    fn next(&mut self, bytes: &mut &[u8]) -> Piece {
        while !bytes.is_empty() {
            match self.at {
                At::Opaque => *bytes = &[],
                At::Head => match self.until(bytes, b"\r\n\r\n", MAX_TUNNEL_HEAD_BYTES) {
                    Some(head) => return Piece::Head(head),
                    None => continue,
                },
                At::Body(left) => {
                    let left = skip(bytes, left);
                    self.at = if left == 0 { At::Head } else { At::Body(left) };
                    if left == 0 {
                        return Piece::End;
                    }
                }
                At::Chunk(left) => {
                    let left = skip(bytes, left);
                    self.at = if left == 0 { At::ChunkSize } else { At::Chunk(left) };
                }
                At::Frame => {
                    let Some(length) = self.frame_head(bytes) else { continue };
                    self.at = if length == 0 { At::Frame } else { At::Payload(length) };
                }
                At::Payload(left) => {
                    let left = skip(bytes, left);
                    self.at = if left == 0 { At::Frame } else { At::Payload(left) };
                }
                At::ChunkSize => {
                    let Some(line) = self.until(bytes, b"\r\n", MAX_CHUNK_LINE_BYTES) else { continue };
                    self.at = match chunk_size(&line) {
                        Some(0) => At::Trailers,
                        Some(size) => At::Chunk(size.saturating_add(2)),
                        None => At::Opaque,
                    };
                }
                At::Trailers => {
                    let Some(line) = self.until(bytes, b"\r\n", MAX_CHUNK_LINE_BYTES) else { continue };
                    if line.len() == 2 {
                        self.at = At::Head;
                        return Piece::End;
                    }
                }
            }
        }
        Piece::Nothing
    }

    /// Reads on in a frame's head, and returns the length of its payload once the head is whole.
    fn frame_head(&mut self, bytes: &mut &[u8]) -> Option<u64> {
        while let Some((byte, rest)) = bytes.split_first() {
            self.part.push(*byte);
            *bytes = rest;
            if let Some(length) = payload_length(&self.part) {
                self.part = Vec::new();
                return Some(length);
            }
        }
        None
    }

    /// Collects bytes up to and including `end`, and returns them once it is there. More than `limit` bytes without it
    /// make the direction opaque.
    fn until(&mut self, bytes: &mut &[u8], end: &[u8], limit: usize) -> Option<Vec<u8>> {
        // The end may have begun in the bytes that came before.
        let from = self.part.len().saturating_sub(end.len() - 1);
        let before = self.part.len();
        let room = limit.saturating_sub(before).min(bytes.len());
        self.part.extend_from_slice(bytes.get(..room).unwrap_or_default());
        let found = self.part.get(from..).and_then(|part| part.windows(end.len()).position(|window| window == end));
        let Some(found) = found else {
            if before + bytes.len() > limit {
                self.at = At::Opaque;
                self.part = Vec::new();
            }
            *bytes = &[];
            return None;
        };
        let whole = from + found + end.len();
        self.part.truncate(whole);
        *bytes = bytes.get(whole - before..).unwrap_or_default();
        Some(std::mem::take(&mut self.part))
    }
}

/// The length of a frame's payload, once its head is whole (RFC 6455, 5.2).
fn payload_length(head: &[u8]) -> Option<u64> {
    let second = *head.get(1)?;
    let short = second & 0x7f;
    let extended = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let length = head.get(2..2 + extended)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    if head.len() < 2 + extended + mask {
        return None;
    }
    Some(match extended {
        0 => short.into(),
        _ => length.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
    })
}

fn skip(bytes: &mut &[u8], left: u64) -> u64 {
    let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    *bytes = bytes.get(count..).unwrap_or_default();
    left - count as u64
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let size = line.split(|byte| matches!(byte, b';' | b'\r' | b' ' | b'\t')).next()?;
    u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()
}

/// The place behind a head; `without` when the headers announce no body.
fn body(headers: &[httparse::Header<'_>], without: At) -> At {
    let named = |name: &str| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    if let Some(coding) = named("transfer-encoding") {
        let chunked = coding.value.trim_ascii().eq_ignore_ascii_case(b"chunked");
        return if chunked { At::ChunkSize } else { At::Opaque };
    }
    let Some(length) = named("content-length") else { return without };
    std::str::from_utf8(length.value).ok().and_then(|text| text.trim().parse::<u64>().ok()).map_or(
        At::Opaque,
        |length| {
            if length == 0 { At::Head } else { At::Body(length) }
        },
    )
}

/// The facts about a request that its answer depends on.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    /// The request is a HEAD: its answer has no body, whatever the headers say.
    is_head: bool,
    /// The answer commits the events in it, so it must not go to a client that is gone. A client that is gone cannot be
    /// told from one that has only closed its sending side.
    commits: bool,
}

/// Follows the requests and the answers that a tunnel passes on, without judging them. It knows which requests have no
/// answer yet, and whether either side is in the middle of a message.
#[derive(Debug)]
pub(crate) struct Exchange {
    requests: Messages,
    answers: Messages,
    /// The requests without a whole answer, oldest first.
    unanswered: VecDeque<Asked>,
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Self { requests: Messages::new(), answers: Messages::new(), unanswered: VecDeque::new() }
    }

    /// Takes bytes of the client.
    pub(crate) fn asked(&mut self, mut bytes: &[u8]) {
        loop {
            match self.requests.next(&mut bytes) {
                Piece::Nothing => return,
                Piece::End => {}
                Piece::Head(head) => self.request(&head),
            }
        }
    }

    fn request(&mut self, head: &[u8]) {
        let mut headers = [httparse::EMPTY_HEADER; MAX_TUNNEL_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(head).is_ok_and(|status| status.is_complete());
        if !parsed || self.unanswered.len() >= MAX_UNANSWERED {
            self.requests.at = At::Opaque;
            return;
        }
        let commits = request.path.is_some_and(|path| path.contains(AUTO_COMMIT));
        self.unanswered.push_back(Asked { is_head: request.method == Some("HEAD"), commits });
        self.requests.at = body(request.headers, At::Head);
    }

    /// Takes bytes of the server behind.
    pub(crate) fn answered(&mut self, mut bytes: &[u8]) {
        loop {
            match self.answers.next(&mut bytes) {
                Piece::Nothing => return,
                Piece::End => drop(self.unanswered.pop_front()),
                Piece::Head(head) => self.answer(&head),
            }
        }
    }

    fn answer(&mut self, head: &[u8]) {
        let mut headers = [httparse::EMPTY_HEADER; MAX_TUNNEL_HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        let status = answer.parse(head).ok().and(answer.code);
        let of_head = self.unanswered.front().is_some_and(|asked| asked.is_head);
        self.answers.at = match status {
            None => At::Opaque,
            Some(101) => {
                self.requests.at = At::Opaque;
                At::Frame
            }
            // The answer itself is still to come.
            Some(100..200) => return,
            Some(204 | 304) => At::Head,
            Some(_) if of_head => At::Head,
            Some(_) => body(answer.headers, At::Opaque),
        };
        if self.answers.at == At::Head {
            self.unanswered.pop_front();
        }
    }

    /// Returns whether a client that sends no more may still be waiting for an answer.
    pub(crate) fn awaits(&self) -> bool {
        self.requests.is_between() && !self.unanswered.is_empty() && !self.unanswered.iter().any(|asked| asked.commits)
    }

    /// Returns whether every request is answered and no further one has begun.
    pub(crate) fn is_idle(&self) -> bool {
        self.requests.is_between() && self.answers.is_between() && self.unanswered.is_empty()
    }

    /// Returns whether the bytes of the server behind end with a whole message, so that others may be put behind it.
    pub(crate) fn is_between_answers(&self) -> bool {
        self.answers.is_between()
    }

    /// Returns where a WebSocket's close frame begins in the next bytes of the server behind.
    pub(crate) fn close_frame_in(&self, bytes: &[u8]) -> Option<usize> {
        let mut answers = self.answers.clone();
        bytes.chunks(1).position(|byte| {
            let begins = answers.at == At::Frame && answers.part.is_empty();
            if begins && byte.first().is_some_and(|first| first & 0x0f == CLOSE_OPCODE) {
                return true;
            }
            while !matches!(answers.next(&mut &*byte), Piece::Nothing) {}
            false
        })
    }

    /// Returns whether the oldest missing answer has begun.
    pub(crate) fn has_begun_to_answer(&self) -> bool {
        !self.answers.is_between()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345";

    /// Returns `awaits` and `is_idle` after these bytes, which come in pieces of every size.
    fn after(asked: &[u8], answered: &[u8]) -> (bool, bool) {
        let mut states = (1..=asked.len().max(answered.len()).min(40)).map(|size| {
            let mut exchange = Exchange::new();
            for piece in asked.chunks(size) {
                exchange.asked(piece);
            }
            for piece in answered.chunks(size) {
                exchange.answered(piece);
            }
            (exchange.awaits(), exchange.is_idle())
        });
        let first = states.next().unwrap_or_default();
        assert!(states.all(|state| state == first), "the pieces make no difference");
        first
    }

    const WAITS: (bool, bool) = (true, false);
    const IDLE: (bool, bool) = (false, true);
    const NEITHER: (bool, bool) = (false, false);

    #[test]
    fn a_whole_request_is_awaited_until_its_answer_is_whole() {
        let chunked = b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\n{}\n\r\n0\r\nT: v\r\n\r\n";
        let sized = b"POST /x HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}";
        for request in [GET, &chunked[..], &sized[..]] {
            assert_eq!(after(request, b""), WAITS);
            assert_eq!(after(request, &OK[..OK.len() - 1]), WAITS);
            assert_eq!(after(request, OK), IDLE);
            assert_eq!(after(&request[..request.len() - 1], b""), NEITHER);
            assert_eq!(after(&[request, request].concat(), OK), WAITS, "two, of which one is answered");
            assert_eq!(after(&[request, request].concat(), &[OK, OK].concat()), IDLE);
        }
    }

    #[test]
    fn a_poll_that_commits_what_it_gives_is_not_kept_for_whoever_may_be_gone() {
        let poll = b"GET /api/v1/streams/s/events?consumerGroup=g&autoCommit=true HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(after(poll, b""), NEITHER);
        assert_eq!(after(poll, OK), IDLE);
    }

    #[test]
    fn answers_without_a_body_of_their_own_are_whole_with_their_head() {
        let head = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(after(head, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), IDLE);
        assert_eq!(after(GET, b"HTTP/1.1 304 Not Modified\r\n\r\n"), IDLE);
        assert_eq!(after(GET, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), IDLE);
        assert_eq!(after(GET, b"HTTP/1.1 100 Continue\r\n\r\n"), WAITS);
        assert_eq!(after(GET, &[b"HTTP/1.1 100 Continue\r\n\r\n", OK].concat()), IDLE);
        assert_eq!(after(GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"), WAITS);
    }

    #[test]
    fn the_frames_of_a_websocket_are_told_apart() {
        let sizes = [0, 1, 125, 126, 65_535, 65_536];
        let frames = sizes.map(|size: usize| {
            let mut frame = vec![0x81];
            match size {
                0..126 => frame.push(size as u8),
                126..65_536 => frame.extend([&[126][..], &(size as u16).to_be_bytes()].concat()),
                _ => frame.extend([&[127][..], &(size as u64).to_be_bytes()].concat()),
            }
            [frame, vec![b'x'; size]].concat()
        });
        let mut exchange = Exchange::new();
        exchange.asked(GET);
        exchange.answered(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
        for frame in frames {
            assert!(exchange.is_between_answers());
            let (first, last) = frame.split_at(frame.len() - 1);
            for piece in first.chunks(7) {
                exchange.answered(piece);
                assert!(!exchange.is_between_answers());
            }
            exchange.answered(last);
        }
        assert!(exchange.is_between_answers());
        assert_eq!(exchange.close_frame_in(b"\x81\x02\x88\x88\x88\x00"), Some(4));
        assert_eq!(exchange.close_frame_in(b"\x81\x02\x88\x88\x89\x00\x81"), None);
    }

    #[test]
    fn what_has_no_end_is_not_awaited_and_never_idle() {
        assert_eq!(after(b"\x16\x03\x01garbage without an end of a head", b""), NEITHER);
        assert_eq!(after(b"not HTTP\r\n\r\n", b""), NEITHER);
        assert_eq!(after(GET, b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x00"), NEITHER);
        assert_eq!(after(GET, b"HTTP/1.0 200 OK\r\n\r\nuntil the end"), WAITS);
        assert_eq!(after(&GET.repeat(MAX_UNANSWERED + 1), b""), NEITHER);
        let long = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &vec![b'x'; MAX_TUNNEL_HEAD_BYTES], b"\r\n\r\n"].concat();
        let mut exchange = Exchange::new();
        exchange.asked(&long);
        assert!(!exchange.awaits() && exchange.requests.part.is_empty());
    }
}
