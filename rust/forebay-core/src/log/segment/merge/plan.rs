//! Which parts of a stream become one: adjacent ones, and not so that retention would feel it.

use std::sync::Arc;

use crate::ids::Generation;
use crate::stream::{SegmentName, SegmentPart, Stream};

/// The size that a merge aims at, before compression: as much as a full journal file of one stream, so a reader of the
/// past opens as many files as if the stream had been the only one.
pub(super) const MERGED_BYTES: u64 = 32 * 1024 * 1024;
/// A part of this size stays as it is: to be written again would gain little. A journal file that is full of large
/// commits of one stream makes parts of a little less than a merge aims at.
const LARGE_BYTES: u64 = MERGED_BYTES * 3 / 4;
/// While a stream still grows, so many parts are gathered before they become one: with fewer, what is there would be
/// written again and again for each that comes.
const FAN_IN: usize = 8;
/// Parts of one merge: each is an open file and an index in memory.
pub(super) const MAX_SOURCES: usize = 32;
/// Parts that are looked at to find one merge.
pub(super) const WINDOW: usize = 8 * MAX_SOURCES;
/// A merged part is deleted at once, so it spans at most this share of what the stream keeps: in time, and
/// in bytes. Records are sealed within the same share.
const RETENTION_SHARE: u64 = 10;
/// The longest time that a merged part spans, by which a retention may be late that is chosen later: a week.
const MAX_SPAN_MS: u64 = 7 * 24 * 3600 * 1000;

/// The most that one part of a stream may cover.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    span_us: u64,
    stored_bytes: u64,
}

impl Bounds {
    pub(super) fn of(stream: &Stream) -> Self {
        let (ms, bytes) = stream.retention();
        Self::new(ms, bytes)
    }

    fn new(ms: Option<u64>, bytes: Option<u64>) -> Self {
        let span_ms = ms.map_or(MAX_SPAN_MS, |ms| (ms / RETENTION_SHARE).min(MAX_SPAN_MS));
        let stored_bytes = bytes.map_or(u64::MAX, |bytes| bytes / RETENTION_SHARE);
        Self { span_us: span_ms * 1000, stored_bytes }
    }
}

/// Parts of one stream that become one.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) stream: Arc<Stream>,
    /// Oldest first; adjacent.
    pub(super) parts: Vec<Arc<SegmentPart>>,
    /// The generation of the part that comes after them.
    pub(super) next: Option<Generation>,
}

impl Candidate {
    /// Returns the generation of the last part.
    pub(super) fn generation(&self) -> Generation {
        self.parts.last().map_or(Generation(0), |part| part.name.generation)
    }
}

/// The merges that are due of a stream's parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// These become one, the first of them the oldest. Their number is from 2 to `MAX_SOURCES`.
    Merge(Vec<Arc<SegmentPart>>),
    /// The first one stays as it is, whatever comes.
    Settled(SegmentName),
    /// More has to come.
    Nothing,
}

/// Chooses among the parts that are not settled, oldest first. `is_whole` when there are none behind them; `stays` tells
/// of parts that cannot be read.
pub(super) fn choose(
    parts: &[Arc<SegmentPart>],
    is_whole: bool,
    bounds: Bounds,
    stays: impl Fn(&SegmentPart) -> bool,
) -> Choice {
    let Some(first) = parts.first() else { return Choice::Nothing };
    if first.raw_bytes >= LARGE_BYTES || stays(first) {
        return Choice::Settled(first.name);
    }
    let (count, is_enough) = fitting(parts, bounds, stays);
    let group = &parts[..count];
    let is_closed = is_enough || count < parts.len() || !is_whole;
    if group.len() > MAX_SOURCES {
        return Choice::Merge(least(group).to_vec());
    }
    match (is_closed, group) {
        (true, [alone]) => Choice::Settled(alone.name),
        (true, group) => Choice::Merge(group.to_vec()),
        (false, group) => balanced(group).map_or(Choice::Nothing, |group| Choice::Merge(group.to_vec())),
    }
}

/// Returns how many parts from the first on may become one, and whether they are enough.
fn fitting(parts: &[Arc<SegmentPart>], bounds: Bounds, stays: impl Fn(&SegmentPart) -> bool) -> (usize, bool) {
    let (mut raw, mut stored) = (0, 0);
    let (mut oldest, mut newest) = (i64::MAX, i64::MIN);
    for (count, part) in parts.iter().enumerate() {
        oldest = oldest.min(part.oldest_append.0);
        newest = newest.max(part.newest_append.0);
        raw += part.raw_bytes;
        stored += part.stored_bytes;
        let is_apart = part.raw_bytes >= LARGE_BYTES || stays(part);
        let is_too_much = newest.abs_diff(oldest) > bounds.span_us || stored > bounds.stored_bytes;
        if count > 0 && (is_apart || is_too_much) {
            return (count, false);
        }
        if raw >= MERGED_BYTES {
            return (count + 1, true);
        }
    }
    (parts.len(), false)
}

/// Returns the adjacent parts that cost least, when there are more than one merge may have.
fn least(group: &[Arc<SegmentPart>]) -> &[Arc<SegmentPart>] {
    let raw = |parts: &[Arc<SegmentPart>]| parts.iter().map(|part| part.raw_bytes).sum::<u64>();
    group.windows(MAX_SOURCES).min_by_key(|parts| raw(parts)).unwrap_or(group)
}

/// Returns the newest parts, when there are enough of them: from the first that is not larger than all that came after
/// it. So what is written again at least doubles each time, and a record is as often as its stream can double. What
/// would become large by that waits until it is as large as is aimed at: it is not written again after.
fn balanced(group: &[Arc<SegmentPart>]) -> Option<&[Arc<SegmentPart>]> {
    let mut after = 0;
    let mut from = group.len();
    for (index, part) in group.iter().enumerate().rev() {
        if after + part.raw_bytes >= LARGE_BYTES {
            break;
        }
        if part.raw_bytes <= after || index + FAN_IN > group.len() {
            from = index;
        }
        after += part.raw_bytes;
    }
    group.get(from..).filter(|parts| parts.len() >= FAN_IN)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]
mod tests {
    use super::*;
    use crate::ids::Timestamp;

    const MINUTE: i64 = 60_000_000;
    const KIB: u64 = 1024;

    /// Returns a part a minute, of so many bytes each.
    fn parts(raw: &[u64]) -> Vec<Arc<SegmentPart>> {
        let part = |(index, raw_bytes): (usize, &u64)| {
            let name = SegmentName { generation: Generation(index as u64), ordinal: 0 };
            let newest_append = Timestamp(index as i64 * MINUTE);
            let oldest_append = Timestamp(newest_append.0 - MINUTE + 1);
            let (raw_bytes, stored_bytes) = (*raw_bytes, raw_bytes / 4);
            Arc::new(SegmentPart { raw_bytes, stored_bytes, newest_append, oldest_append, ..SegmentPart::new(name) })
        };
        raw.iter().enumerate().map(part).collect()
    }

    fn chosen(raw: &[u64], bounds: Bounds) -> Option<std::ops::Range<usize>> {
        let parts = parts(raw);
        match choose(&parts, true, bounds, |_| false) {
            Choice::Merge(merged) => {
                let at = parts.iter().position(|part| *part == merged[0]).unwrap();
                assert_eq!(parts[at..at + merged.len()], merged[..], "they are adjacent");
                assert!((2..=MAX_SOURCES).contains(&merged.len()));
                Some(at..at + merged.len())
            }
            Choice::Settled(_) | Choice::Nothing => None,
        }
    }

    const FREE: Bounds = Bounds { span_us: u64::MAX, stored_bytes: u64::MAX };

    #[test]
    fn few_small_parts_wait_for_more() {
        assert_eq!(choose(&[], true, FREE, |_| false), Choice::Nothing);
        assert_eq!(chosen(&[KIB; FAN_IN - 1], FREE), None);
        assert_eq!(chosen(&[KIB; FAN_IN], FREE), Some(0..FAN_IN));
        // Merged parts are left alone until as much has come again.
        let mut sizes = vec![10 * KIB];
        sizes.extend([KIB; FAN_IN]);
        assert_eq!(chosen(&sizes, FREE), Some(1..FAN_IN + 1));
        sizes[0] = 8 * KIB;
        assert_eq!(chosen(&sizes, FREE), Some(0..FAN_IN + 1));
    }

    #[test]
    fn what_is_merged_has_the_size_that_is_aimed_at_or_can_grow() {
        const MIB: u64 = 1024 * KIB;
        assert_eq!(chosen(&[16 * MIB, MIB, MIB, MIB, MIB, MIB, MIB, MIB, MIB], FREE), Some(1..9));
        assert_eq!(chosen(&[16 * MIB, 8 * MIB, MIB, MIB, MIB, MIB, MIB, MIB, MIB], FREE), None);
        assert_eq!(chosen(&[16 * MIB, 8 * MIB, 8 * MIB], FREE), Some(0..3));
    }

    #[test]
    fn enough_is_merged_at_once_and_large_parts_stay() {
        assert_eq!(chosen(&[MERGED_BYTES / 2, MERGED_BYTES / 2], FREE), Some(0..2));
        assert_eq!(chosen(&[MERGED_BYTES / 2, KIB, KIB, MERGED_BYTES], FREE), Some(0..3));
        let alone = parts(&[LARGE_BYTES, KIB]);
        assert_eq!(choose(&alone, true, FREE, |_| false), Choice::Settled(alone[0].name));
        let between = parts(&[KIB, LARGE_BYTES]);
        assert_eq!(choose(&between, true, FREE, |_| false), Choice::Settled(between[0].name));
    }

    #[test]
    fn what_cannot_be_read_is_left_alone() {
        let parts = parts(&[KIB, KIB, KIB, KIB]);
        let broken = |part: &SegmentPart| part.name == parts[2].name;
        assert_eq!(choose(&parts, true, FREE, broken), Choice::Merge(parts[..2].to_vec()));
        assert_eq!(choose(&parts[2..], true, FREE, broken), Choice::Settled(parts[2].name));
    }

    #[test]
    fn a_merge_has_not_too_many_sources() {
        let mut sizes = vec![2 * KIB; 40];
        sizes.extend([KIB; 40]);
        assert_eq!(chosen(&sizes, FREE), Some(40..40 + MAX_SOURCES));
        let all = parts(&vec![KIB; WINDOW]);
        let Choice::Merge(merged) = choose(&all, false, FREE, |_| false) else { panic!("nothing is chosen") };
        assert_eq!(merged.len(), MAX_SOURCES);
    }

    #[test]
    fn a_part_covers_a_tenth_of_what_is_kept_at_most() {
        // An hour's retention: six minutes.
        let hour = Bounds::new(Some(3_600_000), None);
        assert_eq!(chosen(&[KIB; 20], hour), Some(0..6));
        // 50 KiB, of which each part has a quarter of a KiB.
        assert_eq!(chosen(&[KIB; 30], Bounds::new(None, Some(50 * KIB))), Some(0..20));
        assert_eq!(chosen(&[KIB; 30], Bounds::new(None, Some(1))), None);
        let longest = Bounds::new(None, None);
        assert_eq!(longest.span_us, MAX_SPAN_MS * 1000);
        assert_eq!(Bounds::new(Some(u64::MAX), None).span_us, MAX_SPAN_MS * 1000);
    }

    /// However many parts come, few are left, and each byte is written few times.
    #[test]
    fn parts_stay_few_and_are_not_written_again_and_again() {
        let (mut sizes, mut written, mut most) = (Vec::new(), 0, 0);
        const PARTS: u64 = 3000;
        for _ in 0..PARTS {
            sizes.push(8 * KIB);
            while let Some(range) = chosen(&sizes, FREE) {
                let sum: u64 = sizes[range.clone()].iter().sum();
                written += sum;
                sizes.splice(range, [sum]);
            }
            most = most.max(sizes.len());
        }
        assert!(most <= 20, "{most} parts at once");
        let times = written / (PARTS * 8 * KIB);
        assert!(times <= 10, "each byte is written {times} times");
    }
}
