//! The state of the log: whether it takes writes, and what is wrong with it.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;

use super::failure::{FailureAction, Obstacle, Stage, StageError, StorageFailure};
use crate::error::{Error, ErrorKind, Result};

/// Damages kept by name; a directory with more needs `forebay verify` anyway.
pub(super) const MAX_DAMAGES: usize = 1000;

/// The log's way with writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Takes them.
    Running,
    /// The disk is full: refuses them until a journal file can be made again.
    Full,
    /// No journal file can be made now for another reason than a full disk, such as too many open files: refuses them
    /// until one can.
    Stalled,
    /// Opened read-only, by choice or because the journal is damaged.
    ReadOnly,
    /// A write or a sync of the journal failed, or a thread that the log needs is gone: refuses them until the process is
    /// started again.
    Poisoned,
    /// Closing or closed.
    Closed,
}

impl Mode {
    /// Every one of them.
    pub const ALL: [Mode; 6] = [Mode::Running, Mode::Full, Mode::Stalled, Mode::ReadOnly, Mode::Poisoned, Mode::Closed];

    /// Returns the mode's name in status reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Running => "running",
            Mode::Full => "full",
            Mode::Stalled => "stalled",
            Mode::ReadOnly => "read_only",
            Mode::Poisoned => "poisoned",
            Mode::Closed => "closed",
        }
    }

    /// Returns whether writes are refused now and will be taken again without a new start.
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self, Mode::Full | Mode::Stalled)
    }
}

/// Work of the background that may fail and is then tried again, while the log goes on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Merging the state files; merging segments is not named.
    Merging,
    /// Keeping a small journal file for deletions on a disk without room.
    Reserve,
    /// A thread that the log can go on without, by its name.
    Thread(String),
}

/// Something on the disk that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file, relative to the data directory.
    pub file: String,
    /// The range in the file, if it is known: first byte and length.
    pub range: Option<(u64, u64)>,
    /// The stream whose records are affected, if that is known.
    pub stream: Option<String>,
    /// The damage, in one sentence.
    pub what: String,
}

/// The log's state, shared by all of its threads.
#[derive(Debug)]
pub struct Status {
    mode: AtomicU8,
    reason: Mutex<String>,
    sealer_stuck: Mutex<Option<String>>,
    troubles: Mutex<BTreeMap<Task, String>>,
    damages: Mutex<Vec<Damage>>,
}

impl Status {
    /// Returns a log that takes writes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            mode: AtomicU8::new(Mode::Running as u8),
            reason: Mutex::default(),
            sealer_stuck: Mutex::default(),
            troubles: Mutex::default(),
            damages: Mutex::default(),
        }
    }

    /// Returns the log's way with writes now.
    #[must_use]
    pub fn mode(&self) -> Mode {
        Mode::ALL.get(usize::from(self.mode.load(Ordering::Acquire))).copied().unwrap_or(Mode::Poisoned)
    }

    /// Returns the reason, in one sentence; empty while it runs.
    #[must_use]
    pub fn reason(&self) -> String {
        self.reason.lock().clone()
    }

    /// Returns the error for a write that is refused now; `None` while the log runs.
    #[must_use]
    pub fn refusal(&self) -> Option<Error> {
        let kind = match self.mode() {
            Mode::Running => return None,
            Mode::Full | Mode::Stalled | Mode::ReadOnly | Mode::Poisoned => ErrorKind::StorageUnavailable,
            Mode::Closed => ErrorKind::Closed,
        };
        Some(Error::new(kind, self.reason()))
    }

    /// Refuses a write.
    ///
    /// # Errors
    /// [`Status::refusal`].
    pub(crate) fn refuse_write(&self) -> Result<()> {
        self.refusal().map_or(Ok(()), Err)
    }

    /// Refuses a change that is still possible on a full disk: deleting gives it room.
    ///
    /// # Errors
    /// Refuses as [`Status::refusal`] does, unless the reason passes by itself.
    pub(crate) fn refuse_change(&self) -> Result<()> {
        self.refusal().filter(|_| !self.mode().passes()).map_or(Ok(()), Err)
    }

    /// Changes the mode. Poison and the end are final, and read-only gives way to the end alone.
    pub fn set(&self, mode: Mode, reason: impl Into<String>) {
        let mut current = self.reason.lock();
        let allowed = match self.mode() {
            Mode::Running | Mode::Full | Mode::Stalled => true,
            Mode::ReadOnly | Mode::Poisoned => mode == Mode::Closed,
            Mode::Closed => false,
        };
        if allowed {
            *current = reason.into();
            self.mode.store(mode as u8, Ordering::Release);
        }
    }

    /// Refuses every later write, because what is on the disk is unknown.
    pub fn poison(&self, what: &str, error: &io::Error) {
        let reason = format!("{what} failed ({error}); writes stay refused until the server is started again");
        self.set(Mode::Poisoned, reason);
    }

    /// Judges a failure at `what` by the rule of [`Stage`], and poisons when that is what follows.
    pub fn judge(&self, what: &str, failed: &StageError) -> FailureAction {
        let verdict = failed.stage.verdict(&failed.error);
        if verdict == FailureAction::Poison {
            self.poison(what, &failed.error);
        }
        verdict
    }

    /// Refuses every later write, because a thread that the log needs is gone.
    pub fn panicked(&self, thread: &str) {
        let reason = format!(
            "the {thread} panicked, a defect that the server's output tells of; writes stay refused until the server is \
             started again"
        );
        self.set(Mode::Poisoned, reason);
    }

    /// Names a thread that is gone and that the log goes on without.
    pub(crate) fn thread_lost(&self, thread: &str) {
        let why = format!(
            "the {thread} panicked, a defect that the server's output tells of; what it did is not done until the server \
             is started again"
        );
        self.troubles.lock().insert(Task::Thread(thread.to_owned()), why);
    }

    /// Judges a failure of the journal's own writes and syncs.
    pub fn journal_failed(&self, what: &str, error: io::Error) {
        let _poison = self.judge(what, &StageError { stage: Stage::Journal, error });
    }

    /// Refuses writes until the obstacle is gone.
    pub fn obstruct(&self, obstacle: Obstacle) {
        let mode = match obstacle.failure {
            StorageFailure::NoRoom => Mode::Full,
            StorageFailure::Refused | StorageFailure::Device => Mode::Stalled,
        };
        self.set(mode, obstacle.why);
    }

    /// Takes writes again, once what stood in the way is gone.
    pub fn clear_obstacle(&self) {
        if self.mode().passes() {
            self.set(Mode::Running, "");
        }
    }

    /// Says why some work of the background does not get on, or that it does.
    pub fn set_trouble(&self, task: Task, trouble: Option<Obstacle>) {
        let mut troubles = self.troubles.lock();
        match trouble {
            Some(obstacle) => drop(troubles.insert(task, obstacle.why)),
            None => drop(troubles.remove(&task)),
        }
    }

    /// Returns what the background cannot do now, one sentence each.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.troubles.lock().values().cloned().collect()
    }

    /// Says why sealing does not get on, or that it does.
    pub fn set_sealer_stuck(&self, why: Option<String>) {
        *self.sealer_stuck.lock() = why;
    }

    /// Returns why sealing does not get on.
    #[must_use]
    pub fn sealer_stuck(&self) -> Option<String> {
        self.sealer_stuck.lock().clone()
    }

    /// Remembers a damage, once.
    pub fn report(&self, damage: Damage) {
        let mut damages = self.damages.lock();
        if damages.len() < MAX_DAMAGES && !damages.contains(&damage) {
            damages.push(damage);
        }
    }

    /// Everything that was found damaged since the start.
    #[must_use]
    pub fn damages(&self) -> Vec<Damage> {
        self.damages.lock().clone()
    }
}

impl Default for Status {
    fn default() -> Self {
        Self::new()
    }
}
