use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use forebay_core::CompletionId;

/// How often every connection's own deadline is looked at: those are seconds, and this much later is exact enough.
const SWEEP: Duration = Duration::from_millis(500);

/// When the front has to wake although nothing happens.
#[derive(Debug)]
pub(crate) struct Deadlines {
    next_sweep: Instant,
    /// Senders that wait so long and no longer for a commit, by their own word.
    waits: BinaryHeap<Reverse<(Instant, u64)>>,
}

impl Deadlines {
    pub(crate) fn new(now: Instant) -> Self {
        Self { next_sweep: now + SWEEP, waits: BinaryHeap::new() }
    }

    /// A sender waits until then. One that is answered before is no longer under its completion.
    pub(crate) fn add(&mut self, due: Instant, completion: CompletionId) {
        self.waits.push(Reverse((due, completion.0)));
    }

    /// How long to sleep at most; `None` for as long as nothing happens. `idle` when no connection is there.
    pub(crate) fn sleep(&self, now: Instant, idle: bool) -> Option<Duration> {
        let wait = self.waits.peek().map(|Reverse((due, _))| *due);
        let sweep = Some(self.next_sweep).filter(|_| !idle);
        [wait, sweep].into_iter().flatten().min().map(|due| due.saturating_duration_since(now))
    }

    /// A wait that is over.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<CompletionId> {
        let Reverse((due, completion)) = self.waits.peek()?;
        let completion = CompletionId(*completion);
        if *due > now {
            return None;
        }
        self.waits.pop();
        Some(completion)
    }

    /// Whether it is time to look at all connections.
    pub(crate) fn sweep(&mut self, now: Instant) -> bool {
        let due = now >= self.next_sweep;
        if due {
            self.next_sweep = now + SWEEP;
        }
        due
    }
}
