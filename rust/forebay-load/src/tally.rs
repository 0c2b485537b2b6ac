use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::LoadError;

/// Longest latency a histogram tells apart, in microseconds: the longest run.
const LONGEST_MICROS: u64 = 3_600_000_000;
/// Three digits: 0.1 % of any latency.
const DIGITS: u8 = 3;

/// Which of the two instants of a request decides whether its latency is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// Closed loop: the answer.
    Answered,
    /// Open loop: when it was due, so that the slowest answers are not cut off at the end.
    Due,
}

/// What is counted between `from` and `until`.
#[derive(Debug)]
pub(crate) struct Tally {
    from: Instant,
    until: Instant,
    anchor: Anchor,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) acknowledged: u64,
    /// The warm-up and the answers after the end included.
    pub(crate) total_acknowledged: u64,
    pub(crate) refused: u64,
    pub(crate) failures: u64,
    pub(crate) timeouts: u64,
    pub(crate) unsent: u64,
    pub(crate) unanswered: u64,
    pub(crate) latency: Histogram<u64>,
    pub(crate) refusal_latency: Histogram<u64>,
    pub(crate) send_lag: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new(from: Instant, until: Instant, anchor: Anchor) -> Result<Tally, LoadError> {
        Ok(Tally {
            from,
            until,
            anchor,
            statuses: BTreeMap::new(),
            acknowledged: 0,
            total_acknowledged: 0,
            refused: 0,
            failures: 0,
            timeouts: 0,
            unsent: 0,
            unanswered: 0,
            latency: histogram()?,
            refusal_latency: histogram()?,
            send_lag: histogram()?,
        })
    }

    /// A run that is ended early is measured until there.
    pub(crate) fn end_at(&mut self, now: Instant) {
        self.until = self.until.min(now);
    }

    pub(crate) fn measured(&self) -> Duration {
        self.until.saturating_duration_since(self.from)
    }

    pub(crate) fn answered(&mut self, status: u16, due: Instant, now: Instant) {
        let accepted = (200..300).contains(&status);
        self.total_acknowledged += u64::from(accepted);
        if self.within(now) {
            *self.statuses.entry(status).or_insert(0) += 1;
            *(if accepted { &mut self.acknowledged } else { &mut self.refused }) += 1;
        }
        if self.measures(due, now) {
            (if accepted { &mut self.latency } else { &mut self.refusal_latency }).saturating_record(micros(due, now));
        }
    }

    /// The request was sent so much later than it was due although a connection was free: the generator's own fault.
    pub(crate) fn sent(&mut self, due: Instant, now: Instant) {
        if self.within(due) {
            self.send_lag.saturating_record(micros(due, now));
        }
    }

    pub(crate) fn failed(&mut self, now: Instant) {
        if self.within(now) {
            self.failures += 1;
        }
    }

    pub(crate) fn timed_out(&mut self, due: Instant, now: Instant) {
        if self.within(now) {
            self.timeouts += 1;
        }
        self.outlast(due, now);
    }

    /// Still without an answer when the run was given up. It counts with the age it had: leaving it out would make a
    /// server that hangs look fast.
    pub(crate) fn never_answered(&mut self, due: Instant, now: Instant) {
        if self.anchor == Anchor::Due && self.within(due) {
            self.unanswered += 1;
            self.outlast(due, now);
        }
    }

    /// Was due, and no connection was ever free for it.
    pub(crate) fn never_sent(&mut self, due: Instant) {
        if self.within(due) {
            self.unsent += 1;
            self.outlast(due, self.until);
        }
    }

    fn outlast(&mut self, due: Instant, now: Instant) {
        if self.measures(due, now) {
            self.latency.saturating_record(micros(due, now));
        }
    }

    fn measures(&self, due: Instant, now: Instant) -> bool {
        match self.anchor {
            Anchor::Answered => self.within(now),
            Anchor::Due => self.within(due),
        }
    }

    fn within(&self, instant: Instant) -> bool {
        self.from <= instant && instant < self.until
    }
}

fn histogram() -> Result<Histogram<u64>, LoadError> {
    Histogram::new_with_bounds(1, LONGEST_MICROS, DIGITS)
        .map_err(|error| LoadError::Invalid(format!("the latency histogram cannot be made: {error}")))
}

fn micros(from: Instant, to: Instant) -> u64 {
    to.saturating_duration_since(from).as_micros() as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_window_is_counted() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut tally = Tally::new(at(10), at(20), Anchor::Answered).unwrap();
        for (status, due, now) in [(202, 5, 9), (202, 5, 11), (429, 12, 13), (202, 15, 21)] {
            tally.answered(status, at(due), at(now));
        }
        assert_eq!((tally.acknowledged, tally.refused), (1, 1));
        assert_eq!(tally.statuses, BTreeMap::from([(202, 1), (429, 1)]));
        assert_eq!((tally.latency.len(), tally.latency.max() / 1000), (1, 6));
        assert_eq!(tally.refusal_latency.len(), 1);
    }

    #[test]
    fn an_open_loop_measures_what_was_due_in_the_window() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut tally = Tally::new(at(10), at(20), Anchor::Due).unwrap();
        tally.answered(202, at(5), at(15));
        tally.answered(202, at(15), at(1015));
        tally.never_sent(at(12));
        tally.never_answered(at(19), at(5019));
        assert_eq!(tally.acknowledged, 1, "the rate counts arrivals");
        assert_eq!((tally.latency.len(), tally.unsent, tally.unanswered), (3, 1, 1));
        assert!(tally.latency.max() >= 5_000_000);
    }
}
