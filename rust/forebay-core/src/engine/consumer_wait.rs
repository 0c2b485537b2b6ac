//! Waiting in a thread for the next record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::engine::Engine;
use crate::error::Result;
use crate::ids::{CompletionId, Offset, PartitionId};
use crate::stream::Watcher;

/// A thread that waits for a record.
#[derive(Debug, Default)]
struct Sleeper {
    outcome: Mutex<Option<Result<()>>>,
    due: Condvar,
}

impl Watcher for Sleeper {
    fn due(&self, _ticket: CompletionId, outcome: Result<()>) {
        *self.outcome.lock() = Some(outcome);
    }

    fn wake(&self) {
        self.due.notify_all();
    }
}

impl Engine {
    /// Waits until there is a record at or beyond one of the positions, for `limit` at most; `false` when there is
    /// none by then.
    ///
    /// # Errors
    /// Fails as [`Engine::watch`] does, and when no record will come.
    pub fn wait(&self, stream: &str, positions: &[(PartitionId, Offset)], limit: Duration) -> Result<bool> {
        let sleeper = Arc::new(Sleeper::default());
        let deadline = Instant::now() + limit;
        let watch = self.watch(stream, positions, sleeper.clone(), CompletionId(0))?;
        let mut outcome = sleeper.outcome.lock();
        while outcome.is_none() {
            if sleeper.due.wait_until(&mut outcome, deadline).timed_out() {
                break;
            }
        }
        let outcome = outcome.take();
        if outcome.is_none() {
            // Its end may be on the way; nobody waits for it any more.
            let _completion = self.unwatch(watch);
        }
        outcome.map_or(Ok(false), |outcome| outcome.map(|()| true))
    }
}
