//! Leaves out what cannot match by its stored bytes alone, before any JSON is looked at.

use std::ops::Range;

use super::needle::{Needle, disguise};

/// What a record must have for its JSON to be worth a look.
///
/// Its needles are in small letters and plain ASCII. So is a copy of the bytes that are searched, and where a character may
/// be ASCII in disguise, the record is looked at in any case.
#[derive(Debug, Default)]
pub(super) struct Prefilter {
    /// Of each of these, one needle; the longest first.
    clauses: Vec<Vec<Needle>>,
    /// The clause that is the rarest in the bytes.
    leader: usize,
    /// The value must have something beyond ASCII, or the number of a character.
    beyond_ascii: bool,
    /// The bytes in small letters.
    lowered: Vec<u8>,
    /// Where each needle of the leader comes next, and last a disguise.
    next: Vec<Option<usize>>,
}

impl Prefilter {
    /// Demands one of the needles.
    pub(super) fn demand(&mut self, needles: Vec<Needle>) {
        self.clauses.push(needles);
        // The longest is the rarest, as a rule: what has it not needs no look for the others.
        self.clauses.sort_by_key(|needles| std::cmp::Reverse(needles.iter().map(Needle::len).min()));
    }

    /// Demands a value that is not plain ASCII.
    pub(super) fn demand_beyond_ascii(&mut self) {
        self.beyond_ascii = true;
    }

    /// Takes the next bytes, of one record or many; false when none of them can match.
    pub(super) fn begin(&mut self, bytes: &[u8]) -> bool {
        if self.clauses.is_empty() {
            return true;
        }
        self.lowered.clear();
        self.lowered.extend_from_slice(bytes);
        self.lowered.make_ascii_lowercase();
        let lowered = self.lowered.as_slice();
        let disguised = disguise(lowered, 0);
        // What comes first late in these bytes is rare in them: it leads from record to record. Without a needle, a disguise does.
        let mut latest = None;
        for (index, needles) in self.clauses.iter().enumerate() {
            let first = needles.iter().filter_map(|needle| needle.find(lowered, 0)).min();
            if first.or(disguised).is_none() {
                return false;
            }
            let first = first.unwrap_or(usize::MAX);
            if latest.is_none_or(|latest| first > latest) {
                (self.leader, latest) = (index, Some(first));
            }
        }
        self.next.clear();
        let leader = self.clauses.get(self.leader).map(Vec::as_slice).unwrap_or_default();
        self.next.extend(leader.iter().map(|needle| needle.find(lowered, 0)));
        self.next.push(disguised);
        true
    }

    /// Returns the first place from `from` on where a record may begin to match, of the bytes that were taken last.
    #[inline]
    pub(super) fn next(&mut self, from: usize) -> Option<usize> {
        let Some(leader) = self.clauses.get(self.leader) else { return Some(from) };
        let lowered = self.lowered.as_slice();
        for (index, next) in self.next.iter_mut().enumerate() {
            if next.is_some_and(|at| at < from) {
                *next = leader.get(index).map_or_else(|| disguise(lowered, from), |needle| needle.find(lowered, from));
            }
        }
        self.next.iter().flatten().min().copied()
    }

    /// Returns whether a record that has such a place in it may match: its place in the bytes, and its value.
    #[inline]
    pub(super) fn admits(&self, range: Range<usize>, value: &[u8]) -> bool {
        if self.beyond_ascii && value.is_ascii() && memchr::memmem::find(value, b"\\u").is_none() {
            return false;
        }
        if self.clauses.len() < 2 {
            return true;
        }
        let lowered = self.lowered.get(range).unwrap_or_default();
        self.clauses.iter().all(|needles| has_one(needles, lowered)) || disguise(lowered, 0).is_some()
    }
}

fn has_one(needles: &[Needle], lowered: &[u8]) -> bool {
    needles.iter().any(|needle| needle.find(lowered, 0).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefilter(clauses: &[&[&str]]) -> Prefilter {
        let mut prefilter = Prefilter::default();
        for clause in clauses {
            prefilter.demand(clause.iter().filter_map(|text| Needle::of(text)).collect());
        }
        prefilter
    }

    /// The records among these that are worth a look.
    fn admitted(prefilter: &mut Prefilter, records: &[&str]) -> Vec<usize> {
        let bytes = records.concat();
        if !prefilter.begin(bytes.as_bytes()) {
            return Vec::new();
        }
        let (mut all, mut from) = (Vec::new(), 0);
        for (index, record) in records.iter().enumerate() {
            let range = from..from + record.len();
            let is_near = prefilter.next(from).is_some_and(|at| at < range.end);
            if is_near && prefilter.admits(range.clone(), record.as_bytes()) {
                all.push(index);
            }
            from = range.end;
        }
        all
    }

    #[test]
    fn records_are_told_apart_by_their_bytes() {
        let records = [
            "a TIMEOUT here.",
            "nothing.",
            "timeout of db",
            "DB",
            "\\u0074imeout",
            "diſc timeout db \\u00e9",
            "db timeout",
        ];
        assert_eq!(admitted(&mut prefilter(&[&["Timeout"]]), &records), [0, 2, 4, 5, 6]);
        assert_eq!(admitted(&mut prefilter(&[&["db"], &["timeout"]]), &records), [2, 4, 5, 6]);
        assert_eq!(admitted(&mut prefilter(&[&["nothing", "here"]]), &records), [0, 1, 4, 5]);
        assert_eq!(admitted(&mut prefilter(&[&["absent"], &["db"]]), &records[..4]), [0; 0]);
        assert_eq!(admitted(&mut prefilter(&[]), &records), [0, 1, 2, 3, 4, 5, 6]);
        let mut beyond = prefilter(&[]);
        beyond.demand_beyond_ascii();
        assert_eq!(admitted(&mut beyond, &records), [4, 5]);
    }
}
