//! The consequences of a failure of the storage. The rule stands here and nowhere else: only a failure after which it
//! is unknown what a later start will read ends all writing, and every other one is tried again.

use std::io;

use rustix::io::Errno;

/// The kind of failure that the operating system reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageFailure {
    /// The call was refused before it did anything: there are no descriptors or no memory, or a signal came.
    Refused,
    /// The disk is full, or the share of it that the user may have.
    NoRoom,
    /// Anything else: the device or the file system failed.
    Device,
}

impl StorageFailure {
    /// Returns the kind of an error.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR | Errno::AGAIN) => Self::Refused,
            Some(Errno::NOSPC | Errno::DQUOT) => Self::NoRoom,
            _ => Self::Device,
        }
    }

    /// Returns what an operator does about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Refused => "give the process more open files or memory",
            Self::NoRoom => "make room on the disk",
            Self::Device => "look into the kernel's log",
        }
    }
}

/// The work during which the storage failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The journal wrote or synced a frame of its own. After any failure its pages are in an unknown state.
    Journal,
    /// Something was made durable that is visible already, and that nothing may be built upon before: the name of a state
    /// file, or the tail of the journal at a start. To sync again proves nothing once the device has failed.
    Unsettled,
    /// Anything before that. It is made anew, in new files, by the next try, and nothing depends on it until then.
    Background,
}

/// The consequence of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureAction {
    /// It is tried again, until it passes.
    Again,
    /// All writing ends until the next start.
    Poison,
}

impl Stage {
    /// Applies the rule.
    #[must_use]
    pub fn verdict(self, error: &io::Error) -> FailureAction {
        match (self, StorageFailure::of(error)) {
            (Self::Background, _) | (Self::Unsettled, StorageFailure::Refused) => FailureAction::Again,
            (Self::Unsettled, StorageFailure::NoRoom | StorageFailure::Device) | (Self::Journal, _) => {
                FailureAction::Poison
            }
        }
    }
}

/// A failure, and what was being done.
#[derive(Debug)]
pub struct StageError {
    /// The work during which it failed.
    pub stage: Stage,
    /// The operating system's word.
    pub error: io::Error,
}

impl StageError {
    /// Makes an error of [`Stage::Unsettled`].
    #[must_use]
    pub fn unsettled(error: io::Error) -> Self {
        Self { stage: Stage::Unsettled, error }
    }
}

impl From<io::Error> for StageError {
    fn from(error: io::Error) -> Self {
        Self { stage: Stage::Background, error }
    }
}

/// The reason why something is not done now, though it will be: what stands in the way passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The kind of failure that it was.
    pub failure: StorageFailure,
    /// One sentence: what cannot be done, why, and what to do about it.
    pub why: String,
}

impl Obstacle {
    /// `what` begins with "cannot".
    #[must_use]
    pub fn new(what: &str, error: &io::Error) -> Self {
        let failure = StorageFailure::of(error);
        let why = format!("{what}: {error}; it is tried again every second: {}", failure.remedy());
        Self { failure, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leaves_the_disk_unknown_poisons() {
        let passing = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR, Errno::AGAIN];
        for errno in [Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::ROFS].into_iter().chain(passing) {
            let error = io::Error::from(errno);
            let unsettled = if passing.contains(&errno) { FailureAction::Again } else { FailureAction::Poison };
            assert_eq!(Stage::Journal.verdict(&error), FailureAction::Poison, "{error}");
            assert_eq!(Stage::Unsettled.verdict(&error), unsettled, "{error}");
            assert_eq!(Stage::Background.verdict(&error), FailureAction::Again, "{error}");
        }
        assert_eq!(Stage::Unsettled.verdict(&io::Error::other("no number")), FailureAction::Poison);
    }

    #[test]
    fn an_obstacle_is_called_what_it_is() {
        let files = Obstacle::new("cannot do it", &Errno::MFILE.into()).why;
        assert!(files.contains("Too many open files") && !files.contains("room"), "{files}");
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            assert!(Obstacle::new("cannot do it", &errno.into()).why.ends_with("make room on the disk"));
        }
    }
}
