use std::sync::Arc;

use forebay_core::{Encoding, IngestRoute, Key, OnInvalid};

use crate::limits::{MAX_HEAD_BYTES, MAX_HEADERS};
use crate::principals::{Principal, Principals};

/// The method of the routes that are read here; those of other methods are the server's behind.
const METHOD: &str = "POST";

/// The front's view of a request's first bytes.
#[derive(Debug)]
pub(crate) enum Head {
    /// The head is not whole.
    Partial,
    /// The front does not serve it: the server behind reads it, and says what is wrong with it if something is.
    Unusual,
    /// An ingest request.
    Ingest(Box<Ingest>),
}

/// An ingest request as its head describes it.
#[derive(Debug)]
pub(crate) struct Ingest {
    pub(crate) path: String,
    pub(crate) route: &'static IngestRoute,
    pub(crate) stream: Option<String>,
    pub(crate) principal: Arc<Principal>,
    pub(crate) encoding: Encoding,
    pub(crate) on_invalid: OnInvalid,
    pub(crate) key: Option<Key>,
    /// Where the body begins.
    pub(crate) body_at: usize,
    /// The body's length.
    pub(crate) length: usize,
    /// The connection closes after the answer.
    pub(crate) close: bool,
}

/// The headers that decide how a body is read, each present at most once.
#[derive(Default)]
struct HeadFields<'h> {
    length: Option<&'h [u8]>,
    authorization: Option<&'h [u8]>,
    encoding: Option<&'h [u8]>,
    key: Option<&'h [u8]>,
    on_invalid: Option<&'h [u8]>,
    connection: Option<&'h [u8]>,
    host: Option<&'h [u8]>,
}

impl<'h> HeadFields<'h> {
    /// `None` when a header makes the request unusual.
    fn of(headers: &[httparse::Header<'h>]) -> Option<Self> {
        let mut fields = Self::default();
        for header in headers {
            let name = header.name;
            let slot = match name.len() {
                4 if name.eq_ignore_ascii_case("host") => &mut fields.host,
                6 if name.eq_ignore_ascii_case("expect") => return None,
                10 if name.eq_ignore_ascii_case("connection") => &mut fields.connection,
                13 if name.eq_ignore_ascii_case("authorization") => &mut fields.authorization,
                14 if name.eq_ignore_ascii_case("content-length") => &mut fields.length,
                15 if name.eq_ignore_ascii_case("idempotency-key") => &mut fields.key,
                16 if name.eq_ignore_ascii_case("content-encoding") => &mut fields.encoding,
                17 if name.eq_ignore_ascii_case("transfer-encoding") => return None,
                18 if name.eq_ignore_ascii_case("forebay-on-invalid") => &mut fields.on_invalid,
                7 if name.eq_ignore_ascii_case("upgrade") => return None,
                _ => continue,
            };
            if slot.replace(header.value).is_some() {
                return None;
            }
        }
        Some(fields)
    }

    fn body_length(&self) -> Option<usize> {
        let text = self.length?;
        if text.is_empty() || text.len() > 19 || !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(text).ok()?.parse().ok()
    }

    fn close(&self) -> Option<bool> {
        match self.connection {
            None => Some(false),
            Some(value) if value.eq_ignore_ascii_case(b"keep-alive") => Some(false),
            Some(value) if value.eq_ignore_ascii_case(b"close") => Some(true),
            Some(_) => None,
        }
    }

    fn encoding(&self) -> Option<Encoding> {
        match self.encoding {
            None => Some(Encoding::Identity),
            Some(name) => Encoding::named(&std::str::from_utf8(name.trim_ascii()).ok()?.to_ascii_lowercase()),
        }
    }

    fn on_invalid(&self) -> Option<OnInvalid> {
        match self.on_invalid {
            None | Some(b"refuse") => Some(OnInvalid::Refuse),
            Some(b"quarantine") => Some(OnInvalid::Quarantine),
            Some(_) => None,
        }
    }

    /// The idempotency key, if there is one; the outer `None` for a key that is not allowed.
    fn key(&self, scope: &[u8], stream: &str) -> Option<Option<Key>> {
        let Some(key) = self.key else { return Some(None) };
        // A key is printable ASCII; the engine checks its length.
        if !key.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return None;
        }
        Key::new(scope, stream, key).ok().map(Some)
    }
}

impl Head {
    /// Reads as much of a head as there is.
    pub(crate) fn read(input: &[u8], principals: &Principals, max_body_bytes: usize) -> Self {
        let known = input.len().min(METHOD.len());
        if input.get(..known) != METHOD.as_bytes().get(..known) {
            return Self::Unusual;
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(input) {
            Ok(httparse::Status::Complete(body_at)) if body_at <= MAX_HEAD_BYTES => {
                ingest(&request, body_at, principals, max_body_bytes)
                    .map_or(Self::Unusual, |head| Self::Ingest(head.into()))
            }
            Ok(httparse::Status::Partial) if input.len() <= MAX_HEAD_BYTES => Self::Partial,
            Ok(_) | Err(_) => Self::Unusual,
        }
    }
}

/// `None` for a request that is unusual in any way.
fn ingest(request: &httparse::Request<'_, '_>, body_at: usize, principals: &Principals, max: usize) -> Option<Ingest> {
    if request.version != Some(1) {
        return None;
    }
    let path = request.path?;
    let (route, stream) = IngestRoute::find(request.method?, path)?;
    let fields = HeadFields::of(request.headers)?;
    fields.host?;
    let length = fields.body_length().filter(|length| *length <= route.body_limit(max))?;
    let principal = principals.find(fields.authorization)?;
    let on_invalid = fields.on_invalid()?;
    let limited = principal.allowed.is_some() && !route.projects;
    if limited || on_invalid == OnInvalid::Quarantine && !route.quarantine {
        return None;
    }
    Some(Ingest {
        path: path.to_owned(),
        route,
        stream: stream.map(str::to_owned),
        encoding: fields.encoding()?,
        on_invalid,
        key: fields.key(&principal.scope, route.stream.or(stream).unwrap_or_default())?,
        close: fields.close()?,
        principal,
        body_at,
        length,
    })
}

#[cfg(test)]
mod tests {
    use forebay_core::log::dedup::MAX_IDEMPOTENCY_KEY_BYTES;

    use super::*;

    const PLAIN: &str = "POST /v1/drain HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n";

    fn read(text: &str) -> Head {
        let principals = Principals::default();
        principals.let_everybody_in();
        Head::read(text.as_bytes(), &principals, 100)
    }

    fn ingest(text: &str) -> Box<Ingest> {
        match read(text) {
            Head::Ingest(ingest) => ingest,
            other @ (Head::Partial | Head::Unusual) => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_request_is_ours_once_its_head_is_whole() {
        let whole = format!("{PLAIN}\r\n12345");
        for end in 0..whole.len() - 5 {
            assert!(matches!(read(&whole[..end]), Head::Partial), "{end}");
        }
        let ingest = ingest(&whole);
        assert_eq!((ingest.body_at, ingest.length, ingest.close), (whole.len() - 5, 5, false));
        assert_eq!((ingest.encoding, ingest.on_invalid), (Encoding::Identity, OnInvalid::Refuse));
    }

    #[test]
    fn headers_are_read() {
        let more =
            "content-encoding: GZIP\r\nIdempotency-Key: a b\r\nForebay-On-Invalid: quarantine\r\nConnection: close\r\n";
        let ingest = ingest(&format!("{PLAIN}{more}\r\n"));
        assert_eq!((ingest.encoding, ingest.on_invalid, ingest.close), (Encoding::Gzip, OnInvalid::Quarantine, true));
        assert!(ingest.key.is_some());
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_not_ours() {
        for more in [
            "Content-Length: 5\r\n",
            "Expect: 100-continue\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Upgrade: h2c\r\n",
            "Content-Encoding: br\r\n",
            "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n",
            "Idempotency-Key:\r\n",
            "Idempotency-Key: \u{e9}\r\n",
            "Forebay-On-Invalid: maybe\r\n",
            "Connection: upgrade\r\n",
            "Host: i\r\n",
            "a b: c\r\n",
        ] {
            assert!(matches!(read(&format!("{PLAIN}{more}\r\n")), Head::Unusual), "{more}");
        }
        for head in [
            "GET /v1/drain HTTP/1.1\r\nHost: h\r\n\r\n",
            "PO\r\n",
            "POST /v1/drain HTTP/1.0\r\nHost: h\r\nContent-Length: 5\r\n\r\n",
            "POST /v1/drain HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
            "POST /v1/drain HTTP/1.1\r\nHost: h\r\n\r\n",
            "POST /v1/drain HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n",
            "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n",
            "POST /v1/drain HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            assert!(matches!(read(head), Head::Unusual), "{head:?}");
        }
        let key = |length: usize| format!("{PLAIN}Idempotency-Key: {}\r\n\r\n", "k".repeat(length));
        assert!(matches!(read(&key(MAX_IDEMPOTENCY_KEY_BYTES)), Head::Ingest(_)));
        assert!(matches!(read(&key(MAX_IDEMPOTENCY_KEY_BYTES + 1)), Head::Unusual));
        let long = format!("{PLAIN}X: {}\r\n\r\n", "x".repeat(MAX_HEAD_BYTES));
        assert!(matches!(read(&long), Head::Unusual));
        assert!(matches!(read(&long[..long.len() - 4]), Head::Unusual));
        let many = format!("{PLAIN}{}\r\n", "X: y\r\n".repeat(MAX_HEADERS));
        assert!(matches!(read(&many), Head::Unusual));
    }

    #[test]
    fn a_sender_without_a_token_is_not_ours() {
        let text = format!("{PLAIN}\r\n");
        assert!(matches!(Head::read(text.as_bytes(), &Principals::default(), 100), Head::Unusual));
    }
}
