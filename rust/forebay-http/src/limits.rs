use std::sync::Arc;
use std::time::Duration;

use crate::MemoryBudget;

/// What the request line and the headers of a request that is read here may have together. Ours have a few hundred
/// bytes; a request with more is read by the server behind, which has a limit of its own.
pub(crate) const MAX_HEAD_BYTES: usize = 16 * 1024;
/// As many header fields as that.
pub(crate) const MAX_HEADERS: usize = 64;
/// How long a request's head may take from its first byte, and the first one from the connection's start: whoever
/// opens connections and says nothing holds none of them for longer.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a connection may be idle between requests: longer than the minute for which most clients and balancers keep
/// one, so that it is rarely this side that closes while a request is on its way.
pub(crate) const IDLE_TIME: Duration = Duration::from_secs(75);
/// The same when as many connections are open as may be, and others wait for one.
pub(crate) const CROWDED_IDLE_TIME: Duration = Duration::from_secs(5);
/// How long an answer may wait for its reader, who has stopped reading.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How long a refused body is still read, so that a sender which writes all of it first sees the answer (RFC 9112, 9.6).
pub(crate) const LINGER_TIME: Duration = Duration::from_secs(5);
/// How long a client that sends no more may wait on a tunnel for an answer that has not begun: longer than any poll waits
/// and any commit may take, so that only an answer that never comes is given up.
pub(crate) const HALF_CLOSED_TIME: Duration = Duration::from_secs(150);
/// The same for an answer that has begun and brings nothing more: a stream of events whose reader is gone looks so.
pub(crate) const HALF_CLOSED_QUIET_TIME: Duration = Duration::from_secs(5);
/// A client that has not written for so long is not in the middle of a body that nobody wants.
pub(crate) const QUIET_TIME: Duration = Duration::from_millis(300);
/// The most that one read takes in before the head is known, and so what a connection may hold beside the bodies that
/// are counted. A body of a few hundred events comes with its head in one read.
pub(crate) const MAX_READ_AHEAD: usize = 256 * 1024;

/// By how much a body's reservation grows at least, and what one holds of which nothing has come: small enough that a
/// thousand connections that only announce bodies take a quarter of the default.
pub(crate) const BODY_STEP_BYTES: usize = 64 * 1024;

/// What the operator chose.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest body, as sent.
    pub body_bytes: usize,
    /// How long a body may take.
    pub body_time: Duration,
    /// How long a commit may take, until the sender is told that the outcome is unknown.
    pub ack_time: Duration,
    /// The most connections at once; further ones wait in the listener's backlog.
    pub connections: usize,
    /// Bounds all bodies under way.
    pub memory_budget: Arc<MemoryBudget>,
}
