use std::time::Duration;

use super::spec::LoadTestSpec;

/// Requests that are due in a second at most. From this many events a second on, those of one millisecond are due
/// together, as one body; below, each is a request of its own.
pub(super) const REQUESTS_PER_SECOND: u64 = 1000;

/// One request of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// When, after the start. This is the intended time of all of its events.
    pub(super) after: Duration,
    /// How many events.
    pub(super) events: u64,
}

/// When each request of the open loop is due. All of it is computed from the request's number, in whole numbers: no
/// rounding adds up, and a backlog of any length costs no memory.
#[derive(Debug)]
pub(super) struct Schedule {
    spec: LoadTestSpec,
    next: u64,
}

impl Schedule {
    pub(super) fn new(spec: LoadTestSpec) -> Self {
        Self { spec, next: 0 }
    }

    fn per_second(&self) -> u64 {
        self.spec.events_per_second.min(REQUESTS_PER_SECOND)
    }

    /// The numbers of events that a request may have: as even as whole numbers are.
    pub(super) fn sizes(&self) -> [u64; 2] {
        let (events, requests) = (self.spec.events_per_second, self.per_second());
        [events / requests, events.div_ceil(requests)]
    }

    /// The next request; `None` at the end.
    pub(super) fn upcoming(&self) -> Option<Due> {
        let (number, requests) = (self.next, self.per_second());
        let before = |number: u64| number * self.spec.events_per_second / requests;
        (number < requests * self.spec.seconds).then(|| Due {
            after: Duration::from_nanos(number * 1_000_000_000 / requests),
            events: before(number + 1) - before(number),
        })
    }

    /// Goes on to the request after it.
    pub(super) fn advance(&mut self) {
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(events_per_second: u64, seconds: u64) -> Vec<Due> {
        let mut schedule = Schedule::new(LoadTestSpec { events_per_second, seconds });
        let sizes = schedule.sizes();
        let mut dues = Vec::new();
        while let Some(due) = schedule.upcoming() {
            assert!(sizes.contains(&due.events), "{due:?} is none of {sizes:?}");
            dues.push(due);
            schedule.advance();
        }
        dues
    }

    #[test]
    fn every_rate_comes_out_exactly_and_evenly() {
        for rate in [1, 3, 7, 999, 1000, 1001, 1500, 1999, 5000, 123_457, 999_999, 1_000_000] {
            let dues = all(rate, 3);
            assert_eq!(dues.iter().map(|due| due.events).sum::<u64>(), 3 * rate, "{rate}");
            for second in 0..3 {
                let within = |due: &&Due| due.after.as_secs() == second;
                assert_eq!(dues.iter().filter(within).map(|due| due.events).sum::<u64>(), rate, "{rate} in {second}");
            }
            assert!(dues.iter().all(|due| (1..=1000).contains(&due.events)), "{rate}");
            assert!(dues.is_sorted_by(|a, b| a.after < b.after), "{rate}");
        }
    }

    #[test]
    fn few_events_come_one_by_one() {
        let dues = all(4, 1);
        let expected = [0, 250, 500, 750].map(|ms| Due { after: Duration::from_millis(ms), events: 1 });
        assert_eq!(dues, expected);
    }

    #[test]
    fn the_longest_run_does_not_overflow() {
        let mut schedule = Schedule::new(LoadTestSpec { events_per_second: 1_000_000, seconds: 3600 });
        schedule.next = 3_599_999;
        let last = Due { after: Duration::from_millis(3_599_999), events: 1000 };
        assert_eq!(schedule.upcoming(), Some(last));
        schedule.advance();
        assert_eq!(schedule.upcoming(), None);
    }
}
