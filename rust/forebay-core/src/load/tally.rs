use std::time::{Duration, Instant};

use super::schedule::Due;
use crate::telemetry::Histogram;

/// Which of the two instants of a request decides whether its latency is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Closed loop: the answer.
    Answered,
    /// Open loop: when it was due, so that the slowest answers are not cut off at the end.
    Due,
}

/// The end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was acknowledged, with this many of its events.
    Accepted(u64),
    /// It was turned away.
    Refused,
    /// It got no answer, or was lost for another reason.
    Failed,
}

/// A number of requests and of the events in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Requests.
    pub requests: u64,
    /// Their events.
    pub events: u64,
}

impl Amount {
    const fn add(&mut self, events: u64) {
        self.requests += 1;
        self.events += events;
    }
}

/// Counts what became of the requests of a load, within the time that is measured.
#[derive(Debug)]
pub struct LoadTally {
    from: Instant,
    until: Option<Instant>,
    anchor: Anchor,
    /// Acknowledged.
    pub accepted: Amount,
    /// Turned away.
    pub refused: Amount,
    /// Lost for another reason, with the events that an accepted request did not store.
    pub failed: Amount,
    /// Due, and never sent.
    pub not_sent: Amount,
    /// From when a request was due to its acknowledgement, with the age of those that got no answer.
    pub latency: Histogram,
    /// From when a request was due to its refusal.
    pub refusal_latency: Histogram,
    /// How late requests were sent although the sender had room.
    pub send_lag: Histogram,
}

impl LoadTally {
    /// Counts from `from` on, until `until` or for ever.
    #[must_use]
    pub fn new(anchor: Anchor, from: Instant, until: Option<Instant>) -> Self {
        Self {
            from,
            until,
            anchor,
            accepted: Amount::default(),
            refused: Amount::default(),
            failed: Amount::default(),
            not_sent: Amount::default(),
            latency: Histogram::new(),
            refusal_latency: Histogram::new(),
            send_lag: Histogram::new(),
        }
    }

    /// Ends the measured time at `end`, unless it ends sooner anyway.
    pub fn end_at(&mut self, end: Instant) {
        self.until = Some(self.until.map_or(end, |until| until.min(end)));
    }

    /// The end of the measured time, if it has one.
    #[must_use]
    pub const fn end(&self) -> Option<Instant> {
        self.until
    }

    /// The measured time; zero as long as its end is not known.
    #[must_use]
    pub fn measured(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(self.from))
    }

    /// A request was sent at `now` and could have been sent at `due`: the difference is the generator's own fault.
    pub fn sent(&mut self, due: Instant, now: Instant) {
        if self.covers(due) {
            self.send_lag.record(now.saturating_duration_since(due));
        }
    }

    /// A request came to its end at `now`.
    pub fn answered(&mut self, due: Due, outcome: Outcome, now: Instant) {
        if self.covers(now) {
            match outcome {
                Outcome::Accepted(events) => {
                    self.accepted.add(events);
                    self.failed.events += due.events.saturating_sub(events);
                }
                Outcome::Refused => self.refused.add(due.events),
                Outcome::Failed => self.failed.add(due.events),
            }
        }
        let histogram = match outcome {
            Outcome::Accepted(_) => &self.latency,
            Outcome::Refused => &self.refusal_latency,
            Outcome::Failed => return,
        };
        if self.measures(due, now) {
            histogram.record(now.saturating_duration_since(due.at));
        }
    }

    /// A request was due and is never sent.
    pub fn not_sent(&mut self, due: Due) {
        if self.covers(due.at) {
            self.not_sent.add(due.events);
        }
    }

    /// A request has no answer at `now` and is given up. It counts with the age it has: leaving it out would make a
    /// server that hangs look fast.
    pub fn outlasted(&mut self, due: Due, now: Instant) {
        if self.measures(due, now) {
            self.latency.record(now.saturating_duration_since(due.at));
        }
    }

    /// Returns whether `instant` lies in the measured time.
    #[must_use]
    pub fn covers(&self, instant: Instant) -> bool {
        self.from <= instant && self.until.is_none_or(|until| instant < until)
    }

    fn measures(&self, due: Due, now: Instant) -> bool {
        match self.anchor {
            Anchor::Answered => self.covers(now),
            Anchor::Due => self.covers(due.at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: u64 = 10;

    fn due(at: Instant) -> Due {
        Due { at, events: EVENTS }
    }

    #[test]
    fn only_the_measured_time_is_counted() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut tally = LoadTally::new(Anchor::Answered, at(10), Some(at(20)));
        let accepted = Outcome::Accepted(EVENTS);
        for (outcome, sent, now) in
            [(accepted, 5, 9), (accepted, 5, 11), (Outcome::Refused, 12, 13), (accepted, 15, 21)]
        {
            tally.answered(due(at(sent)), outcome, at(now));
        }
        let one = Amount { requests: 1, events: EVENTS };
        assert_eq!((tally.accepted, tally.refused, tally.failed), (one, one, Amount::default()));
        let latency = tally.latency.snapshot();
        assert_eq!((latency.count(), latency.max() / 1000), (1, 6));
        assert_eq!(tally.refusal_latency.snapshot().count(), 1);
        tally.end_at(at(15));
        tally.end_at(at(25));
        assert_eq!(tally.measured(), Duration::from_millis(5));
    }

    #[test]
    fn an_open_loop_measures_what_was_due_in_the_measured_time() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut tally = LoadTally::new(Anchor::Due, at(10), Some(at(20)));
        tally.answered(due(at(5)), Outcome::Accepted(EVENTS), at(15));
        tally.answered(due(at(15)), Outcome::Accepted(EVENTS), at(1015));
        tally.not_sent(due(at(12)));
        tally.outlasted(due(at(12)), at(20));
        tally.outlasted(due(at(19)), at(5019));
        assert_eq!(tally.accepted.requests, 1, "the rate counts arrivals");
        assert_eq!((tally.latency.snapshot().count(), tally.not_sent.requests), (3, 1));
        assert!(tally.latency.snapshot().max() >= 5_000_000);
    }

    #[test]
    fn events_that_an_accepted_request_did_not_store_have_failed() {
        let start = Instant::now();
        let mut tally = LoadTally::new(Anchor::Due, start, None);
        tally.answered(due(start), Outcome::Accepted(EVENTS - 3), start);
        tally.answered(due(start), Outcome::Failed, start);
        assert_eq!(tally.accepted, Amount { requests: 1, events: EVENTS - 3 });
        assert_eq!(tally.failed, Amount { requests: 1, events: 3 + EVENTS });
        assert_eq!(tally.latency.snapshot().count(), 1, "a failure has no latency of its own");
    }
}
