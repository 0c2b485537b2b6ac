//! A thread that waits for the outcome of an append.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::append::{Completer, Receipt, Reply};
use crate::error::Result;
use crate::ids::CompletionId;

/// A thread that waits for one append.
#[derive(Debug, Default)]
pub struct Waiter {
    outcome: Mutex<Option<Result<Receipt>>>,
    done: Condvar,
}

impl Waiter {
    /// Makes a waiter, and the reply that ends its wait.
    #[must_use]
    pub fn pair() -> (Arc<Self>, Reply) {
        let waiter = Arc::new(Self::default());
        let completer: Arc<dyn Completer> = waiter.clone();
        (waiter, Reply::new(completer, CompletionId(0)))
    }

    /// Waits for the outcome. Bounded by the engine: every reply is answered, at the latest when it is dropped.
    ///
    /// # Errors
    /// Whatever became of the append.
    pub fn wait(&self) -> Result<Receipt> {
        let mut outcome = self.outcome.lock();
        loop {
            if let Some(outcome) = outcome.take() {
                return outcome;
            }
            self.done.wait(&mut outcome);
        }
    }
}

impl Completer for Waiter {
    fn complete(&self, _ticket: CompletionId, outcome: Result<Receipt>) {
        *self.outcome.lock() = Some(outcome);
    }

    fn wake(&self) {
        self.done.notify_all();
    }
}
