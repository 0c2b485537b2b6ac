//! The clock's doubt, as an operator sees it.

use super::engine::Engine;

impl Engine {
    /// Believes the wall clock about how long the machine was off: what is too old by it is deleted from now on. `false`
    /// when that is not in doubt.
    pub fn release_clock(&self) -> bool {
        self.clock.release(self.status.refuse_change().is_ok())
    }
}
