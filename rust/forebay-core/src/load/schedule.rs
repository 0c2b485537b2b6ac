use std::time::{Duration, Instant};

const NANOS_PER_SECOND: f64 = 1e9;

/// One request of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The intended send time of all of its events.
    pub at: Instant,
    /// The number of its events.
    pub events: u64,
}

/// A number of events, spread over a number of consecutive requests as evenly as whole numbers allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRatio {
    /// Events in [`EventRatio::requests`] requests.
    pub events: u64,
    /// Not 0.
    pub requests: u64,
}

impl EventRatio {
    /// Each request has this many events.
    #[must_use]
    pub const fn fixed(events: u64) -> Self {
        Self { events, requests: 1 }
    }

    /// The fewest and the most events that a request may have.
    #[must_use]
    pub const fn sizes(self) -> [u64; 2] {
        [self.events / self.requests, self.events.div_ceil(self.requests)]
    }

    const fn of_request(self, number: u64) -> u64 {
        (number + 1) * self.events / self.requests - number * self.events / self.requests
    }
}

/// When each request of an open loop is due: `start + n / rate`, computed from `n`, so that no rounding adds up and a
/// backlog of any length costs no memory. Whole rates come out exactly in each second.
#[derive(Debug)]
pub struct Schedule {
    start: Instant,
    end: Instant,
    requests_per_second: f64,
    ratio: EventRatio,
    next: u64,
}

impl Schedule {
    /// Requests at a constant rate from `start` to just before `end`.
    #[must_use]
    pub const fn new(start: Instant, end: Instant, requests_per_second: f64, ratio: EventRatio) -> Self {
        Self { start, end, requests_per_second, ratio, next: 0 }
    }

    /// The next request not taken yet; `None` when it lies at or beyond the end.
    #[must_use]
    pub fn upcoming(&self) -> Option<Due> {
        let nanos = self.next as f64 * NANOS_PER_SECOND / self.requests_per_second;
        let at = self.start + Duration::from_nanos(nanos as u64);
        (at < self.end).then(|| Due { at, events: self.ratio.of_request(self.next) })
    }

    /// Takes the next request if it is due at `now`.
    pub fn take_due(&mut self, now: Instant) -> Option<Due> {
        let due = self.upcoming().filter(|due| due.at <= now)?;
        self.next += 1;
        Some(due)
    }
}

/// The rule that decides when the next request is due.
#[derive(Debug)]
pub enum Arrivals {
    /// Closed loop: whenever the sender has room, a request of this many events is due at once.
    Closed(u64),
    /// Open loop: requests are due by the clock, whatever became of those before.
    Open(Schedule),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn even(start: Instant, events_per_second: u64, seconds: u64) -> Schedule {
        let requests = events_per_second.min(1000);
        let ratio = EventRatio { events: events_per_second, requests };
        Schedule::new(start, start + Duration::from_secs(seconds), requests as f64, ratio)
    }

    fn all(start: Instant, events_per_second: u64, seconds: u64) -> Vec<Due> {
        let mut schedule = even(start, events_per_second, seconds);
        let sizes = schedule.ratio.sizes();
        let mut dues = Vec::new();
        while let Some(due) = schedule.take_due(schedule.end) {
            assert!(sizes.contains(&due.events), "{due:?} is none of {sizes:?}");
            dues.push(due);
        }
        dues
    }

    #[test]
    fn every_rate_comes_out_exactly_and_evenly() {
        let start = Instant::now();
        for rate in [1, 3, 7, 999, 1000, 1001, 1500, 1999, 5000, 123_457, 999_999, 1_000_000] {
            let dues = all(start, rate, 3);
            assert_eq!(dues.iter().map(|due| due.events).sum::<u64>(), 3 * rate, "{rate}");
            for second in 0..3 {
                let within = |due: &&Due| (due.at - start).as_secs() == second;
                assert_eq!(dues.iter().filter(within).map(|due| due.events).sum::<u64>(), rate, "{rate} in {second}");
            }
            assert!(dues.iter().all(|due| (1..=1000).contains(&due.events)), "{rate}");
            assert!(dues.is_sorted_by(|a, b| a.at < b.at), "{rate}");
        }
    }

    #[test]
    fn few_events_come_one_by_one() {
        let start = Instant::now();
        let expected = [0, 250, 500, 750].map(|ms| Due { at: start + Duration::from_millis(ms), events: 1 });
        assert_eq!(all(start, 4, 1), expected);
    }

    #[test]
    fn the_longest_run_does_not_overflow() {
        let start = Instant::now();
        let mut schedule = even(start, 1_000_000, 3600);
        schedule.next = 3_599_999;
        let last = Due { at: start + Duration::from_millis(3_599_999), events: 1000 };
        assert_eq!(schedule.upcoming(), Some(last));
        assert_eq!(schedule.take_due(last.at), Some(last));
        assert_eq!(schedule.upcoming(), None);
    }

    #[test]
    fn a_backlog_keeps_its_due_times() {
        let start = Instant::now();
        let at = |ms| Due { at: start + Duration::from_millis(ms), events: 5 };
        let mut schedule = Schedule::new(start, start + Duration::from_millis(35), 100.0, EventRatio::fixed(5));
        assert_eq!(schedule.take_due(start), Some(at(0)));
        assert_eq!(schedule.take_due(start), None);
        let late = start + Duration::from_secs(1);
        for due in [at(10), at(20), at(30)] {
            assert_eq!(schedule.take_due(late), Some(due));
        }
        assert_eq!(schedule.take_due(late), None);
        assert_eq!(schedule.upcoming(), None);
    }
}
