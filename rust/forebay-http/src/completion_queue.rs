use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use forebay_core::{Completer, CompletionId, EventQueue, Receipt, Result};
use parking_lot::Mutex;

/// An event in the life of a submitted request.
#[derive(Debug)]
pub(crate) enum ClientEvent {
    /// It has ended.
    Settled(Result<Receipt>),
    /// It goes on, and its sender waits for it until then.
    Due(Instant),
}

/// Carries outcomes from the engine's threads to the front's, with one wake-up for all of a commit. The requests in
/// flight bound its length.
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

    /// A descriptor that is readable while the queue holds something.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.completions.as_fd()
    }

    /// Swaps the queued events for `into`, which is empty and whose memory is used on.
    pub(crate) fn take(&self, into: &mut Vec<(CompletionId, ClientEvent)>) {
        self.completions.take(into);
    }

    /// Asks the front to give the connection of that slot a turn.
    pub(crate) fn give_turn(&self, slot: u32) {
        self.turns.lock().push(slot);
        self.completions.wake();
    }

    /// Takes the slots of the connections that are to have a turn.
    pub(crate) fn take_turns(&self) -> Vec<u32> {
        std::mem::take(&mut self.turns.lock())
    }

    /// Asks the front to stop, by `deadline` at the latest.
    pub(crate) fn ask_to_stop(&self, deadline: Instant) {
        *self.stop.lock() = Some(deadline);
        self.completions.wake();
    }

    /// The deadline of a stop that was asked for.
    pub(crate) fn stop_by(&self) -> Option<Instant> {
        *self.stop.lock()
    }
}

impl Completer for CompletionQueue {
    fn complete(&self, id: CompletionId, outcome: Result<Receipt>) {
        self.completions.put((id, ClientEvent::Settled(outcome)));
    }

    fn due(&self, id: CompletionId, due: Instant) {
        self.completions.put((id, ClientEvent::Due(due)));
    }

    fn wake(&self) {
        self.completions.wake();
    }
}
