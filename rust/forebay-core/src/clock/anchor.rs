//! What the clock of the log stood at, on the disk: all that a restart needs to go on from there.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use crate::bytes::{u32_at, u64_at};
use crate::storage::{Boot, Storage, StorageFile, Synced, read_exact_at};

/// The file, in the data directory.
pub const CLOCK_FILE: &str = "clock";

const MAGIC: &[u8; 8] = b"FBCLOCK1";
/// One sector each, so that a torn write leaves the other one.
const SLOT_BYTES: usize = 512;
const SLOTS: u64 = 2;
/// Bytes before the CRC.
const CHECKED_BYTES: usize = 64;

/// One reading of all the clocks together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) boot: Boot,
    /// The boot clock then, in microseconds.
    pub(super) clock: u64,
    /// The log's time then.
    pub(super) log: i64,
    /// The time of windows then.
    pub(super) window: i64,
    /// What the wall clock was ahead of the log's time when they were last believed to agree.
    pub(super) offset: i64,
    /// Since when, in the log's time, it is not known how long the machine was off; `None` when it is.
    pub(super) open_since: Option<i64>,
}

impl Anchor {
    fn encode(&self, number: u64) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        let open = self.open_since.unwrap_or(i64::MIN);
        let signed = [self.log, self.window, self.offset, open].map(i64::cast_unsigned);
        let words = [number, self.boot.0, self.clock].into_iter().chain(signed);
        for (place, word) in bytes[8..CHECKED_BYTES].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[..CHECKED_BYTES]);
        bytes[CHECKED_BYTES..CHECKED_BYTES + 4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The number of the writing, and what was written; `None` for bytes that are no anchor.
    fn decode(bytes: &[u8]) -> Option<(u64, Self)> {
        let sound =
            bytes.starts_with(MAGIC) && u32_at(bytes, CHECKED_BYTES)? == crc32c::crc32c(&bytes[..CHECKED_BYTES]);
        let word = |index: usize| u64_at(bytes, 8 + 8 * index);
        let signed = |index: usize| word(index).map(u64::cast_signed);
        if !sound {
            return None;
        }
        let anchor = Self {
            boot: Boot(word(1)?),
            clock: word(2)?,
            log: signed(3)?,
            window: signed(4)?,
            offset: signed(5)?,
            open_since: signed(6).filter(|since| *since != i64::MIN),
        };
        Some((word(0)?, anchor))
    }
}

/// The file with the anchors, of which the newest sound one counts.
#[derive(Debug)]
pub(super) struct AnchorFile {
    storage: Arc<dyn Storage>,
    file: Option<Arc<dyn StorageFile>>,
    next: u64,
}

impl AnchorFile {
    /// The file and the newest anchor in it; `None` for a file that is not there, or whose anchors are all damaged.
    pub(super) fn open(storage: &Arc<dyn Storage>) -> (Self, Option<Anchor>) {
        let newest = Self::read(storage.as_ref()).unwrap_or_default();
        let next = newest.map_or(0, |(number, _)| number + 1);
        (Self { storage: Arc::clone(storage), file: None, next }, newest.map(|(_, anchor)| anchor))
    }

    fn read(storage: &dyn Storage) -> io::Result<Option<(u64, Anchor)>> {
        let file = storage.open_read(Path::new(CLOCK_FILE))?;
        let mut newest: Option<(u64, Anchor)> = None;
        for slot in 0..SLOTS {
            let mut bytes = [0; SLOT_BYTES];
            if read_exact_at(file.as_ref(), &mut bytes, slot * SLOT_BYTES as u64).is_ok()
                && let Some(found) = Anchor::decode(&bytes)
                && newest.is_none_or(|(number, _)| number < found.0)
            {
                newest = Some(found);
            }
        }
        Ok(newest)
    }

    /// Makes an anchor durable, in place of the older one of the two.
    pub(super) fn write(&mut self, anchor: &Anchor) -> io::Result<()> {
        let path = Path::new(CLOCK_FILE);
        let file = match self.file.take() {
            Some(file) => file,
            None => match self.storage.open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let file = self.storage.create(path)?;
                    self.storage.sync_directory(Path::new(""))?;
                    file
                }
                opened => opened?,
            },
        };
        let position = self.next % SLOTS * SLOT_BYTES as u64;
        file.write_at(&[IoSlice::new(&anchor.encode(self.next))], position)?;
        let _: Synced = file.sync_data()?;
        self.next += 1;
        self.file = Some(file);
        Ok(())
    }
}
