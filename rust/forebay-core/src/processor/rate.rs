use std::time::Duration;

use super::totals::Totals;

/// The seconds that rates are of.
const SECONDS: usize = 60;
/// The seconds that the throughput is of.
const THROUGHPUT_SECONDS: u64 = 10;

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    number: u64,
    events: u64,
    failures: u64,
    latency: Duration,
    latencies: u32,
}

/// What a processor did in each of the last seconds.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    seconds: [Second; SECONDS],
}

impl Default for Rate {
    fn default() -> Self {
        Self { seconds: [Second::default(); SECONDS] }
    }
}

impl Rate {
    pub(super) fn add(&mut self, uptime: Duration, before: &Totals, after: &Totals) {
        let second = self.second(uptime);
        second.events += after.events_processed - before.events_processed;
        second.failures += after.dead_letters - before.dead_letters + after.filter_failures - before.filter_failures;
    }

    /// Takes note of how long so many records waited all together, from their commits to the end of the turn that has
    /// processed them.
    pub(super) fn waited(&mut self, uptime: Duration, (count, latency): (u32, Duration)) {
        let second = self.second(uptime);
        second.latency += latency;
        second.latencies += count;
    }

    /// Returns the mean of what records waited, over the last minute; zero when none came.
    pub(super) fn latency(&self, uptime: Duration) -> Duration {
        let now = uptime.as_secs();
        let recent = self.seconds.iter().filter(|second| second.number + SECONDS as u64 > now);
        let (sum, count) =
            recent.fold((Duration::ZERO, 0), |(sum, count), second| (sum + second.latency, count + second.latencies));
        sum.checked_div(count).unwrap_or_default()
    }

    fn second(&mut self, uptime: Duration) -> &mut Second {
        let number = uptime.as_secs();
        let second = &mut self.seconds[number as usize % SECONDS];
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        second
    }

    /// Returns records a second, over the last ten whole seconds.
    pub(super) fn throughput(&self, uptime: Duration) -> f64 {
        self.since(uptime, THROUGHPUT_SECONDS).0 as f64 / THROUGHPUT_SECONDS as f64
    }

    /// Returns the part of the records that failed, over the last minute.
    pub(super) fn error_rate(&self, uptime: Duration) -> f64 {
        let (events, failures) = self.since(uptime, SECONDS as u64 - 1);
        if events == 0 { 0.0 } else { failures as f64 / events as f64 }
    }

    /// Sums up so many whole seconds before the present one.
    fn since(&self, uptime: Duration, seconds: u64) -> (u64, u64) {
        let now = uptime.as_secs();
        let counts = self.seconds.iter().filter(|second| second.number < now && second.number + seconds >= now);
        counts.fold((0, 0), |(events, failures), second| (events + second.events, failures + second.failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_whole_seconds() {
        let (mut rate, mut totals) = (Rate::default(), Totals::default());
        for second in 100..200 {
            let before = totals;
            totals.events_processed += 50;
            totals.dead_letters += u64::from(second % 10 == 0);
            rate.add(Duration::from_secs(second), &before, &totals);
        }
        let now = Duration::from_millis(199_500);
        assert_eq!(rate.throughput(now), 50.0);
        assert_eq!(rate.error_rate(now), 6.0 / (59.0 * 50.0));
        rate.waited(now, (1, Duration::from_millis(30)));
        rate.waited(now + Duration::from_secs(2), (1, Duration::from_millis(10)));
        assert_eq!(rate.latency(now + Duration::from_secs(2)), Duration::from_millis(20));
        assert_eq!(rate.latency(now + Duration::from_secs(61)), Duration::from_millis(10));
        assert_eq!(rate.throughput(Duration::from_secs(204)), 30.0);
        assert_eq!(rate.error_rate(Duration::from_secs(400)), 0.0);
    }
}
