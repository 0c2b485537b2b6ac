use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use forebay_core::{Completer, CompletionId, EventQueue, Receipt, Result};
use parking_lot::Mutex;

/// What comes of a request that was submitted.
#[derive(Debug)]
pub(crate) enum ClientEvent {
    /// Its end.
    Settled(Result<Receipt>),
    /// Nothing yet: until then the sender waits.
    Due(Instant),
}

/// Outcomes on their way from the engine's threads to the front's: one wake-up for all of a commit. Bounded by the
/// requests under way.
#[derive(Debug)]
pub(crate) struct CompletionQueue {
    completions: EventQueue<(CompletionId, ClientEvent)>,
    stop: Mutex<Option<Instant>>,
    /// Connections that are asked for something by the server behind.
    turns: Mutex<Vec<u32>>,
}

impl CompletionQueue {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { completions: EventQueue::new()?, stop: Mutex::default(), turns: Mutex::default() })
    }

    /// Readable while there is something.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.completions.as_fd()
    }

    /// Swaps what has come for `into`, which is empty and keeps its memory.
    pub(crate) fn take(&self, into: &mut Vec<(CompletionId, ClientEvent)>) {
        self.completions.take(into);
    }

    /// Gives the connection of that slot a turn soon.
    pub(crate) fn give_turn(&self, slot: u32) {
        self.turns.lock().push(slot);
        self.completions.wake();
    }

    /// The connections that are to have a turn.
    pub(crate) fn take_turns(&self) -> Vec<u32> {
        std::mem::take(&mut self.turns.lock())
    }

    /// Asks the front to end, by `deadline` at the latest.
    pub(crate) fn ask_to_stop(&self, deadline: Instant) {
        *self.stop.lock() = Some(deadline);
        self.completions.wake();
    }

    /// By when it has to end.
    pub(crate) fn stop_by(&self) -> Option<Instant> {
        *self.stop.lock()
    }
}

impl Completer for CompletionQueue {
    fn complete(&self, completion: CompletionId, outcome: Result<Receipt>) {
        self.completions.put((completion, ClientEvent::Settled(outcome)));
    }

    fn due(&self, completion: CompletionId, due: Instant) {
        self.completions.put((completion, ClientEvent::Due(due)));
    }

    fn wake(&self) {
        self.completions.wake();
    }
}
