//! When a point was, whatever was done to the wall clock since.

use super::point::Point;
use crate::ids::Timestamp;
use crate::storage::ClockReading;

/// The two clocks run at one speed, so they drift apart by steps only. What is less is no step worth following.
const STEP_MICROS: i64 = 1_000_000;

/// Gives points their times, from the newest to the oldest.
///
/// Within one life of the machine, the time between two points is that of `CLOCK_BOOTTIME`; the wall clock only says
/// where the newest one stands. So when the wall clock is set, earlier points move along with it: all times are by the
/// clock as it is now, they never run backwards, and no two points fall together. Of an earlier life there is only its
/// own wall clock; where that was ahead of a later life, the whole life is moved to before it.
#[derive(Debug)]
pub(super) struct Timeline {
    newer: ClockReading,
    /// When the newer point was.
    time: i64,
    /// The latest time of a point of an earlier life.
    earliest: i64,
    /// The shift that is added to the wall clock's times of this life.
    shift: i64,
}

impl Timeline {
    /// Begins a timeline that ends now.
    pub(super) fn new(now: ClockReading) -> Self {
        Self { newer: now, time: now.wall.0, earliest: now.wall.0, shift: 0 }
    }

    /// When the point was, which is older than all before it.
    pub(super) fn place(&mut self, point: &Point) -> Timestamp {
        let wall = point.moment.wall.0;
        if let Some(span) = self.newer.since(&point.moment) {
            let passed = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
            let expected = self.time.saturating_sub(passed);
            if wall.saturating_add(self.shift).abs_diff(expected) > STEP_MICROS.unsigned_abs() {
                self.shift = expected.saturating_sub(wall);
            }
        } else {
            self.shift = self.earliest.saturating_sub(wall).min(0);
        }
        self.time = wall.saturating_add(self.shift).min(self.time);
        let interval = i64::try_from(point.interval.as_micros()).unwrap_or(i64::MAX);
        self.earliest = self.time.saturating_sub(interval);
        self.newer = point.moment;
        Timestamp(self.time)
    }
}
