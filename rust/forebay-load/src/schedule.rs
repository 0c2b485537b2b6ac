use std::time::{Duration, Instant};

/// When each request of an open loop is due: `start + n × interval`, computed from `n`, so that no rounding adds up
/// and a backlog of any length costs no memory.
#[derive(Debug)]
pub(crate) struct Schedule {
    start: Instant,
    end: Instant,
    nanos_per_request: f64,
    next: u64,
}

impl Schedule {
    pub(crate) fn new(start: Instant, end: Instant, requests_per_second: f64) -> Schedule {
        Schedule { start, end, nanos_per_request: 1e9 / requests_per_second, next: 0 }
    }

    /// The due time of the next request not taken yet; `None` when it lies at or beyond the end.
    pub(crate) fn upcoming(&self) -> Option<Instant> {
        let due = self.start + Duration::from_nanos((self.next as f64 * self.nanos_per_request) as u64);
        (due < self.end).then_some(due)
    }

    /// Takes the next request if it is due at `now`.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Instant> {
        let due = self.upcoming().filter(|due| *due <= now)?;
        self.next += 1;
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_keeps_its_due_times() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, start + Duration::from_millis(35), 100.0);
        assert_eq!(schedule.take_due(start), Some(start));
        assert_eq!(schedule.take_due(start), None);
        let late = start + Duration::from_secs(1);
        assert_eq!(schedule.take_due(late), Some(start + Duration::from_millis(10)));
        assert_eq!(schedule.take_due(late), Some(start + Duration::from_millis(20)));
        assert_eq!(schedule.take_due(late), Some(start + Duration::from_millis(30)));
        assert_eq!(schedule.take_due(late), None);
        assert_eq!(schedule.upcoming(), None);
    }
}
