use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::definition::ProcessorDefinition;
use super::newest_windows::SeenWindow;
use super::rate::Rate;
use super::rows::{ChunkKey, ProcessorId, ProcessorRow};
use super::status::{ProcessorStatus, Stored};
use super::task::Task;
use super::totals::Totals;
use crate::ids::{Offset, StreamId, Timestamp};

/// What the pool knows of a processor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Scheduled {
    /// It waits for a record, or for its timer.
    #[default]
    Idle,
    /// It waits for a thread.
    Queued,
    /// A thread has it.
    Running,
    /// A thread has it, and something came that it may have missed.
    RunningAgain,
}

impl Scheduled {
    /// Takes note that there is something to do. Returns whether the processor is to be put among those who wait for a
    /// thread: it is neither there nor with one.
    pub(super) fn wake(&mut self) -> bool {
        match self {
            Self::Idle => {
                *self = Self::Queued;
                return true;
            }
            Self::Running => *self = Self::RunningAgain,
            Self::Queued | Self::RunningAgain => {}
        }
        false
    }
}

/// What a report shows, as it was after the last turn: whoever asks never waits for a disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) totals: Totals,
    /// The next offset of each partition, as far as it is stored.
    pub(super) next: Vec<Offset>,
    pub(super) state_bytes: u64,
    /// Why the last turn could not store its step.
    pub(super) blocked_by: Option<String>,
    /// The last failure of a function, and when it was.
    failed: Option<(String, Duration)>,
    pub(super) rate: Rate,
    /// The newest windows, and when they were looked at.
    pub(super) windows: Vec<SeenWindow>,
    windows_at: Option<Duration>,
}

impl Seen {
    /// Returns the last failure of a function, unless it is long ago at `uptime`: there may be no turn that forgets it.
    pub(super) fn degraded(&self, uptime: Duration) -> Option<&str> {
        let (why, when) = self.failed.as_ref()?;
        (uptime.saturating_sub(*when) < DEGRADED_FOR).then_some(why)
    }
}

/// How long a failure of a function is shown.
const DEGRADED_FOR: Duration = Duration::from_secs(60);

/// Looking at windows takes a moment: it is not done at each turn of a processor that is busy.
const WINDOWS_EACH: Duration = Duration::from_millis(200);

/// One processor. What never changes is here; what a turn changes is in its [`Task`].
#[derive(Debug)]
pub(super) struct Processor {
    pub(super) id: ProcessorId,
    pub(super) definition: ProcessorDefinition,
    /// The source's identity.
    pub(super) source: StreamId,
    pub(super) shards: u32,
    pub(super) created: Timestamp,
    status: Mutex<Stored>,
    pub(super) seen: Mutex<Seen>,
    pub(super) scheduled: Mutex<Scheduled>,
    /// When its timer rings next.
    pub(super) timer: Mutex<Option<Instant>>,
    /// `None` when it cannot be made, as its source is gone or a row cannot be read.
    task: Mutex<Option<Task>>,
    /// The rows of its windows where there is no task that knows them.
    pub(super) chunks: Vec<ChunkKey>,
}

impl Processor {
    pub(super) fn new(
        id: ProcessorId,
        definition: ProcessorDefinition,
        row: &ProcessorRow,
        task: Option<Task>,
        chunks: Vec<ChunkKey>,
    ) -> Arc<Self> {
        let seen = Seen::default();
        let processor = Self {
            id,
            definition,
            source: row.source(),
            shards: row.shards,
            created: Timestamp(row.created_us),
            status: Mutex::new(row.status.clone()),
            seen: Mutex::new(seen),
            scheduled: Mutex::default(),
            timer: Mutex::default(),
            task: Mutex::new(task),
            chunks,
        };
        let _nothing_before = processor.note(&processor.task.lock(), None, Duration::ZERO);
        Arc::new(processor)
    }

    pub(super) fn name(&self) -> &str {
        &self.definition.name
    }

    pub(super) fn status(&self) -> Stored {
        self.status.lock().clone()
    }

    pub(super) fn is_running(&self) -> bool {
        self.status.lock().is == ProcessorStatus::Running
    }

    /// Says that it does not run, for an error.
    pub(super) fn why_idle(&self) -> String {
        format!("the processor {:?} does not run: it is {}", self.name(), self.status().is.name())
    }

    pub(super) fn set_status(&self, status: Stored) {
        *self.status.lock() = status;
    }

    /// Holds its work: nothing is read or written for it meanwhile.
    pub(super) fn task(&self) -> MutexGuard<'_, Option<Task>> {
        self.task.lock()
    }

    /// Returns its row with another status.
    pub(super) fn row(&self, status: Stored) -> ProcessorRow {
        ProcessorRow::new(&self.definition, self.source, self.shards, self.created, status)
    }

    /// Takes note of how the task stands, for reports. Returns what its windows took before, and what they take now.
    pub(super) fn note(&self, task: &Option<Task>, blocked_by: Option<String>, uptime: Duration) -> (u64, u64) {
        let mut seen = self.seen.lock();
        let state_bytes = task.as_ref().map_or(0, |task| task.state_bytes() as u64);
        let before = std::mem::replace(&mut seen.state_bytes, state_bytes);
        let Some(task) = task else { return (before, 0) };
        seen.blocked_by = blocked_by;
        seen.failed = task.mapping.failed().cloned();
        if seen.windows_at.is_none_or(|at| uptime >= at + WINDOWS_EACH) || task.is_caught_up() {
            (seen.windows, seen.windows_at) = (task.newest_windows(), Some(uptime));
        }
        if task.is_stored() {
            let before = std::mem::replace(&mut seen.totals, task.totals);
            seen.rate.add(uptime, &before, &task.totals);
            seen.next.clone_from(&task.next);
        }
        (before, state_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_shown_for_a_minute_whoever_has_turns() {
        let seen = Seen { failed: Some(("why".to_owned(), Duration::from_secs(10))), ..Seen::default() };
        assert_eq!(seen.degraded(Duration::from_secs(69)), Some("why"));
        assert_eq!(seen.degraded(Duration::from_secs(70)), None);
        assert_eq!(Seen::default().degraded(Duration::ZERO), None);
    }
}
