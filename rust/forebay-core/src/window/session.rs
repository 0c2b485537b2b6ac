use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::aggregate::{Aggregates, Cell, Sample};
use super::chunk_log::{ChunkChange, ChunkHeader, ChunkLog, RowPlace};
use super::codec::{Reader, put, put_bytes, put_signed};
use super::spec::EventTime;

/// The bytes of a session beside its key and its cells: its entry, and its places in the two indexes.
const SESSION_OVERHEAD: usize = 128;

/// What a row takes at most beside its key and its sessions: two lengths.
const ROW_BYTES: usize = 5;

/// What a session takes at most in a row beside its cells: two times of 54 bits, and a count.
const SESSION_ROW_BYTES: usize = 21;

/// The records of one key that are less than a gap apart.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) first: EventTime,
    pub(super) last: EventTime,
    /// Records.
    pub(super) events: u64,
    pub(super) cells: Vec<Cell>,
}

impl Session {
    fn of_record(plan: &Aggregates, sample: &Sample<'_>) -> (Self, u64) {
        let mut cells = Vec::with_capacity(plan.cells());
        plan.begin(&mut cells);
        let skipped = plan.add(&mut cells, sample);
        (Self { first: sample.time, last: sample.time, events: 1, cells }, skipped)
    }

    fn is_reached(&self, time: EventTime, gap: i64) -> bool {
        time.since(self.last) < gap && self.first.since(time) < gap
    }

    fn merge(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.events += other.events;
        self.cells.iter_mut().zip(&other.cells).for_each(|(cell, other)| cell.merge(other));
    }

    fn cells_bytes(&self) -> usize {
        self.cells.iter().map(|cell| size_of::<Cell>() + cell.heap_bytes()).sum()
    }

    /// Returns the memory that it takes.
    fn bytes(&self, key: &[u8]) -> usize {
        SESSION_OVERHEAD + key.len() + self.cells_bytes()
    }

    /// Returns what it takes at most in a row: no cell is longer on the disk than in memory.
    fn row_bound(&self) -> usize {
        SESSION_ROW_BYTES + self.cells_bytes()
    }
}

/// The sessions of one key.
#[derive(Clone, Debug, Default)]
struct KeySessions {
    /// At least a gap apart, and in order.
    sessions: Vec<Session>,
    /// What they take at most in a row.
    bound: usize,
    row: RowPlace,
    /// Whether the row is to be written.
    is_changed: bool,
}

impl KeySessions {
    fn row_bound(&self, key: &[u8]) -> usize {
        ROW_BYTES + key.len() + self.bound
    }

    /// Returns the part that it has of what is to be written.
    fn changed_bytes(&self, key: &[u8]) -> usize {
        if self.is_changed { self.row_bound(key) } else { 0 }
    }

    fn write(&self, key: &[u8], out: &mut Vec<u8>) {
        put_bytes(out, key);
        put(out, self.sessions.len() as u64);
        for session in &self.sessions {
            put_signed(out, session.first.millis());
            put(out, session.last.since(session.first).unsigned_abs());
            put(out, session.events);
            session.cells.iter().for_each(|cell| cell.encode(out));
        }
    }

    fn read(plan: &Aggregates, reader: &mut Reader<'_>) -> Option<Vec<Session>> {
        let sessions = (0..reader.count(3)?).map(|_| {
            let first = EventTime::of_bound(reader.signed()?)?;
            let last = first.plus(i64::try_from(reader.number()?).ok()?);
            Some(Session { first, last, events: reader.number()?, cells: plan.decode(reader)? })
        });
        sessions.collect()
    }
}

/// The open sessions of a shard's keys.
///
/// The row of a key has all of its sessions. One that says that there are none is of use only while an older chunk has
/// another row of the key: as chunks are cleaned in their order, it is not written again when its own is.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    /// A key without sessions stays until its row says so.
    by_key: HashMap<Arc<[u8]>, KeySessions>,
    /// Their last records' times with their keys: the order in which they close.
    by_end: BTreeSet<(EventTime, Arc<[u8]>)>,
    /// The keys whose rows are to be written.
    changed: Vec<Arc<[u8]>>,
    /// What these rows take at most.
    changed_bytes: usize,
    log: ChunkLog<Arc<[u8]>>,
    /// Those of `by_end` whose results are to be given early.
    updated: BTreeSet<(EventTime, Arc<[u8]>)>,
    session_bytes: usize,
}

impl Sessions {
    /// Adds a record: it joins the sessions that it reaches, which are one from then on, and one that has an early result
    /// to give if `is_update`. Returns how many cells could make nothing of their field.
    pub(super) fn add(&mut self, plan: &Aggregates, gap: i64, key: &[u8], sample: &Sample<'_>, is_update: bool) -> u64 {
        let key: Arc<[u8]> = self.by_key.get_key_value(key).map_or_else(|| key.into(), |(key, _)| Arc::clone(key));
        let (mut joined, skipped) = Session::of_record(plan, sample);
        let entry = self.by_key.entry(Arc::clone(&key)).or_default();
        let bound = entry.changed_bytes(&key);
        let sessions = &mut entry.sessions;
        let begin = sessions.iter().position(|session| session.is_reached(sample.time, gap));
        let begin = begin.unwrap_or_else(|| sessions.partition_point(|session| session.last < sample.time));
        let count = sessions[begin..].iter().take_while(|session| session.is_reached(sample.time, gap)).count();
        for session in sessions.drain(begin..begin + count) {
            entry.bound -= session.row_bound();
            self.session_bytes -= session.bytes(&key);
            let place = (session.last, Arc::clone(&key));
            self.by_end.remove(&place);
            self.updated.remove(&place);
            joined.merge(&session);
        }
        entry.bound += joined.row_bound();
        self.session_bytes += joined.bytes(&key);
        self.by_end.insert((joined.last, Arc::clone(&key)));
        if is_update {
            self.updated.insert((joined.last, Arc::clone(&key)));
        }
        sessions.insert(begin, joined);
        self.changed_bytes = self.changed_bytes + entry.row_bound(&key) - bound;
        if !std::mem::replace(&mut entry.is_changed, true) {
            self.changed.push(key);
        }
        skipped
    }

    /// Takes out the session that ends first, if its last record is not later than `until`.
    pub(super) fn take(&mut self, until: EventTime) -> Option<(Arc<[u8]>, Session)> {
        if self.by_end.first()?.0 > until {
            return None;
        }
        let place = self.by_end.pop_first()?;
        self.updated.remove(&place);
        let (last, key) = place;
        let entry = self.by_key.get_mut(&key)?;
        let bound = entry.changed_bytes(&key);
        let at = entry.sessions.iter().position(|session| session.last == last)?;
        let session = entry.sessions.remove(at);
        entry.bound -= session.row_bound();
        self.session_bytes -= session.bytes(&key);
        if entry.sessions.is_empty() && !entry.row.is_written() {
            // Nobody has heard of it.
            self.changed_bytes -= bound;
            self.by_key.remove(&key);
            return Some((key, session));
        }
        self.changed_bytes = self.changed_bytes + entry.row_bound(&key) - bound;
        if !std::mem::replace(&mut entry.is_changed, true) {
            self.changed.push(Arc::clone(&key));
        }
        Some((key, session))
    }

    /// Takes note that the early result is given of the session that ends first of those that have one. Returns the time
    /// of its last record, and its key.
    pub(super) fn next_update(&mut self) -> Option<(EventTime, Arc<[u8]>)> {
        self.updated.pop_first()
    }

    /// Returns whether a session has an early result to give.
    pub(super) fn has_updates(&self) -> bool {
        !self.updated.is_empty()
    }

    /// Forgets all early results.
    pub(super) fn drop_updates(&mut self) {
        self.updated.clear();
    }

    /// Returns the sessions, the one that ends last first.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Session> {
        self.by_end.iter().rev().filter_map(|(last, key)| self.find(key, *last))
    }

    pub(super) fn find(&self, key: &[u8], last: EventTime) -> Option<&Session> {
        self.by_key.get(key)?.sessions.iter().find(|session| session.last == last)
    }

    /// Gives what has changed in the chunks since the last time, and removes at most `removes` of them.
    pub(super) fn changes(&mut self, removes: &mut usize, write: &mut dyn FnMut(ChunkChange)) {
        if self.changed.is_empty() {
            return;
        }
        self.changed_bytes = 0;
        let header = ChunkHeader { events: 0, has_updates: self.has_updates() };
        if self.by_end.is_empty() && self.log.len() <= *removes {
            *removes -= self.log.len();
            self.log.clear(write);
            self.by_key.clear();
            self.changed.clear();
            return;
        }
        let mut writer = self.log.writer(header, write);
        for key in self.changed.drain(..) {
            // A key may be there twice, when its first sessions have gone without a row.
            let Some(entry) = self.by_key.get_mut(&key).filter(|entry| entry.is_changed) else { continue };
            entry.row = writer.add(Arc::clone(&key), entry.row, |out| entry.write(&key, out));
            entry.is_changed = false;
            if entry.sessions.is_empty() {
                writer.forget(entry.row);
                self.by_key.remove(&key);
            }
        }
        while let Some((key, chunk)) = writer.next_old(removes) {
            if let Some(entry) = self.by_key.get_mut(&key).filter(|entry| entry.row.is_in(chunk)) {
                entry.row = writer.add(Arc::clone(&key), entry.row, |out| entry.write(&key, out));
            }
        }
        writer.finish();
    }

    /// Returns what [`Sessions::changes`] would write at most now.
    pub(super) fn unwritten(&self) -> usize {
        self.log.with_cleaning(self.changed_bytes)
    }

    /// Takes up a chunk that was written; `None` when it is damaged. When early results are given, all of its sessions
    /// are noted if some of them were: one may come twice, and none is lost.
    pub(super) fn restore(
        &mut self,
        plan: &Aggregates,
        chunk_number: u64,
        chunk: &[u8],
        gives_updates: bool,
    ) -> Option<()> {
        let mut reader = Reader(chunk);
        let are_updated = ChunkHeader::read(&mut reader)?.has_updates && gives_updates;
        let mut rows = 0;
        while !reader.is_empty() {
            let before = reader.0.len();
            let key: Arc<[u8]> = reader.bytes()?.into();
            let sessions = KeySessions::read(plan, &mut reader)?;
            let old = self.by_key.remove(&key).unwrap_or_default();
            for session in &old.sessions {
                self.session_bytes -= session.bytes(&key);
                let place = (session.last, Arc::clone(&key));
                self.by_end.remove(&place);
                self.updated.remove(&place);
            }
            let length = before - reader.0.len();
            let row = self.log.restore_row(chunk_number, Arc::clone(&key), old.row, length);
            rows += 1;
            if sessions.is_empty() {
                self.log.forget(row);
                continue;
            }
            for session in &sessions {
                self.session_bytes += session.bytes(&key);
                self.by_end.insert((session.last, Arc::clone(&key)));
                if are_updated {
                    self.updated.insert((session.last, Arc::clone(&key)));
                }
            }
            let bound = sessions.iter().map(Session::row_bound).sum();
            self.by_key.insert(key, KeySessions { sessions, bound, row, is_changed: false });
        }
        self.log.restored(chunk_number, chunk.len(), rows)
    }

    pub(super) fn newest_last(&self) -> Option<EventTime> {
        self.by_end.last().map(|(last, _)| *last)
    }

    pub(super) fn is_due(&self, until: EventTime) -> bool {
        self.by_end.first().is_some_and(|(last, _)| *last <= until)
    }

    /// Returns the memory that they take.
    pub(super) fn bytes(&self) -> usize {
        self.session_bytes + self.log.heap_bytes()
    }
}
