use std::time::Instant;

use crate::limits::{LEAVING_TIME, TUNNEL_READS};
use crate::socket::{Read, Socket};
use crate::stats::Counted;

/// The rest of a tunnel whose client is gone. The server behind may still hold the connection's descriptor and memory,
/// as it does for a WebSocket that was granted and not yet looked at, so it counts as one until that server has closed
/// it too: clients that come and go at once would otherwise pass every bound.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) backend: Socket,
    until: Instant,
    _counted: Counted,
}

impl Leaving {
    /// Tells the server behind that the client sends no more.
    pub(crate) fn new(backend: Socket, counted: Counted, now: Instant) -> Self {
        backend.end_writing();
        Self { backend, until: now + LEAVING_TIME, _counted: counted }
    }

    /// Reads and drops what the server behind still sends. `None` when it has closed, else whether there may be more.
    pub(crate) fn turn(&mut self, scratch: &mut [u8]) -> Option<bool> {
        for _ in 0..TUNNEL_READS {
            if !self.backend.is_readable() {
                return Some(false);
            }
            match self.backend.read(scratch) {
                Ok(Read::Nothing | Read::Some(_)) => {}
                Ok(Read::End) | Err(_) => return None,
            }
        }
        Some(true)
    }

    /// Returns whether the server behind has had its time.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }
}
