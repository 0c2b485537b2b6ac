//! The clocks of the machine: they run as the real ones do, and a test moves them.

use std::time::Duration;

use super::universe::Faulty;
use crate::storage::clock_reading::{Boot, ClockReading};

/// The time that a machine takes to start again, so that its boot clock is not at nothing then.
const START_MICROS: i64 = 10_000_000;

#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    boot: Boot,
    /// The reading of the real clocks when they were stopped.
    stopped: Option<ClockReading>,
    /// Microseconds that they are ahead of the real ones.
    wall: i64,
    clock: i64,
}

impl Clocks {
    /// Makes the clocks of a machine that has run for as long as the real one.
    pub(super) fn new() -> Self {
        Self { boot: Boot(1), stopped: None, wall: 0, clock: 0 }
    }

    /// Returns the clocks after the machine has started again.
    pub(super) fn restarted(self) -> Self {
        let clock = START_MICROS.saturating_sub(self.real().clock.cast_signed());
        Self { boot: Boot(self.boot.0 + 1), wall: self.wall + START_MICROS, clock, ..self }
    }

    fn real(self) -> ClockReading {
        self.stopped.unwrap_or_else(ClockReading::now)
    }

    pub(super) fn moment(self) -> ClockReading {
        let mut now = self.real();
        now.wall.0 += self.wall;
        ClockReading { boot: self.boot, clock: now.clock.saturating_add_signed(self.clock), ..now }
    }
}

impl Faulty {
    /// Lets time pass: all clocks go on.
    pub fn pass(&self, time: Duration) {
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let clocks = &mut self.universe.state().clocks;
        clocks.wall += micros;
        clocks.clock += micros;
    }

    /// Stops the clocks: no time passes but what the test lets pass.
    pub fn stop_clocks(&self) {
        self.universe.state().clocks.stopped = Some(ClockReading::now());
    }

    /// Sets the wall clock that many microseconds forward, or back; no time passes.
    pub fn set_wall_clock(&self, step: i64) {
        self.universe.state().clocks.wall += step;
    }
}
