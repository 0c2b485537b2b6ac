//! The clock of the log on the disk: all that a restart needs to go on from there.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::log_time::Leap;
use crate::bytes::{u32_at, u64_at};
use crate::ids::Timestamp;
use crate::storage::{Boot, Storage, StorageFile, Synced, read_exact_at};

/// The file, in the data directory.
pub const CLOCK_FILE: &str = "clock";

const MAGIC: &[u8; 8] = b"FBCLOCK1";
/// One sector each, so that a torn write leaves the other one.
const SLOT_BYTES: usize = 512;
const SLOTS: u64 = 2;
/// Bytes before the CRC.
const CHECKED_BYTES: usize = 64;
/// So many leaps are remembered one by one. There is one for each time that the clock of a machine that had just started
/// was set by more than an hour, or the machine was off twice before its clock was believed.
pub(super) const MOST_LEAPS: usize = 8;
const LEAP_BYTES: usize = 24;
/// Versions that knew of no leaps left these bytes zero: how far stamps are ahead, the leaps, and a CRC of all before it.
const AHEAD_AT: usize = 72;
const LEAPS_AT: usize = AHEAD_AT + 8;
const EXTENSION_END: usize = LEAPS_AT + MOST_LEAPS * LEAP_BYTES;
const _: () = assert!(EXTENSION_END + 4 <= SLOT_BYTES);

/// One reading of all the clocks together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) boot: Boot,
    /// The boot clock then, in microseconds.
    pub(super) clock: u64,
    /// The log's time then.
    pub(super) log: i64,
    /// The time of windows then.
    pub(super) window: i64,
    /// Lead of the wall clock over the log's time, in microseconds, when they were last believed to agree.
    pub(super) offset: i64,
    /// Since when, in the log's time, it is not known how long the machine was off; `None` when it is.
    pub(super) open_since: Option<i64>,
    /// By how much stamps are ahead of the log's time meanwhile.
    pub(super) ahead: i64,
    /// The leaps that stamps have not followed, oldest first: at most [`MOST_LEAPS`].
    pub(super) leaps: Vec<Leap>,
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
        let leaps = self.leaps.iter().flat_map(|leap| [leap.since.0, leap.until.0, leap.short]);
        for (place, word) in
            bytes[AHEAD_AT..EXTENSION_END].chunks_exact_mut(8).zip([self.ahead].into_iter().chain(leaps))
        {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[..EXTENSION_END]);
        bytes[EXTENSION_END..EXTENSION_END + 4].copy_from_slice(&crc.to_le_bytes());
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
        let (ahead, leaps) = Self::decode_leaps(bytes).unwrap_or_default();
        let anchor = Self {
            boot: Boot(word(1)?),
            clock: word(2)?,
            log: signed(3)?,
            window: signed(4)?,
            offset: signed(5)?,
            open_since: signed(6).filter(|since| *since != i64::MIN),
            ahead,
            leaps,
        };
        Some((word(0)?, anchor))
    }

    /// `None` in what a version has written that knew of none: its stamps count as not ahead, which makes them newer.
    fn decode_leaps(bytes: &[u8]) -> Option<(i64, Vec<Leap>)> {
        if u32_at(bytes, EXTENSION_END)? != crc32c::crc32c(bytes.get(..EXTENSION_END)?) {
            return None;
        }
        let word = |at: usize| u64_at(bytes, at).map(u64::cast_signed);
        let leap = |at: usize| {
            let (since, until) = (Timestamp(word(at)?), Timestamp(word(at + 8)?));
            Some(Leap { since, until, short: word(at + 16)? }).filter(|leap| *leap != Leap::default())
        };
        let leaps = (LEAPS_AT..EXTENSION_END).step_by(LEAP_BYTES).map_while(leap).collect();
        Some((word(AHEAD_AT)?, leaps))
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
        let next = newest.as_ref().map_or(0, |(number, _)| number + 1);
        (Self { storage: Arc::clone(storage), file: None, next }, newest.map(|(_, anchor)| anchor))
    }

    fn read(storage: &dyn Storage) -> io::Result<Option<(u64, Anchor)>> {
        let file = storage.open_read(Path::new(CLOCK_FILE))?;
        let mut newest: Option<(u64, Anchor)> = None;
        for slot in 0..SLOTS {
            let mut bytes = [0; SLOT_BYTES];
            if read_exact_at(file.as_ref(), &mut bytes, slot * SLOT_BYTES as u64).is_ok()
                && let Some(found) = Anchor::decode(&bytes)
                && newest.as_ref().is_none_or(|(number, _)| *number < found.0)
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
        file.write_at(&anchor.encode(self.next), position)?;
        let _: Synced = file.sync_data()?;
        self.next += 1;
        self.file = Some(file);
        Ok(())
    }
}
