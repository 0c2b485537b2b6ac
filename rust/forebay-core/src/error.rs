//! The one error table. Every failure that a caller can see is one of these rows; the API families render the same
//! row in their own envelope. Numbers are part of the public contract and are never reused.

use std::fmt;
use std::time::Duration;

macro_rules! error_table {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $status:literal, $retryable:literal;)+) => {
        /// The kind of failure.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorKind { $($(#[$doc])* $variant,)+ }

        impl ErrorKind {
            /// Every row of the table, in order of number.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$variant,)+];

            /// Returns the row's number, as the streams API shows it.
            #[must_use]
            pub const fn number(self) -> u16 { match self { $(ErrorKind::$variant => $number,)+ } }

            /// Returns the row's name in snake case, as the drain API shows it.
            #[must_use]
            pub const fn name(self) -> &'static str { match self { $(ErrorKind::$variant => $name,)+ } }

            /// Returns the HTTP status it is answered with.
            #[must_use]
            pub const fn http_status(self) -> u16 { match self { $(ErrorKind::$variant => $status,)+ } }

            /// Returns whether the same request may succeed later.
            #[must_use]
            pub const fn retryable(self) -> bool { match self { $(ErrorKind::$variant => $retryable,)+ } }
        }
    };
}

error_table! {
    /// The named stream does not exist.
    StreamNotFound = 1001, "stream_not_found", 404, false;
    /// The offset is outside of the partition's valid range.
    InvalidOffset = 1002, "invalid_offset", 400, false;
    /// The named consumer group does not exist.
    ConsumerGroupNotFound = 1003, "consumer_group_not_found", 404, false;
    /// The body is not valid JSON, or an event in it is malformed.
    Malformed = 1004, "malformed_request", 400, false;
    /// Bounded memory or a quota is used up; come back later.
    Saturated = 1005, "backpressure_triggered", 429, true;
    /// The answer did not come in time; whether the operation took place is unknown.
    Timeout = 1006, "timeout", 504, true;
    /// A stream of that name exists already.
    StreamAlreadyExists = 1007, "stream_already_exists", 409, false;
    /// A parameter is missing, unknown or out of range.
    InvalidRequest = 1008, "invalid_request", 400, false;
    /// The token is missing or unknown.
    Unauthorized = 1009, "unauthorized", 401, false;
    /// The token lacks the role or the project.
    Forbidden = 1010, "forbidden", 403, false;
    /// The body, or one record in it, is larger than the limit.
    PayloadTooLarge = 1011, "payload_too_large", 413, false;
    /// The group member lost its lease.
    FencedMember = 1012, "fenced_member", 409, false;
    /// The idempotency key was used with another body.
    IdempotencyMismatch = 1013, "idempotency_mismatch", 422, false;
    /// The storage cannot take or give that now.
    StorageUnavailable = 1014, "storage_unavailable", 503, true;
    /// A defect of forebay itself.
    Internal = 1015, "internal", 500, false;
    /// No such route or object.
    NotFound = 1016, "not_found", 404, false;
    /// The route exists, but not with that method.
    MethodNotAllowed = 1017, "method_not_allowed", 405, false;
    /// The request's content encoding is not one that is accepted.
    UnsupportedEncoding = 1018, "unsupported_encoding", 415, false;
    /// The body did not arrive in time.
    RequestTimeout = 1019, "request_timeout", 408, true;
    /// The data directory belongs to another running process.
    DirectoryLocked = 1020, "directory_locked", 409, false;
    /// The engine is closed or closing.
    Closed = 1021, "closed", 503, true;
    /// Another operation that excludes this one is under way.
    Conflict = 1022, "conflict", 409, true;
    /// There are as many streams or partitions as the limits allow.
    StreamLimitReached = 1023, "stream_limit_reached", 409, false;
    /// A processor of that name exists already.
    ProcessorAlreadyExists = 1024, "processor_already_exists", 409, false;
    /// No processor has that id or name.
    ProcessorNotFound = 1025, "processor_not_found", 404, false;
    /// No job has that id.
    JobNotFound = 1026, "job_not_found", 404, false;
    /// The job's status does not allow that.
    JobConflict = 1027, "job_conflict", 409, false;
    /// No queue of jobs has that name.
    QueueNotFound = 1028, "queue_not_found", 404, false;
    /// The worker's lease of the job is gone.
    LeaseLost = 1029, "lease_lost", 409, false;
}

/// A failure: its row of the table, and what exactly went wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Error {
    kind: ErrorKind,
    detail: String,
    retry_after: Option<Duration>,
}

/// The result of every fallible call of the engine.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Returns a failure of the given kind; `detail` is one lowercase sentence without a full stop.
    #[must_use]
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None }
    }

    /// Adds the time after which a retry may succeed, where it is known.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Returns the time to wait before a retry, where it is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the error's row of the table.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns what exactly went wrong.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.detail)
    }
}

impl std::error::Error for Error {}
