//! The time that ages are judged by: how long ago something was written, whatever was believed of the clock then and since.

use crate::ids::Timestamp;

/// The time that ages are judged by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTime {
    /// The time that is proven.
    pub proven: Timestamp,
    /// The stamp of a record that is written now.
    pub latest: Timestamp,
    /// When the present doubt began, in proven time; `None` when there is none.
    pub doubted_since: Option<Timestamp>,
    /// The leaps that stamps have not followed, oldest first.
    pub leaps: Vec<Leap>,
}

impl LogTime {
    /// A time without a doubt or a leap.
    #[must_use]
    pub fn certain(now: Timestamp) -> Self {
        Self { proven: now, latest: now, doubted_since: None, leaps: Vec::new() }
    }

    /// When something was written that has this stamp, in the time that is proven: never before it truly was. `None` for a
    /// time that is still to come, which a clock that was ahead once has left.
    #[must_use]
    pub fn of_stamp(&self, stamp: Timestamp) -> Option<Timestamp> {
        if stamp > self.latest {
            return None;
        }
        if let Some(since) = self.doubted_since.filter(|since| stamp > *since) {
            // All stamps of one doubt are ahead by the same.
            let ahead = self.latest.0.saturating_sub(self.proven.0);
            let written = Timestamp(stamp.0.saturating_sub(ahead));
            return Some(written.max(since).min(self.proven));
        }
        let leaps = self.leaps.iter().filter_map(|leap| leap.of_stamp(stamp));
        Some(leaps.max().unwrap_or(stamp))
    }
}

/// The time of the log was put forward at the end of a doubt, and by more than the stamps of the doubt were ahead: the
/// wall clock was set in between, or the machine was off again. What was written in the doubt must not become old by that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leap {
    /// When the doubt began: earlier stamps are right.
    pub since: Timestamp,
    /// When it ended: later stamps are right.
    pub until: Timestamp,
    /// Microseconds by which the stamps in between are too early.
    pub short: i64,
}

impl Leap {
    fn of_stamp(&self, stamp: Timestamp) -> Option<Timestamp> {
        let is_within = self.since < stamp && stamp <= self.until;
        is_within.then(|| Timestamp(stamp.0.saturating_add(self.short)).min(self.until))
    }

    /// One leap for two that follow each other. What was written between them counts as newer than it is.
    #[must_use]
    pub(super) fn merge(self, later: Self) -> Self {
        Self { since: self.since, until: later.until, short: self.short.max(later.short) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp(micros)
    }

    #[test]
    fn a_stamp_of_the_doubt_is_as_old_as_it_is_and_never_older_than_the_doubt() {
        let time = LogTime { doubted_since: Some(at(1000)), latest: at(9050), ..LogTime::certain(at(1050)) };
        for (stamp, written) in [(900, 900), (1000, 1000), (9010, 1010), (9050, 1050), (1020, 1000)] {
            assert_eq!(time.of_stamp(at(stamp)), Some(at(written)), "{stamp}");
        }
        assert_eq!(time.of_stamp(at(9051)), None);
    }

    #[test]
    fn what_a_leap_left_behind_is_moved_and_order_is_kept() {
        let leap = Leap { since: at(1000), until: at(5000), short: 3000 };
        let merged = leap.merge(Leap { since: at(6000), until: at(8000), short: 500 });
        assert_eq!(merged, Leap { since: at(1000), until: at(8000), short: 3000 });
        let later = Leap { since: at(6000), until: at(8000), short: 500 };
        let time = LogTime { leaps: vec![leap, later], ..LogTime::certain(at(10_000)) };
        let cases = [(1000, 1000), (1001, 4001), (2500, 5000), (5000, 5000), (5001, 5001), (6001, 6501), (8001, 8001)];
        for (stamp, written) in cases {
            assert_eq!(time.of_stamp(at(stamp)), Some(at(written)), "{stamp}");
        }
        let all: Vec<_> = (0..10_000).filter_map(|stamp| time.of_stamp(at(stamp))).collect();
        assert!(all.is_sorted() && all.len() == 10_000);
    }
}
