use std::collections::BTreeMap;
use std::time::Instant;

use forebay_core::load::{Anchor, Due, LoadTally, Outcome};

/// The counts of a load over HTTP.
#[derive(Debug)]
pub(crate) struct HttpTally {
    pub(crate) load: LoadTally,
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Requests answered 2xx, with those of the warm-up and after the end.
    pub(crate) total_acknowledged: u64,
    /// Requests lost to a connection that broke, and connections that could not be opened.
    pub(crate) connection_failures: u64,
    /// Requests still without an answer when the run was given up.
    pub(crate) unanswered: u64,
}

impl HttpTally {
    pub(crate) fn new(anchor: Anchor, from: Instant, until: Instant) -> HttpTally {
        HttpTally {
            load: LoadTally::new(anchor, from, Some(until)),
            statuses: BTreeMap::new(),
            total_acknowledged: 0,
            connection_failures: 0,
            unanswered: 0,
        }
    }

    pub(crate) fn answered(&mut self, status: u16, due: Due, now: Instant) {
        let accepted = (200..300).contains(&status);
        self.total_acknowledged += u64::from(accepted);
        if self.load.covers(now) {
            *self.statuses.entry(status).or_insert(0) += 1;
        }
        self.load.answered(due, if accepted { Outcome::Accepted(due.events) } else { Outcome::Refused }, now);
    }

    pub(crate) fn connection_failed(&mut self, now: Instant) {
        self.connection_failures += u64::from(self.load.covers(now));
    }

    pub(crate) fn timed_out(&mut self, due: Due, now: Instant) {
        self.load.answered(due, Outcome::Failed, now);
        self.load.outlasted(due, now);
    }

    /// An open-loop request was due before the end and never found a free connection. It counts with its age at `end`.
    pub(crate) fn never_sent(&mut self, due: Due, end: Instant) {
        self.load.not_sent(due);
        self.load.outlasted(due, end);
    }

    /// An open-loop request still had no answer when the run was given up at `now`.
    pub(crate) fn never_answered(&mut self, due: Due, now: Instant) {
        if self.load.covers(due.at) {
            self.unanswered += 1;
            self.load.outlasted(due, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn statuses_are_counted_in_the_measured_time_and_acknowledgements_always() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let due = |ms| Due { at: at(ms), events: 10 };
        let mut tally = HttpTally::new(Anchor::Answered, at(10), at(20));
        for (status, sent, now) in [(202, 5, 9), (202, 5, 11), (429, 12, 13), (202, 15, 21)] {
            tally.answered(status, due(sent), at(now));
        }
        assert_eq!(tally.statuses, BTreeMap::from([(202, 1), (429, 1)]));
        assert_eq!((tally.total_acknowledged, tally.load.accepted.requests, tally.load.refused.requests), (3, 1, 1));
    }

    #[test]
    fn an_open_loop_measures_what_was_due_in_the_measured_time() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let due = |ms| Due { at: at(ms), events: 10 };
        let mut tally = HttpTally::new(Anchor::Due, at(10), at(20));
        tally.answered(202, due(5), at(15));
        tally.answered(202, due(15), at(1015));
        tally.never_sent(due(12), at(20));
        tally.never_answered(due(19), at(5019));
        assert_eq!(tally.load.accepted.requests, 1, "the rate counts arrivals");
        let latency = tally.load.latency.snapshot();
        assert_eq!((latency.count(), tally.load.not_sent.requests, tally.unanswered), (3, 1, 1));
        assert!(latency.max() >= 5_000_000);
    }
}
