//! The place of damaged files and ranges after a repair: `quarantine/<time>/`, described by `quarantine/<time>.json`.
//! Nothing in there is ever read by a running log; the descriptions tell `verify` which offsets are known to be gone.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ids::Timestamp;
use crate::storage::{Storage, Synced, read_readable_at, remove_if_there};
use crate::time::format_micros;

/// The directory of everything that was repaired.
pub(super) const QUARANTINE_DIRECTORY: &str = "quarantine";
/// The version of the description's shape.
const MANIFEST_VERSION: u32 = 1;
const UNFINISHED: &str = "quarantine/unfinished";

/// Offsets of one partition, from `start` up to but not including `end`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OffsetRange {
    /// The stream's name.
    pub stream: String,
    /// The stream's identity.
    pub stream_id: u32,
    /// The partition.
    pub partition: u32,
    /// The first offset.
    pub start: u64,
    /// The offset after the last.
    pub end: u64,
}

/// Something that was put aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The file it comes from, relative to the data directory.
    pub from: String,
    /// First byte and length; `None` for a whole file.
    pub range: Option<(u64, u64)>,
    /// The path of the copy, relative to the data directory.
    pub to: String,
    /// Number of bytes.
    pub bytes: u64,
    /// Ranges that the medium does not give back; zeros stand for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<(u64, u64)>,
    /// The damage, in one sentence.
    pub what: String,
}

/// The description of one repair; it stands beside what was quarantined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The version of this shape.
    pub version: u32,
    /// When, in RFC 3339.
    pub created: String,
    /// The directory of the items, relative to the data directory.
    pub directory: String,
    /// Quarantined files and ranges.
    pub items: Vec<Item>,
    /// Offsets whose records are gone.
    pub lost: Vec<OffsetRange>,
    /// Offsets that are left out, since records whose number is unknown may have had them.
    pub skipped: Vec<OffsetRange>,
    /// Notes on what was made anew, and on anything else an operator should know.
    pub notes: Vec<String>,
}

impl Manifest {
    /// Makes an empty description.
    #[must_use]
    pub(super) fn new(now: Timestamp) -> Self {
        let created = format_micros(now);
        let compact: String = created.chars().filter(|char| !matches!(char, '-' | ':')).collect();
        let directory = format!("{QUARANTINE_DIRECTORY}/{compact}");
        let (items, lost, skipped, notes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { version: MANIFEST_VERSION, created, directory, items, lost, skipped, notes }
    }

    /// Plans to put a file, or a range of it, aside.
    pub(crate) fn put_aside(&mut self, from: &str, range: Option<(u64, u64)>, bytes: u64, what: &str) {
        let suffix = range.map_or(String::new(), |(position, _)| format!("@{position}"));
        let to = format!("{}/{}{suffix}", self.directory, from.replace('/', "-"));
        if self.items.iter().all(|item| item.to != to) {
            let (from, what) = (from.to_owned(), what.to_owned());
            self.items.push(Item { from, range, to, bytes, unreadable: Vec::new(), what });
        }
    }

    /// Returns bytes that the copies take.
    pub(crate) fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.bytes).sum()
    }

    /// Copies everything, then writes the description; all of it is durable when this returns.
    pub(crate) fn write(&mut self, storage: &dyn Storage) -> io::Result<()> {
        storage.create_directory(Path::new(&self.directory))?;
        for item in &mut self.items {
            let file = storage.open_read(Path::new(&item.from))?;
            let range = item.range.unwrap_or((0, item.bytes));
            let (bytes, unreadable) = read_readable_at(file.as_ref(), range)?;
            write_new(storage, Path::new(&item.to), &bytes)?;
            item.unreadable = unreadable;
        }
        storage.sync_directory(Path::new(&self.directory))?;
        // A struct of numbers and strings always serialises.
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        remove_if_there(storage, Path::new(UNFINISHED))?;
        write_new(storage, Path::new(UNFINISHED), &text)?;
        storage.rename(Path::new(UNFINISHED), &PathBuf::from(format!("{}.json", self.directory)))?;
        storage.sync_directory(Path::new(QUARANTINE_DIRECTORY))
    }
}

/// Returns every offset that earlier repairs recorded as gone.
///
/// # Errors
/// When the directory is there and cannot be read.
pub(crate) fn recorded(storage: &dyn Storage) -> io::Result<Vec<OffsetRange>> {
    let entries = match storage.list(Path::new(QUARANTINE_DIRECTORY)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut ranges = Vec::new();
    for entry in entries.iter().filter(|entry| entry.name.ends_with(".json")) {
        let file = storage.open_read(&Path::new(QUARANTINE_DIRECTORY).join(&entry.name))?;
        let (bytes, _) = read_readable_at(file.as_ref(), (0, entry.bytes))?;
        // A description that was edited away only means that its offsets are reported again.
        if let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) {
            ranges.extend(manifest.lost);
            ranges.extend(manifest.skipped);
        }
    }
    Ok(ranges)
}

fn write_new(storage: &dyn Storage, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = storage.create(path)?;
    file.write_at(bytes, 0)?;
    let _: Synced = file.sync_data()?;
    Ok(())
}
