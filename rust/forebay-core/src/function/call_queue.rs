use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::call::Call;
use crate::error::{Error, ErrorKind};

/// Calls that wait for somebody who runs them. Bounded by the processors, each of which has one call at a time.
#[derive(Debug, Default)]
pub(super) struct CallQueue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Arc<Call>>,
    closed: bool,
}

impl CallQueue {
    pub(super) fn push(&self, call: Arc<Call>) {
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            return call.finish(Err(closed()));
        }
        state.waiting.push_back(call);
        drop(state);
        self.wake.notify_one();
    }

    /// Waits for a call until `deadline`; for ever without one.
    ///
    /// # Errors
    /// `Closed`.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Result<Option<Arc<Call>>, Error> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return Err(closed());
            }
            if let Some(call) = state.waiting.pop_front() {
                return Ok(Some(call));
            }
            match deadline {
                // Bounded by the engine, whose end closes the queue.
                None => self.wake.wait(&mut state),
                Some(deadline) if self.wake.wait_until(&mut state, deadline).timed_out() => return Ok(None),
                Some(_) => {}
            }
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Ends all calls that wait, and all that come.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.wake.notify_all();
        waiting.iter().for_each(|call| call.finish(Err(closed())));
    }
}

pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the engine is closed")
}
