//! The HTTP/1.1 front of the server, on one thread of its own.
//!
//! The front reads a request of an ingest route from a sender with a token, submits it to the engine and answers it.
//! Such a request involves no Python, and no thread but this one and the committer's. The front does not judge a
//! request that is out of the ordinary in any way (another route, no length, a query, a header that is refused, an
//! unknown token, too large): from that request on, its connection is a tunnel to the server behind, which knows every
//! rule.

mod answer;
mod completion_queue;
mod connection;
mod control;
mod deadlines;
mod exchange;
mod front;
mod head;
mod leaving;
mod limits;
mod memory_budget;
mod poller;
mod principals;
mod reactor;
mod refusal;
mod slab;
mod socket;
mod stats;
mod tunnel;

pub use answer::Answer;
pub use control::{TunnelControl, Tunnels};
pub use front::Front;
pub use limits::Limits;
pub use memory_budget::{MemoryBudget, Reserved};
pub use principals::{Principal, Principals};
pub use refusal::Family;
pub use stats::{Stats, StatsView};
