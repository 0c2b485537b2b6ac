#![allow(clippy::unwrap_used, clippy::panic)]

mod clocks;
mod damage;
mod faults;
mod kept;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::history::recorder::{ClockReading, History};
use crate::ids::Timestamp;
use crate::status::Status;
use crate::storage::faulty::Faulty;
use crate::storage::{Boot, Storage};
use crate::telemetry::Counters;

pub(super) const HOUR: u64 = 3_600_000_000;
pub(super) const SECOND: u64 = 1_000_000;

/// A history over a storage, with clocks that a test moves.
struct World {
    storage: Faulty,
    status: Arc<Status>,
    counters: Arc<Counters>,
    history: Arc<History>,
    now: ClockReading,
}

impl World {
    fn new() -> Self {
        let wall = Timestamp(1_700_000_000_000_000);
        Self::over(Faulty::new(1), ClockReading { wall, boot: Boot(1), clock: HOUR })
    }

    /// Starts a process at `now`.
    fn over(storage: Faulty, now: ClockReading) -> Self {
        let (status, counters) = (Arc::new(Status::new()), Arc::new(Counters::default()));
        let files: Arc<dyn Storage> = Arc::new(storage.clone());
        let history = History::new(files, Arc::clone(&status), Arc::clone(&counters));
        history.begin(now);
        Self { storage, status, counters, history, now }
    }

    /// Starts another process on the storage after this one has ended.
    fn restarted(&self) -> Self {
        Self::over(self.storage.clone(), self.now)
    }

    fn pass(&mut self, micros: u64) {
        self.now.clock += micros;
        self.now.wall.0 += i64::try_from(micros).unwrap();
    }

    /// Runs so many fine intervals, each with `events` events.
    fn run(&mut self, intervals: u64, events: u64) {
        for _ in 0..intervals {
            self.pass(10 * SECOND);
            if events > 0 {
                self.counters.live.stored(events, Duration::from_millis(2));
            }
            self.history.record(self.now);
        }
    }

    /// Seconds from each point to now, oldest first, and how many are damaged.
    fn ages(&self, hours: u32) -> (Vec<i64>, u64) {
        let answer = self.history.answer_at(hours, self.now);
        let now = self.now.wall.0 / 1000;
        (answer.points.iter().map(|point| (now - point.timestamp) / 1000).collect(), answer.damaged_points)
    }

    fn totals(&self) -> Vec<u64> {
        let answer = self.history.answer_at(24, self.now);
        answer.points.iter().map(|point| point.throughput.total_events).collect()
    }

    fn files(&self) -> Vec<(PathBuf, u64)> {
        self.storage.files().into_iter().filter(|(path, _)| path.starts_with("history")).collect()
    }
}
