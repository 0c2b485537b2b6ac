use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use forebay_core::CompletionId;

/// How often every connection's deadline is checked. Deadlines are seconds, so that this much later is exact enough.
const SWEEP: Duration = Duration::from_millis(500);

/// The times at which the front wakes although nothing happens.
#[derive(Debug)]
pub(crate) struct Deadlines {
    next_sweep: Instant,
    /// When senders that set their own `options.timeout` stop waiting for their commit.
    waits: BinaryHeap<Reverse<(Instant, u64)>>,
}

impl Deadlines {
    pub(crate) fn new(now: Instant) -> Self {
        Self { next_sweep: now + SWEEP, waits: BinaryHeap::new() }
    }

    /// Adds a sender that waits until `due`. Once it is answered, its completion id no longer names it.
    pub(crate) fn add(&mut self, due: Instant, id: CompletionId) {
        self.waits.push(Reverse((due, id.0)));
    }

    /// How long to sleep at most; `None` for without limit. `idle` says that there is no connection.
    pub(crate) fn sleep(&self, now: Instant, idle: bool) -> Option<Duration> {
        let wait = self.waits.peek().map(|Reverse((due, _))| *due);
        let sweep = Some(self.next_sweep).filter(|_| !idle);
        [wait, sweep].into_iter().flatten().min().map(|due| due.saturating_duration_since(now))
    }

    /// Takes a wait that is over; returns the completion id of the request that was waited for.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<CompletionId> {
        let Reverse((due, id)) = self.waits.peek()?;
        let id = CompletionId(*id);
        if *due > now {
            return None;
        }
        self.waits.pop();
        Some(id)
    }

    /// Returns whether all connections are to be checked now, at most once in each interval.
    pub(crate) fn sweep(&mut self, now: Instant) -> bool {
        let due = now >= self.next_sweep;
        if due {
            self.next_sweep = now + SWEEP;
        }
        due
    }
}
