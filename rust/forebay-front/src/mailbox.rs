use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use forebay_core::{Completer, Receipt, Result, Ticket};
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};

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
    letters: Mutex<Vec<(Ticket, Outcome)>>,
    signalled: AtomicBool,
    stop: Mutex<Option<Instant>>,
    wake: OwnedFd,
}

impl Mailbox {
    pub(crate) fn new() -> rustix::io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { letters: Mutex::default(), signalled: AtomicBool::new(false), stop: Mutex::default(), wake })
    }

    /// Readable while there is something.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Swaps what has come for `into`, which is empty and keeps its memory.
    pub(crate) fn take(&self, into: &mut Vec<(Ticket, Outcome)>) {
        let mut count = [0; 8];
        // Nothing to read only means that nobody signalled.
        let _spurious = rustix::io::read(&self.wake, &mut count);
        // Before the letters are taken: one that comes after signals again.
        self.signalled.store(false, Ordering::Release);
        std::mem::swap(&mut *self.letters.lock(), into);
    }

    /// Asks the front to end, by `deadline` at the latest.
    pub(crate) fn ask_to_stop(&self, deadline: Instant) {
        *self.stop.lock() = Some(deadline);
        self.signal();
    }

    /// By when it has to end.
    pub(crate) fn stop_by(&self) -> Option<Instant> {
        *self.stop.lock()
    }

    fn signal(&self) {
        if !self.signalled.swap(true, Ordering::AcqRel) {
            // Cannot fail: the counter is read long before 2^64 signals.
            let _infallible = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }
}

impl Completer for Mailbox {
    fn complete(&self, ticket: Ticket, outcome: Result<Receipt>) {
        self.letters.lock().push((ticket, Outcome::Settled(outcome)));
    }

    fn due(&self, ticket: Ticket, due: Instant) {
        self.letters.lock().push((ticket, Outcome::Due(due)));
    }

    fn wake(&self) {
        self.signal();
    }
}
