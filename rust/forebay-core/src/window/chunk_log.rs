use std::collections::VecDeque;

use super::codec::{Reader, put};

/// The most bytes of a chunk, so that no row of the table that keeps it is large. A chunk is longer only when the row of
/// its single key is.
pub const MAX_CHUNK_BYTES: usize = 256 * 1024;

/// What a chunk costs beside its bytes: a row of the table, in memory and on the disk. It counts as old, so that many
/// small chunks are put together.
const CHUNK_OVERHEAD: usize = 256;

/// Chunks of fewer bytes are not cleaned, however many of their rows are old: a place with few keys is written, not
/// moved.
const LEAST_CLEANED_BYTES: usize = 4096;

/// The format of a chunk. Later releases read this one too.
const FORMAT: u8 = 1;

/// A step from the chunks that were written last to the present ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ChunkChange {
    Put(u64, Vec<u8>),
    Remove(u64),
}

/// What a chunk says of the whole place; the newest chunk counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ChunkHeader {
    /// Records in the pane.
    pub(super) events: u64,
    /// Whether some of what has changed in its rows, or in others', was not yet given early.
    pub(super) has_updates: bool,
}

impl ChunkHeader {
    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[FORMAT, u8::from(self.has_updates)]);
        put(out, self.events);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let [FORMAT, has_updates @ 0..=1] = reader.array()? else { return None };
        Some(Self { events: reader.number()?, has_updates: has_updates == 1 })
    }
}

/// Where the newest row of a key is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RowPlace {
    /// The low bits of its chunk's number: there are never so many chunks that they are those of two.
    chunk: u32,
    /// 0: no row is written.
    length: u32,
}

impl RowPlace {
    fn new(chunk: u64, length: usize) -> Self {
        Self { chunk: chunk as u32, length: u32::try_from(length).unwrap_or(u32::MAX) }
    }

    /// Returns whether a row of the key is written.
    pub(super) fn is_written(self) -> bool {
        self.length > 0
    }

    /// Returns whether the newest one is in the chunk with these low bits.
    pub(super) fn is_in(self, chunk: u32) -> bool {
        self.is_written() && self.chunk == chunk
    }
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    number: u64,
    bytes: usize,
    /// The rows that were not looked at yet to clean it.
    rows: usize,
}

/// The chunks of one place, as a log: rows are written at its end, and count instead of earlier ones of their keys.
///
/// When old rows take more than live ones, those rows of the oldest chunk that are live are written again, until the chunk
/// has none and is removed: of as many bytes in one step as were written in it anyway. So a step is bounded by what has
/// changed, and the log by about three times what is live: while live rows alone are met, as many bytes are added as are
/// live, and old ones follow, which cost nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct ChunkLog<K> {
    /// Oldest first.
    chunks: VecDeque<Chunk>,
    /// The keys of their rows.
    keys: VecDeque<K>,
    /// The number of the next chunk.
    next: u64,
    /// Bytes of all chunks, with what they cost beside.
    total: usize,
    /// Bytes of the newest row of each key.
    live: usize,
}

impl<K> ChunkLog<K> {
    /// Begins to write what has changed.
    pub(super) fn writer<'a>(
        &'a mut self,
        header: ChunkHeader,
        write: &'a mut dyn FnMut(ChunkChange),
    ) -> ChunkWriter<'a, K> {
        let first = self.next;
        ChunkWriter { log: self, header, chunk: Vec::new(), rows: 0, first, written: 0, allowed: None, write }
    }

    /// Takes up a row of the chunk that [`ChunkLog::restored`] ends.
    pub(super) fn restore_row(&mut self, number: u64, key: K, old: RowPlace, length: usize) -> RowPlace {
        self.keys.push_back(key);
        self.live = self.live + length - old.length as usize;
        RowPlace::new(number, length)
    }

    /// Takes up a chunk whose rows are taken up. `None` when it does not come behind the others.
    pub(super) fn restored(&mut self, number: u64, bytes: usize, rows: usize) -> Option<()> {
        (number >= self.next).then(|| self.push(Chunk { number, bytes, rows }))
    }

    /// Takes note that the newest row of a key says that there is nothing.
    pub(super) fn forget(&mut self, row: RowPlace) {
        self.live -= row.length as usize;
    }

    /// Returns the numbers of all chunks.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.chunks.iter().map(|chunk| chunk.number)
    }

    /// Returns how many chunks there are.
    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Removes all chunks.
    pub(super) fn clear(&mut self, write: &mut dyn FnMut(ChunkChange)) {
        self.numbers().for_each(|number| write(ChunkChange::Remove(number)));
        *self = Self { chunks: VecDeque::new(), keys: VecDeque::new(), next: self.next, total: 0, live: 0 };
    }

    /// Returns what is written for so many bytes of changed rows at most, with those that are written again.
    pub(super) fn with_cleaning(&self, changed: usize) -> usize {
        if changed > 0 && self.total + changed + CHUNK_OVERHEAD > 2 * self.live + LEAST_CLEANED_BYTES {
            changed + self.live.min(changed + CHUNK_OVERHEAD)
        } else {
            changed
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.chunks.capacity() * size_of::<Chunk>() + self.keys.capacity() * size_of::<K>()
    }

    fn push(&mut self, chunk: Chunk) {
        self.next = chunk.number + 1;
        self.total += chunk.bytes + CHUNK_OVERHEAD;
        self.chunks.push_back(chunk);
    }
}

/// Writes rows behind those of a log: first those that have changed, then, by [`ChunkWriter::next_old`], those that are to
/// leave the oldest chunk.
pub(super) struct ChunkWriter<'a, K> {
    log: &'a mut ChunkLog<K>,
    header: ChunkHeader,
    /// The chunk that is not yet written.
    chunk: Vec<u8>,
    rows: usize,
    /// The number of its first chunk: those from there on are not cleaned.
    first: u64,
    written: usize,
    /// How many bytes may be written, once it is known how many have changed.
    allowed: Option<usize>,
    write: &'a mut dyn FnMut(ChunkChange),
}

impl<K> ChunkWriter<'_, K> {
    /// Writes the row of a key, and returns its place. `old` is that of the row it had.
    pub(super) fn add(&mut self, key: K, old: RowPlace, encode: impl FnOnce(&mut Vec<u8>)) -> RowPlace {
        if self.rows == 0 {
            self.header.write(&mut self.chunk);
        }
        let before = self.chunk.len();
        encode(&mut self.chunk);
        let length = self.chunk.len() - before;
        if self.chunk.len() > MAX_CHUNK_BYTES && self.rows > 0 {
            let row = self.chunk.split_off(before);
            self.flush();
            self.header.write(&mut self.chunk);
            self.chunk.extend_from_slice(&row);
        }
        self.rows += 1;
        self.written += length;
        self.log.restore_row(self.log.next, key, old, length)
    }

    /// Takes note that the row that was written says that there is nothing.
    pub(super) fn forget(&mut self, row: RowPlace) {
        self.log.forget(row);
    }

    /// Returns the next key that has a row in the oldest chunk, if that is to be cleaned. The caller writes the row again
    /// when it [`RowPlace::is_in`] that one. Chunks that have no more such keys are removed, at most `removes` of them.
    pub(super) fn next_old(&mut self, removes: &mut usize) -> Option<(K, u32)> {
        let allowed = *self.allowed.get_or_insert(2 * self.written + CHUNK_OVERHEAD);
        loop {
            let log = &mut *self.log;
            let oldest = log.chunks.front_mut().filter(|oldest| oldest.number < self.first)?;
            let is_due = log.total + self.chunk.len() > 2 * log.live + LEAST_CLEANED_BYTES;
            if oldest.rows > 0 {
                if !is_due || self.written >= allowed {
                    return None;
                }
                oldest.rows -= 1;
                return Some((log.keys.pop_front()?, oldest.number as u32));
            }
            *removes = removes.checked_sub(1)?;
            log.total -= oldest.bytes + CHUNK_OVERHEAD;
            (self.write)(ChunkChange::Remove(oldest.number));
            log.chunks.pop_front();
        }
    }

    /// Writes the last chunk.
    pub(super) fn finish(mut self) {
        if self.rows > 0 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.shrink_to_fit();
        let number = self.log.next;
        self.log.push(Chunk { number, bytes: chunk.len(), rows: std::mem::take(&mut self.rows) });
        (self.write)(ChunkChange::Put(number, chunk));
    }
}
