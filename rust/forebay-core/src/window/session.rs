use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::aggregate::{Aggregates, Cell, Sample};
use super::codec::{Reader, put, put_bytes, put_signed};
use super::pane::Chunk;
use super::spec::EventTime;

/// The bytes of a session beside its key and its cells: its entry, and its places in the two indexes.
const SESSION_OVERHEAD: usize = 128;

/// Rows of fewer bytes are not written anew, however many of them are old.
const LEAST_REWRITTEN_BYTES: usize = 4096;

/// The records of one key that are less than a gap apart.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) first: EventTime,
    pub(super) last: EventTime,
    pub(super) cells: Vec<Cell>,
}

impl Session {
    fn is_reached(&self, time: EventTime, gap: i64) -> bool {
        time.since(self.last) < gap && self.first.since(time) < gap
    }

    fn bytes(&self, key: &[u8]) -> usize {
        let cells: usize = self.cells.iter().map(|cell| size_of::<Cell>() + cell.heap_bytes()).sum();
        SESSION_OVERHEAD + key.len() + cells
    }
}

/// The open sessions of a shard's keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    /// Those of one key are at least a gap apart, and in order.
    by_key: HashMap<Arc<[u8]>, Vec<Session>>,
    /// Their last records' times with their keys: the order in which they close.
    by_end: BTreeSet<(EventTime, Arc<[u8]>)>,
    /// The keys whose rows are to be written.
    changed: BTreeSet<Arc<[u8]>>,
    /// Bytes of all rows that were written.
    written: usize,
    pub(super) bytes: usize,
}

impl Sessions {
    /// Adds a record: it joins the sessions that it reaches, which are one from then on. Returns how many cells could make
    /// nothing of their field.
    pub(super) fn add(&mut self, plan: &Aggregates, gap: i64, key: &[u8], sample: &Sample<'_>) -> u64 {
        let key: Arc<[u8]> = self.by_key.get_key_value(key).map_or_else(|| key.into(), |(key, _)| Arc::clone(key));
        let sessions = self.by_key.entry(Arc::clone(&key)).or_default();
        let mut joined = Session { first: sample.time, last: sample.time, cells: Vec::with_capacity(plan.cells()) };
        plan.begin(&mut joined.cells);
        let skipped = plan.add(&mut joined.cells, sample);
        let begin = sessions.iter().position(|session| session.is_reached(sample.time, gap));
        let begin = begin.unwrap_or_else(|| sessions.partition_point(|session| session.last < sample.time));
        let count = sessions[begin..].iter().take_while(|session| session.is_reached(sample.time, gap)).count();
        for session in sessions.drain(begin..begin + count) {
            self.bytes -= session.bytes(&key);
            self.by_end.remove(&(session.last, Arc::clone(&key)));
            joined.first = joined.first.min(session.first);
            joined.last = joined.last.max(session.last);
            joined.cells.iter_mut().zip(&session.cells).for_each(|(cell, other)| cell.merge(other));
        }
        self.bytes += joined.bytes(&key);
        self.by_end.insert((joined.last, Arc::clone(&key)));
        sessions.insert(begin, joined);
        self.changed.insert(key);
        skipped
    }

    /// Takes out the session that ends first, if its last record is not later than `until`.
    pub(super) fn take(&mut self, until: EventTime) -> Option<(Arc<[u8]>, Session)> {
        if self.by_end.first()?.0 > until {
            return None;
        }
        let (last, key) = self.by_end.pop_first()?;
        let sessions = self.by_key.get_mut(&key)?;
        let at = sessions.iter().position(|session| session.last == last)?;
        let session = sessions.remove(at);
        if sessions.is_empty() {
            self.by_key.remove(&key);
        }
        self.bytes -= session.bytes(&key);
        self.changed.insert(Arc::clone(&key));
        Some((key, session))
    }

    /// Returns what has changed since the last time: the rows of keys with all of their sessions, which may be none.
    pub(super) fn take_chunk(&mut self) -> Option<Chunk> {
        if self.changed.is_empty() {
            return None;
        }
        let mut chunk = Vec::new();
        for key in std::mem::take(&mut self.changed) {
            write_row(&key, self.by_key.get(&key).map_or(&[], Vec::as_slice), &mut chunk);
        }
        self.written += chunk.len();
        if self.written <= 2 * self.bytes.max(LEAST_REWRITTEN_BYTES) {
            return Some(Chunk::Some(chunk));
        }
        chunk.clear();
        for (key, sessions) in &self.by_key {
            write_row(key, sessions, &mut chunk);
        }
        self.written = chunk.len();
        Some(Chunk::All(chunk))
    }

    /// Takes up rows that were written; `None` when they are damaged.
    pub(super) fn restore(&mut self, plan: &Aggregates, chunk: &[u8]) -> Option<()> {
        let mut reader = Reader(chunk);
        while !reader.is_empty() {
            let key: Arc<[u8]> = reader.bytes()?.into();
            for session in self.by_key.remove(&key).unwrap_or_default() {
                self.bytes -= session.bytes(&key);
                self.by_end.remove(&(session.last, Arc::clone(&key)));
            }
            let mut sessions = Vec::new();
            for _ in 0..reader.count(2)? {
                let first = EventTime::of_bound(reader.signed()?)?;
                let last = first.plus(i64::try_from(reader.number()?).ok()?);
                let session = Session { first, last, cells: plan.decode(&mut reader)? };
                self.bytes += session.bytes(&key);
                self.by_end.insert((last, Arc::clone(&key)));
                sessions.push(session);
            }
            if !sessions.is_empty() {
                self.by_key.insert(key, sessions);
            }
        }
        self.written += chunk.len();
        Some(())
    }

    pub(super) fn newest_last(&self) -> Option<EventTime> {
        self.by_end.last().map(|(last, _)| *last)
    }

    pub(super) fn is_due(&self, until: EventTime) -> bool {
        self.by_end.first().is_some_and(|(last, _)| *last <= until)
    }
}

fn write_row(key: &[u8], sessions: &[Session], out: &mut Vec<u8>) {
    put_bytes(out, key);
    put(out, sessions.len() as u64);
    for session in sessions {
        put_signed(out, session.first.millis());
        put(out, session.last.since(session.first).unsigned_abs());
        session.cells.iter().for_each(|cell| cell.encode(out));
    }
}
