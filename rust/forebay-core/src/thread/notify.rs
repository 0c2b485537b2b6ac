//! Wakes the threads that look after what is sealed: when a file was sealed, and each tick.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// One notify for several threads, each of which remembers how often it has heard it.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    rings: u64,
    begun: bool,
    closed: bool,
}

impl Notify {
    /// Nobody is woken before this: what a stream keeps is known when the options were followed, and a retention that
    /// was made longer must not find the shorter one of before.
    pub(crate) fn begin(&self) {
        self.state.lock().begun = true;
        self.wake.notify_all();
    }

    /// There may be something to do.
    pub(crate) fn ring(&self) {
        self.state.lock().rings += 1;
        self.wake.notify_all();
    }

    /// Ends all waits, also later ones.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_all();
    }

    /// Returns whether it is closed.
    #[must_use]
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Waits until it has rung more often than `heard`, or for `timeout`, but for the begin in any case. Returns how
    /// often it has rung; `None` when it is closed.
    pub(crate) fn wait(&self, heard: u64, timeout: Duration) -> Option<u64> {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            if !state.begun {
                // Bounded by the engine's opening, which begins or closes.
                self.wake.wait(&mut state);
            } else if state.rings > heard || self.wake.wait_until(&mut state, deadline).timed_out() {
                return (!state.closed).then_some(state.rings);
            }
        }
    }
}
