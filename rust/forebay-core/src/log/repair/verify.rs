//! Checks a whole data directory without changing it.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::quarantine::OffsetRange;
use super::read_progress::ReadProgress;
use super::survey::Finding;
use super::survey::{Survey, path_of};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{DirectoryLock, Storage, locked};

/// The findings of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Number of streams.
    pub streams: u64,
    /// Their partitions.
    pub partitions: u64,
    /// Records that can be read.
    pub records: u64,
    /// Files checked.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Everything that is not what was written.
    pub findings: Vec<Finding>,
    /// Offsets that an earlier repair recorded as gone, and that would be kept still.
    pub quarantined: Vec<OffsetRange>,
    /// Segments that nothing refers to: of a sealing or a deletion that a crash interrupted. The next start removes
    /// them.
    pub orphans: Vec<String>,
}

impl VerifyReport {
    /// Returns whether nothing is damaged beyond what an earlier repair recorded.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    pub(crate) fn of(survey: &Survey) -> Self {
        let partitions = survey.partitions();
        let held = |key: &_| survey.held.get(key).map_or(0, |held| held.count(survey.start(*key), survey.end(*key)));
        Self {
            streams: survey.definitions.len() as u64,
            partitions: partitions.len() as u64,
            records: partitions.iter().map(held).sum(),
            files: survey.files,
            bytes: survey.bytes,
            findings: survey.findings.clone(),
            quarantined: still_kept(survey),
            orphans: survey.orphans().into_iter().map(path_of).collect(),
        }
    }
}

/// Returns the offsets that earlier repairs recorded, without those that retention has passed since.
fn still_kept(survey: &Survey) -> Vec<OffsetRange> {
    let kept = |range: &OffsetRange| {
        let key = (crate::ids::StreamId(range.stream_id), crate::ids::PartitionId(range.partition));
        let start = range.start.max(survey.start(key));
        (start < range.end).then(|| OffsetRange { start, ..range.clone() })
    };
    survey.recorded.iter().filter_map(kept).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Checks everything: state files, journal files frame by frame, segment files record by record, the segments table
/// against the files, and that the offsets of each partition follow each other.
///
/// # Errors
/// `DirectoryLocked` while a process has the directory open; `StorageUnavailable` when it cannot be read at all, or is
/// not a data directory.
pub fn verify(storage: &Arc<dyn Storage>) -> Result<VerifyReport> {
    verify_with(storage, &ReadProgress::default())
}

/// Checks everything as [`verify`] does, and says in `progress` how far it is.
///
/// # Errors
/// Fails as [`verify`] does.
pub fn verify_with(storage: &Arc<dyn Storage>, progress: &ReadProgress) -> Result<VerifyReport> {
    let _lock = locked_by(storage, storage.lock_to_read())?;
    let survey = Survey::of(storage.as_ref(), progress).map_err(|error| unusable(storage, &error))?;
    Ok(VerifyReport::of(&survey))
}

/// Locks a directory that is to be changed.
pub(crate) fn lock(storage: &Arc<dyn Storage>) -> Result<Box<dyn DirectoryLock>> {
    locked_by(storage, storage.lock())
}

fn locked_by(
    storage: &Arc<dyn Storage>,
    lock: io::Result<Option<Box<dyn DirectoryLock>>>,
) -> Result<Box<dyn DirectoryLock>> {
    lock.map_err(|error| unusable(storage, &error))?.ok_or_else(|| locked(storage.as_ref()))
}

pub(crate) fn unusable(storage: &Arc<dyn Storage>, error: &io::Error) -> Error {
    let root = storage.root();
    let detail = if error.kind() == io::ErrorKind::NotFound {
        format!("{} is not a whole data directory: a file or directory is missing: {error}", root.display())
    } else {
        format!("data directory {} cannot be used: {error}", root.display())
    };
    Error::new(ErrorKind::StorageUnavailable, detail)
}
