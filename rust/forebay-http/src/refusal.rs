//! The one form of a refusal: the engine's one error table in the envelopes of the API families, for both ways of a
//! request.

use forebay_core::{Error, ErrorKind};
use serde::Serialize;

use crate::answer::Answer;

/// Routes that share an error envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The drain, and whatever belongs to no other family.
    Drain,
    /// Analytics.
    Analytics,
    /// The events API.
    Events,
    /// Streams, consumers and processors.
    Streams,
    /// The platform API.
    Platform,
}

/// The longest prefix first.
const PREFIXES: [(&str, Family); 4] = [
    ("/api/v1/platform", Family::Platform),
    ("/v1/analytics", Family::Analytics),
    ("/api/v1", Family::Streams),
    ("/api", Family::Events),
];

/// A saturated ring drains in well under a second; a full disk is tried again every second.
const RETRY_AFTER_SECONDS: u64 = 1;
/// The name that analytics has for a log that takes no writes; its status is 500.
const PUBLISH_FAILED: &str = "publish_failed";

impl Family {
    /// Every one of them.
    pub const ALL: [Self; 5] = [Self::Drain, Self::Analytics, Self::Events, Self::Streams, Self::Platform];

    /// The family with the longest prefix of `path`, by whole segments; the drain's when none has.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        let found = PREFIXES.iter().find(|(prefix, _)| path.strip_prefix(prefix).is_some_and(is_below));
        found.map_or(Self::Drain, |(_, family)| *family)
    }

    /// Its name in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Analytics => "analytics",
            Self::Events => "events",
            Self::Streams => "streams",
            Self::Platform => "platform",
        }
    }

    const fn is_publish_failure(self, kind: ErrorKind) -> bool {
        matches!((self, kind), (Self::Analytics, ErrorKind::StorageUnavailable))
    }

    /// The status that it answers a row of the error table with.
    #[must_use]
    pub const fn status(self, kind: ErrorKind) -> u16 {
        if self.is_publish_failure(kind) { 500 } else { kind.http_status() }
    }

    /// Its name for a row of the error table.
    #[must_use]
    pub fn error_name(self, kind: ErrorKind) -> String {
        match self {
            Self::Streams => format!("{} {}", kind.number(), streams_text(kind).0),
            _ if self.is_publish_failure(kind) => PUBLISH_FAILED.to_owned(),
            Self::Drain | Self::Analytics | Self::Events | Self::Platform => kind.name().to_owned(),
        }
    }

    /// The answer to a request of this family that was refused, without what only the one connection knows.
    #[must_use]
    pub fn refusal(self, error: &Error) -> Answer {
        let mut headers = vec![("content-type", "application/json".to_owned())];
        if matches!(error.kind().http_status(), 429 | 503) {
            headers.push(("retry-after", retry_after(error).to_string()));
        }
        if error.kind() == ErrorKind::Unauthorized {
            headers.push(("www-authenticate", "Bearer".to_owned()));
        }
        Answer { status: self.status(error.kind()), headers, body: self.body(error) }
    }

    fn body(self, error: &Error) -> Vec<u8> {
        let (kind, detail) = (error.kind(), error.detail());
        match self {
            Self::Drain | Self::Analytics => {
                // A quota knows when there is room again, and says whose it is; the ring does not.
                let full = kind == ErrorKind::Saturated && error.retry_after().is_none();
                let code = if self.is_publish_failure(kind) { PUBLISH_FAILED } else { kind.name() };
                json(&Drain { error: if full { "server saturated" } else { detail }, code })
            }
            Self::Events => json(&Events { success: false, error: detail }),
            Self::Streams => {
                let (message, description) = streams_text(kind);
                json(&Enclosed { error: Problem { code: kind.number(), message, description, detail } })
            }
            Self::Platform => json(&Platform { success: false, error: Named { code: kind.name(), message: detail } }),
        }
    }
}

/// Whole seconds, as RFC 9110 has it, and rounded up: whoever waits for less would come too early.
fn retry_after(error: &Error) -> u64 {
    let Some(wait) = error.retry_after() else { return RETRY_AFTER_SECONDS };
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn json(shape: &impl Serialize) -> Vec<u8> {
    // Shapes of texts and numbers always have a JSON.
    serde_json::to_vec(shape).unwrap_or_default()
}

#[derive(Serialize)]
struct Drain<'t> {
    error: &'t str,
    code: &'t str,
}

#[derive(Serialize)]
struct Events<'t> {
    success: bool,
    error: &'t str,
}

#[derive(Serialize)]
struct Enclosed<T> {
    error: T,
}

#[derive(Serialize)]
struct Problem<'t> {
    code: u16,
    message: &'t str,
    description: &'t str,
    detail: &'t str,
}

#[derive(Serialize)]
struct Platform<'t> {
    success: bool,
    error: Named<'t>,
}

#[derive(Serialize)]
struct Named<'t> {
    code: &'t str,
    message: &'t str,
}

/// The name and the description that the streams API gives a row of the error table.
const fn streams_text(kind: ErrorKind) -> (&'static str, &'static str) {
    match kind {
        ErrorKind::StreamNotFound => ("STREAM_NOT_FOUND", "The specified stream does not exist"),
        ErrorKind::InvalidOffset => ("INVALID_OFFSET", "The specified offset is invalid or out of range"),
        ErrorKind::ConsumerGroupNotFound => ("CONSUMER_GROUP_NOT_FOUND", "The specified consumer group does not exist"),
        ErrorKind::Malformed => ("SERIALIZATION_ERROR", "Failed to serialize/deserialize event data"),
        ErrorKind::Saturated => ("QUOTA_EXCEEDED", "Request rate or throughput quota exceeded"),
        ErrorKind::Timeout => ("TIMEOUT", "Operation timed out"),
        ErrorKind::StreamAlreadyExists => ("STREAM_ALREADY_EXISTS", "A stream of that name exists already"),
        ErrorKind::InvalidRequest => ("INVALID_REQUEST", "A parameter is missing, unknown or out of range"),
        ErrorKind::Unauthorized => ("UNAUTHORIZED", "The token is missing or unknown"),
        ErrorKind::Forbidden => ("FORBIDDEN", "The token lacks the role or the project"),
        ErrorKind::PayloadTooLarge => ("PAYLOAD_TOO_LARGE", "The body, or one record in it, is larger than the limit"),
        ErrorKind::FencedMember => ("FENCED_MEMBER", "The group member lost its lease"),
        ErrorKind::IdempotencyMismatch => ("IDEMPOTENCY_MISMATCH", "The idempotency key was used with another body"),
        ErrorKind::StorageUnavailable => ("STORAGE_UNAVAILABLE", "The storage cannot take or give that now"),
        ErrorKind::Internal => ("INTERNAL", "The server failed"),
        ErrorKind::NotFound => ("NOT_FOUND", "No such route or object"),
        ErrorKind::MethodNotAllowed => ("METHOD_NOT_ALLOWED", "The route exists, but not with that method"),
        ErrorKind::UnsupportedEncoding => ("UNSUPPORTED_ENCODING", "The content encoding is not one that is accepted"),
        ErrorKind::RequestTimeout => ("REQUEST_TIMEOUT", "The body did not arrive in time"),
        ErrorKind::DirectoryLocked => ("DIRECTORY_LOCKED", "The data directory belongs to another running process"),
        ErrorKind::Closed => ("CLOSED", "The server is shutting down"),
        ErrorKind::StreamLimitReached => {
            ("STREAM_LIMIT_REACHED", "There are as many streams or partitions as the limits allow")
        }
        ErrorKind::ProcessorAlreadyExists => ("PROCESSOR_ALREADY_EXISTS", "A processor of that name exists already"),
        ErrorKind::ProcessorNotFound => ("PROCESSOR_NOT_FOUND", "The specified processor does not exist"),
        ErrorKind::JobNotFound => ("JOB_NOT_FOUND", "The specified job does not exist"),
        ErrorKind::JobConflict => ("JOB_CONFLICT", "The job's status does not allow that"),
        ErrorKind::QueueNotFound => ("QUEUE_NOT_FOUND", "The specified queue does not exist"),
        ErrorKind::LeaseLost => ("LEASE_LOST", "The worker's lease of the job is gone"),
        ErrorKind::Conflict => ("CONFLICT", "Another operation that excludes this one is under way"),
    }
}

#[cfg(test)]
mod tests {
    use forebay_core::ingest::route::ROUTES;

    use super::*;

    #[test]
    fn an_ingest_route_is_of_the_family_that_its_row_names() {
        for route in ROUTES {
            assert_eq!(Family::of(&route.path.to_string()).name(), route.api.name(), "{}", route.path);
        }
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        for (path, family) in [
            ("/", Family::Drain),
            ("/v1/drain", Family::Drain),
            ("/v1/analytics/track", Family::Analytics),
            ("/v1/analyticsx", Family::Drain),
            ("/apix", Family::Drain),
            ("/api/events", Family::Events),
            ("/api/v1x", Family::Events),
            ("/api/v1", Family::Streams),
            ("/api/v1/platformx", Family::Streams),
            ("/api/v1/platform/system", Family::Platform),
        ] {
            assert_eq!(Family::of(path), family, "{path}");
        }
    }

    #[test]
    fn a_refusal_that_may_be_retried_says_when() {
        let full = Error::new(ErrorKind::Saturated, "the ring is full");
        let answer = Family::Drain.refusal(&full);
        assert_eq!(answer.body, br#"{"error":"server saturated","code":"backpressure_triggered"}"#);
        assert!(answer.headers.contains(&("retry-after", "1".to_owned())));
        let quota = full.with_retry_after(std::time::Duration::from_micros(1_000_001));
        assert!(Family::Drain.refusal(&quota).headers.contains(&("retry-after", "2".to_owned())));
    }
}
