use std::sync::Arc;
use std::time::Duration;

use crate::MemoryBudget;

/// The most bytes of a request line and headers that the front reads. Our clients send a few hundred bytes; the server
/// behind reads requests with more, and has a limit of its own.
pub(crate) const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The most header fields that the front reads.
pub(crate) const MAX_HEADERS: usize = 64;
/// How long a request's head may take from its first byte, and the first head from the connection's start. A client
/// that opens connections and sends nothing holds none of them for longer.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a connection may be idle between requests. It is longer than the minute for which most clients and
/// balancers keep one, so that this side rarely closes while a request is on its way.
pub(crate) const IDLE_TIME: Duration = Duration::from_secs(75);
/// How long a connection may be idle while the limit of connections is reached and others wait.
pub(crate) const CROWDED_IDLE_TIME: Duration = Duration::from_secs(5);
/// How long an answer waits for a client that has stopped reading.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How long a refused body is still read, so that a sender that writes all of it first sees the answer (RFC 9112, 9.6).
pub(crate) const LINGER_TIME: Duration = Duration::from_secs(5);
/// How long a client that sends no more may wait on a tunnel for an answer that has not begun. It is longer than any
/// poll waits and any commit takes, so that only an answer that never comes is given up.
pub(crate) const HALF_CLOSED_TIME: Duration = Duration::from_secs(150);
/// How long such a client may wait when the answer has begun and brings nothing more, as a stream of events does whose
/// reader is gone.
pub(crate) const HALF_CLOSED_QUIET_TIME: Duration = Duration::from_secs(5);
/// A client that has written nothing for this long is not in the middle of a refused body.
pub(crate) const QUIET_TIME: Duration = Duration::from_millis(300);
/// The most reads of one direction of a tunnel before another connection gets its turn.
pub(crate) const TUNNEL_READS: usize = 16;
/// How long the server behind may take to notice that a client is gone. It is longer than any of its requests lasts.
pub(crate) const LEAVING_TIME: Duration = Duration::from_secs(90);
/// The most bytes of one read before the head is known, and so the most that a connection holds beside the reserved
/// bytes of its body. A body of a few hundred events comes with its head in one read.
pub(crate) const MAX_READ_AHEAD: usize = 256 * 1024;

/// The least step by which a body's reservation grows, and the reservation of a body that was only announced. A
/// thousand connections that only announce bodies take a quarter of the default budget.
pub(crate) const BODY_STEP_BYTES: usize = 64 * 1024;

/// The limits that the operator chose.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest body, as sent.
    pub body_bytes: usize,
    /// How long a body may take.
    pub body_time: Duration,
    /// How long a commit may take before the sender is answered that the outcome is unknown.
    pub ack_time: Duration,
    /// The most connections at once; further ones wait in the listener's backlog.
    pub connections: usize,
    /// Bounds the memory of all bodies.
    pub memory_budget: Arc<MemoryBudget>,
}
