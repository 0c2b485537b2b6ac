//! Faults: which call fails, when, and what it leaves behind.

use std::io;
use std::path::Path;

use rustix::io::Errno;

/// A kind of call to the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `Storage::create`
    Create,
    /// `Storage::open` and `Storage::open_read`
    Open,
    /// `Storage::rename`
    Rename,
    /// `Storage::remove`
    Remove,
    /// `Storage::list`
    List,
    /// `Storage::create_directory`
    CreateDirectory,
    /// `Storage::sync_directory`
    SyncDirectory,
    /// `StorageFile::read_at`
    Read,
    /// `StorageFile::write_at`
    Write,
    /// `StorageFile::sync_data`
    Sync,
    /// `StorageFile::set_length`
    SetLength,
}

impl Operation {
    /// Number of kinds.
    pub(super) const COUNT: usize = Self::SetLength as usize + 1;

    /// Returns whether it changes what a crash could leave behind.
    pub(super) fn changes(self) -> bool {
        !matches!(self, Self::Open | Self::List | Self::Read)
    }
}

/// The effect of a failing [`Operation::Write`] or [`Operation::Sync`] before it returns its error. All other
/// operations fail without an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A write leaves nothing. A sync makes nothing durable and marks the pages clean: later syncs succeed, a crash
    /// loses the bytes.
    Nothing,
    /// A write leaves its first bytes (a short write, then an error). A sync makes some sectors durable and forgets the
    /// others.
    Partial,
    /// A write leaves nothing that can be read now, but all of it comes up after the next sync, or any part of it after
    /// a crash. A sync leaves the pages dirty: another one really syncs them.
    Later,
}

/// The error that a failing call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// `EIO`: the device failed.
    Device,
    /// `ENOSPC`: the disk is full.
    NoSpace,
    /// `EDQUOT`: the user's share of the disk is used up.
    Quota,
    /// `EMFILE`: the process has too many open files.
    ProcessFiles,
    /// `ENFILE`: the system has too many open files.
    SystemFiles,
    /// `ENOMEM`: the kernel has no memory for the call.
    Memory,
}

impl Cause {
    /// Every one of them.
    pub const ALL: [Cause; 6] =
        [Cause::Device, Cause::NoSpace, Cause::Quota, Cause::ProcessFiles, Cause::SystemFiles, Cause::Memory];

    const fn errno(self) -> Errno {
        match self {
            Cause::Device => Errno::IO,
            Cause::NoSpace => Errno::NOSPC,
            Cause::Quota => Errno::DQUOT,
            Cause::ProcessFiles => Errno::MFILE,
            Cause::SystemFiles => Errno::NFILE,
            Cause::Memory => Errno::NOMEM,
        }
    }
}

/// A failure to inject: the `nth` call of one kind, from now on, and as many after it as [`Fault::times`] says.
#[derive(Clone, Debug)]
pub struct Fault {
    pub(super) operation: Operation,
    pub(super) path: Option<String>,
    pub(super) skip: u64,
    pub(super) times: u64,
    pub(super) effect: Effect,
    pub(super) cause: Cause,
    pub(super) panics: bool,
}

impl Fault {
    /// Makes the next call of this kind fail once, with `EIO` and without an effect.
    #[must_use]
    pub fn next(operation: Operation) -> Self {
        Self::nth(operation, 1)
    }

    /// Makes the `nth` call of this kind, counted from 1, fail once, with `EIO` and without an effect.
    #[must_use]
    pub fn nth(operation: Operation, nth: u64) -> Self {
        let skip = nth.saturating_sub(1);
        Self { operation, path: None, skip, times: 1, effect: Effect::Nothing, cause: Cause::Device, panics: false }
    }

    /// Limits the fault to calls on paths that contain `part`: no others count or fail.
    #[must_use]
    pub fn on(mut self, part: impl Into<String>) -> Self {
        self.path = Some(part.into());
        self
    }

    /// Makes so many calls in a row fail.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Makes all calls fail until the fault is cleared.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u64::MAX)
    }

    /// Sets the effect of the call before it fails.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Makes the call fail with `ENOSPC` instead of `EIO`.
    #[must_use]
    pub fn no_space(self) -> Self {
        self.because(Cause::NoSpace)
    }

    /// Makes the call panic, as a defect of its caller would.
    #[must_use]
    pub fn panics(mut self) -> Self {
        self.panics = true;
        self
    }

    /// Makes the call fail with the error of `cause` instead of `EIO`.
    #[must_use]
    pub fn because(mut self, cause: Cause) -> Self {
        self.cause = cause;
        self
    }
}

/// Names an injected fault, to count its hits or clear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(pub(super) usize);

/// A fault that was injected, and how often it struck.
#[derive(Debug)]
pub(super) struct Armed {
    fault: Fault,
    pub(super) hits: u64,
}

/// A fault that strikes this very call.
#[derive(Debug)]
pub(super) struct Strike {
    pub(super) effect: Effect,
    cause: Cause,
    panics: bool,
}

impl Strike {
    #[allow(clippy::panic, reason = "a storage for tests, which panics when a test asks for it")]
    pub(super) fn error(&self) -> io::Error {
        if self.panics {
            panic!("a defect of the test's own");
        }
        self.cause.errno().into()
    }
}

impl Armed {
    pub(super) fn new(fault: Fault) -> Self {
        Self { fault, hits: 0 }
    }

    pub(super) fn disarm(&mut self) {
        self.fault.times = 0;
    }

    pub(super) fn strikes(&mut self, operation: Operation, path: &Path) -> Option<Strike> {
        let fault = &mut self.fault;
        let meant = |part: &String| path.to_string_lossy().contains(part.as_str());
        if fault.times == 0 || fault.operation != operation || !fault.path.as_ref().is_none_or(meant) {
            return None;
        }
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        if fault.times != u64::MAX {
            fault.times -= 1;
        }
        self.hits += 1;
        Some(Strike { effect: fault.effect, cause: fault.cause, panics: fault.panics })
    }
}
