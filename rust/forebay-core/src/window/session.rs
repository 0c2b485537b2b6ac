use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::aggregate::{Aggregates, Cell, Sample};
use super::spec::EventTime;

/// The bytes of a session beside its key and its cells: its entry, and its places in the two indexes.
const SESSION_OVERHEAD: usize = 128;

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
        Some((key, session))
    }

    pub(super) fn newest_last(&self) -> Option<EventTime> {
        self.by_end.last().map(|(last, _)| *last)
    }

    pub(super) fn is_due(&self, until: EventTime) -> bool {
        self.by_end.first().is_some_and(|(last, _)| *last <= until)
    }
}
