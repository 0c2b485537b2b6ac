//! The thread that reads receipts from the disk, and forgets keys whose window has passed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::entry::Entry;
use super::key::Key;
use super::remembered::{answer, unreadable};
use super::{Dedup, STEP};
use crate::error::{Error, ErrorKind, Result};
use crate::log::commit::{Receipt, Refused, Reply};

/// Repeats that wait for the disk; a repeat is rare, so more is a client that does not wait for answers.
const MAX_RECALLS: usize = 1024;
/// The pause between two looks at some of the keys.
const SWEEP: Duration = Duration::from_secs(1);
/// The number of looks that go over all of the keys.
const SWEEPS_A_ROUND: usize = 10;

/// A repeat whose answer is on the disk.
#[derive(Debug)]
pub(super) struct Recall {
    pub(super) key: Key,
    pub(super) entry: Entry,
    pub(super) reply: Reply,
}

/// Repeats that wait.
#[derive(Debug, Default)]
pub(super) struct Recalls {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Recall>,
    closed: bool,
}

impl Recalls {
    pub(super) fn push(&self, recall: Recall) -> std::result::Result<(), Box<Refused>> {
        let mut state = self.state.lock();
        let error = if state.closed {
            Error::new(ErrorKind::Closed, "the engine is closing")
        } else if state.waiting.len() >= MAX_RECALLS {
            Error::new(ErrorKind::Saturated, "too many repeats are waiting for their answers to be read")
        } else {
            state.waiting.push_back(recall);
            drop(state);
            self.wake.notify_one();
            return Ok(());
        };
        drop(state);
        Err(Refused::new(error, recall.reply))
    }

    /// Waits for one until then. `Err` when closed.
    fn take(&self, until: Instant) -> std::result::Result<Option<Recall>, ()> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return Err(());
            }
            if let Some(recall) = state.waiting.pop_front() {
                return Ok(Some(recall));
            }
            if self.wake.wait_until(&mut state, until).timed_out() {
                return Ok(None);
            }
        }
    }

    /// Ends the wait; who waits is answered that the engine closes.
    fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let left = std::mem::take(&mut state.waiting);
        drop(state);
        drop(left);
        self.wake.notify_all();
    }
}

impl Dedup {
    /// Answers repeats from the disk and forgets keys, until [`Dedup::close`].
    pub(crate) fn run(&self) {
        let mut next = Instant::now() + SWEEP;
        while let Ok(recall) = self.recalls.take(next) {
            if let Some(Recall { key, entry, reply }) = recall {
                reply.finish_and_wake(self.recalled(key, &entry));
            }
            if Instant::now() >= next {
                self.forget_some();
                next = Instant::now() + SWEEP;
            }
        }
    }

    /// Ends the thread.
    pub(crate) fn close(&self) {
        self.recalls.close();
    }

    fn recalled(&self, key: Key, entry: &Entry) -> Result<Receipt> {
        let found = self.files.find(key.bytes(), entry.generation()).map_err(unreadable)?;
        let (_, remembered) = found.and_then(|op| self.row(&op)).ok_or_else(|| unreadable("its row is missing"))?;
        if remembered.body != entry.body() {
            return Err(unreadable("its row is of another request"));
        }
        answer(&remembered.receipt, entry.accepted(), self.durability)
    }

    /// A part of a look at all keys. Between its steps others have the lock.
    pub(super) fn forget_some(&self) {
        let now = self.clock.window();
        let entries = self.state.lock().keys.round().div_ceil(SWEEPS_A_ROUND);
        for _ in 0..entries.div_ceil(STEP) {
            self.state.lock().keys.forget_past(now, STEP);
        }
    }
}
