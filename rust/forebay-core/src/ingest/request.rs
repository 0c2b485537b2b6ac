//! An ingest request, before and after its admission.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::inflate::Encoding;
use super::parsed::{OnInvalid, Parsed};
use super::route::IngestRoute;
use crate::admission::{AllowedKeys, Permit, RateLimiter};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Timestamp;
use crate::log::commit::Reply;
use crate::log::dedup::Key;
use crate::record::Event;
use crate::stream::Stream;
use crate::telemetry::Api;

/// A request body, wherever it lives.
pub type Body = Box<dyn AsRef<[u8]> + Send>;

/// An ingest request.
pub struct Request {
    /// The route that it is of: what the body is, and where its events go.
    pub route: &'static IngestRoute,
    /// The body.
    pub body: Body,
    /// How it is encoded.
    pub encoding: Encoding,
    /// The policy for the other events when some are invalid.
    pub on_invalid: OnInvalid,
    /// Makes a repeat of the request harmless.
    pub key: Option<Key>,
    /// The only record keys that the sender may write; `None` for any.
    pub allowed: Option<AllowedKeys>,
    /// Where the events go, when the route does not say it.
    pub stream: Option<String>,
    /// Whom its events are charged to; `None` for nobody.
    pub limiter: Option<Arc<RateLimiter>>,
    /// The due time and size of a load test's request; `None` for everybody else's.
    pub intended: Option<Intended>,
}

/// A load test's request as it was meant, known before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intended {
    /// When it was to be sent: its latency counts from there, and not from its admission.
    pub due: Instant,
    /// How many events it has.
    pub events: u64,
}

impl Request {
    /// A plain request: not encoded, whole or nothing, without a key, charged to nobody.
    #[must_use]
    pub fn new(route: &'static IngestRoute, body: Body) -> Self {
        Self {
            route,
            body,
            encoding: Encoding::Identity,
            on_invalid: OnInvalid::Refuse,
            key: None,
            allowed: None,
            stream: None,
            limiter: None,
            intended: None,
        }
    }

    /// The way it came in by.
    #[must_use]
    pub fn api(&self) -> Api {
        if self.intended.is_some() { Api::LoadTest } else { self.route.api }
    }

    /// The body as sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        (*self.body).as_ref()
    }

    /// True when it is parsed where it comes in: at most `limit` bytes, and sure not to wait for anything.
    #[must_use]
    pub fn is_inline(&self, limit: usize) -> bool {
        self.bytes().len() <= limit && self.encoding == Encoding::Identity && self.on_invalid == OnInvalid::Refuse
    }

    /// The idempotency key for the stream that the events go to. A stream that is made later under the name of another
    /// one shares no keys with it.
    pub(super) fn key_for(&self, stream: &Stream) -> Option<Key> {
        match self.route.stream {
            Some(_) => self.key,
            None => self.key.map(|key| key.for_stream(stream.id())),
        }
    }

    pub(crate) fn check_keys(&self, parsed: &Parsed<'_>) -> Result<()> {
        let Some(allowed) = &self.allowed else { return Ok(()) };
        let forbidden = |event: &Event<'_>| !event.key.as_ref().is_some_and(|key| allowed.contains(key.as_ref()));
        match parsed.events.iter().position(forbidden) {
            Some(index) => {
                let index = parsed.index_in_body(index);
                let detail = format!("events[{index}]: the token may not write this project");
                Err(Error::new(ErrorKind::Forbidden, detail))
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("route", &self.route.name)
            .field("bytes", &self.bytes().len())
            .finish_non_exhaustive()
    }
}

/// A request that was admitted.
#[derive(Debug)]
pub(crate) struct Job {
    /// The request.
    pub request: Request,
    /// Where its records go.
    pub stream: Arc<Stream>,
    /// Covers the body, and later the records.
    pub permit: Permit,
    /// Takes the outcome.
    pub reply: Reply,
    /// When it was admitted.
    pub arrival: Timestamp,
    /// Monotonic time of admission; for load-test requests, the time the request was scheduled.
    pub admitted: Instant,
}
