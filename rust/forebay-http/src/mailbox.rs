use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use forebay_core::{Completer, Inbox, Receipt, Result, Ticket};
use parking_lot::Mutex;

/// What comes of a request that was submitted.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Its end.
    Settled(Result<Receipt>),
    /// Nothing yet: until then the sender waits.
    Due(Instant),
}

/// Outcomes on their way from the engine's threads to the front's: one wake-up for all of a commit. Bounded by the
/// requests under way.
#[derive(Debug)]
pub(crate) struct Mailbox {
    letters: Inbox<(Ticket, Outcome)>,
    stop: Mutex<Option<Instant>>,
}

impl Mailbox {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { letters: Inbox::new()?, stop: Mutex::default() })
    }

    /// Readable while there is something.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.letters.as_fd()
    }

    /// Swaps what has come for `into`, which is empty and keeps its memory.
    pub(crate) fn take(&self, into: &mut Vec<(Ticket, Outcome)>) {
        self.letters.take(into);
    }

    /// Asks the front to end, by `deadline` at the latest.
    pub(crate) fn ask_to_stop(&self, deadline: Instant) {
        *self.stop.lock() = Some(deadline);
        self.letters.wake();
    }

    /// By when it has to end.
    pub(crate) fn stop_by(&self) -> Option<Instant> {
        *self.stop.lock()
    }
}

impl Completer for Mailbox {
    fn complete(&self, ticket: Ticket, outcome: Result<Receipt>) {
        self.letters.put((ticket, Outcome::Settled(outcome)));
    }

    fn due(&self, ticket: Ticket, due: Instant) {
        self.letters.put((ticket, Outcome::Due(due)));
    }

    fn wake(&self) {
        self.letters.wake();
    }
}
