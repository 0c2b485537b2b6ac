//! Whether the log takes writes, and what is wrong with it.

use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};

/// Damages kept by name; a directory with more needs `forebay verify` anyway.
pub const MAX_DAMAGES: usize = 1000;

/// What the log does with writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Takes them.
    Running,
    /// The disk is full: refuses them until a journal file can be made again.
    Full,
    /// Opened read-only, by choice or because the journal is damaged.
    ReadOnly,
    /// A write or a sync failed: refuses them until the process is started again.
    Poisoned,
    /// Closing or closed.
    Closed,
}

impl Mode {
    /// Every one of them.
    pub const ALL: [Mode; 5] = [Mode::Running, Mode::Full, Mode::ReadOnly, Mode::Poisoned, Mode::Closed];

    /// The mode's name in status reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Running => "running",
            Mode::Full => "full",
            Mode::ReadOnly => "read_only",
            Mode::Poisoned => "poisoned",
            Mode::Closed => "closed",
        }
    }
}

/// Something on the disk that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file, relative to the data directory.
    pub file: String,
    /// Where in the file, if that is known: first byte and length.
    pub range: Option<(u64, u64)>,
    /// The stream whose records are affected, if that is known.
    pub stream: Option<String>,
    /// What is wrong.
    pub what: String,
}

/// The log's state, shared by all of its threads.
#[derive(Debug)]
pub struct Status {
    mode: AtomicU8,
    reason: Mutex<String>,
    sealer_stuck: Mutex<Option<String>>,
    damages: Mutex<Vec<Damage>>,
}

impl Status {
    /// A log that takes writes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            mode: AtomicU8::new(Mode::Running as u8),
            reason: Mutex::default(),
            sealer_stuck: Mutex::default(),
            damages: Mutex::default(),
        }
    }

    /// What the log does with writes now.
    #[must_use]
    pub fn mode(&self) -> Mode {
        Mode::ALL.get(usize::from(self.mode.load(Ordering::Acquire))).copied().unwrap_or(Mode::Poisoned)
    }

    /// Why, in one sentence; empty while it runs.
    #[must_use]
    pub fn reason(&self) -> String {
        self.reason.lock().clone()
    }

    /// The error for a write that is refused now; `None` while the log runs.
    #[must_use]
    pub fn refusal(&self) -> Option<Error> {
        let kind = match self.mode() {
            Mode::Running => return None,
            Mode::Full | Mode::ReadOnly | Mode::Poisoned => ErrorKind::StorageUnavailable,
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
    /// As [`Status::refusal`], but for a full disk.
    pub(crate) fn refuse_change(&self) -> Result<()> {
        self.refusal().filter(|_| self.mode() != Mode::Full).map_or(Ok(()), Err)
    }

    /// Changes the mode. Poison and the end are final, and read-only gives way to the end alone.
    pub fn set(&self, mode: Mode, reason: impl Into<String>) {
        let mut current = self.reason.lock();
        let allowed = match self.mode() {
            Mode::Running | Mode::Full => true,
            Mode::ReadOnly | Mode::Poisoned => mode == Mode::Closed,
            Mode::Closed => false,
        };
        if allowed {
            *current = reason.into();
            self.mode.store(mode as u8, Ordering::Release);
        }
    }

    /// Refuses every later write, because what is on the disk is unknown.
    pub fn poison(&self, what: &str, error: &std::io::Error) {
        let reason = format!("{what} failed ({error}); writes stay refused until the server is started again");
        self.set(Mode::Poisoned, reason);
    }

    /// Takes writes again, once the disk has room.
    pub fn clear_full(&self) {
        if self.mode() == Mode::Full {
            self.set(Mode::Running, "");
        }
    }

    /// Says why sealing does not get on, or that it does.
    pub fn set_sealer_stuck(&self, why: Option<String>) {
        *self.sealer_stuck.lock() = why;
    }

    /// Why sealing does not get on.
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
