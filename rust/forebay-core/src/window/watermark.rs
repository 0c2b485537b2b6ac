use std::time::Duration;

use super::codec::{Reader, put, put_signed};
use super::spec::EventTime;

/// How far watermarks stay behind, and when a partition holds nothing back any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatermarkOptions {
    /// Milliseconds by which records may come late.
    pub allowed_lateness: i64,
    /// Milliseconds that a record may be ahead of the clock; one that is further ahead moves no watermark. `None`: all do.
    pub max_future: Option<i64>,
    /// Milliseconds that a record may be ahead of the clock and still be taken. `None`: all are.
    pub drop_future: Option<i64>,
    /// The time without records after which a partition that is read to its end is idle.
    pub idle_timeout: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Partition {
    /// No window that ends by then takes a record of this partition.
    own: EventTime,
    /// When it last had a record, or was not read to its end.
    active: Duration,
    is_idle: bool,
}

/// The watermarks of a source's partitions, and the global one, which closes windows: the least of those that are not
/// idle. Times of the process are monotonic and given by the caller.
#[derive(Clone, Debug)]
pub struct Watermarks {
    options: WatermarkOptions,
    partitions: Vec<Partition>,
    global: EventTime,
}

impl Watermarks {
    /// Returns those of `partitions` partitions of which nothing is known yet.
    #[must_use]
    pub fn new(partitions: usize, options: WatermarkOptions, now: Duration) -> Self {
        let partition = Partition { own: EventTime::MIN, active: now, is_idle: false };
        Self { options, partitions: vec![partition; partitions], global: EventTime::MIN }
    }

    /// Returns whether a record is taken, or is too far ahead of the wall clock's time for that.
    #[must_use]
    pub fn is_taken(&self, time: EventTime, clock: EventTime) -> bool {
        self.options.drop_future.is_none_or(|ahead| time <= clock.plus(ahead))
    }

    /// Returns the watermark that a record of the partition is judged by. Call it for each record, before
    /// [`Watermarks::observe`]: a partition that has a record is back, and behind nothing that was closed without it, because
    /// it was idle, or all of them were quiet.
    pub fn judge(&mut self, partition: usize, now: Duration) -> EventTime {
        let global = self.global;
        let Some(partition) = self.partitions.get_mut(partition) else { return global };
        partition.is_idle = false;
        partition.own = partition.own.max(global);
        partition.active = now;
        partition.own
    }

    /// Takes note of a record that was judged; `clock` is the wall clock's time. False when it is too far ahead of it to
    /// move the watermark.
    pub fn observe(&mut self, partition: usize, time: EventTime, clock: EventTime) -> bool {
        if self.options.max_future.is_some_and(|ahead| time > clock.plus(ahead)) {
            return false;
        }
        if let Some(partition) = self.partitions.get_mut(partition) {
            partition.own = partition.own.max(time.plus(-self.options.allowed_lateness));
        }
        true
    }

    /// Takes note of partitions that have had no record for long. Only one that `is_read` to its end can be idle: a
    /// reader that is busy, paused or blocked is not.
    pub fn rest(&mut self, now: Duration, is_read: impl Fn(usize) -> bool) {
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            if !is_read(index) {
                partition.active = now;
            } else if now.saturating_sub(partition.active) >= self.options.idle_timeout {
                partition.is_idle = true;
            }
        }
    }

    /// Returns the time by which no record comes any more: windows that end by then close. It never goes back. When all
    /// partitions are idle, it is the furthest that one of them has reached.
    pub fn global(&mut self) -> EventTime {
        let awake = self.partitions.iter().filter(|partition| !partition.is_idle).map(|partition| partition.own).min();
        let reached = || self.partitions.iter().map(|partition| partition.own).max();
        self.global = self.global.max(awake.or_else(reached).unwrap_or(EventTime::MIN));
        self.global
    }

    /// Returns the watermark of a partition; [`EventTime::MIN`] before its first record.
    #[must_use]
    pub fn of(&self, partition: usize) -> EventTime {
        self.partitions.get(partition).map_or(EventTime::MIN, |partition| partition.own)
    }

    /// Returns the watermark that a record of the partition is judged by which comes for the second time: it moves nothing,
    /// and no window takes it that was closed meanwhile, with the partition or without it.
    #[must_use]
    pub fn judge_again(&self, partition: usize) -> EventTime {
        self.of(partition).max(self.global)
    }

    /// Returns whether every partition was read to its end and had no record since `span` before `now`, or longer.
    #[must_use]
    pub fn are_idle_for(&self, span: Duration, now: Duration) -> bool {
        self.partitions.iter().all(|partition| now.saturating_sub(partition.active) >= span)
    }

    /// Appends what a restart needs, as [`Watermarks::restore`] reads it. A partition that is idle is behind nothing that
    /// was closed without it; how long it had no record is not kept.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_signed(out, self.global.millis());
        put(out, self.partitions.len() as u64);
        for partition in &self.partitions {
            let own = if partition.is_idle { partition.own.max(self.global) } else { partition.own };
            put_signed(out, own.millis());
        }
    }

    /// Takes up what [`Watermarks::write`] has written; `None` for other bytes. Partitions that were not there then are
    /// new ones. None is idle: that counts anew.
    #[must_use]
    pub fn restore(&mut self, bytes: &[u8]) -> Option<()> {
        let mut reader = Reader(bytes);
        self.global = EventTime::of_bound(reader.signed()?)?;
        let count = reader.count(1)?;
        for index in 0..count {
            let own = EventTime::of_bound(reader.signed()?)?;
            self.partitions.get_mut(index)?.own = own;
        }
        reader.is_empty().then_some(())
    }

    /// Moves the global watermark on to `time`: for the windows of a source that has gone quiet.
    pub fn advance(&mut self, time: EventTime) {
        self.global = self.global.max(time);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    const OPTIONS: WatermarkOptions = WatermarkOptions {
        allowed_lateness: 5,
        max_future: Some(100),
        drop_future: None,
        idle_timeout: Duration::from_secs(10),
    };

    fn at(millis: i64) -> EventTime {
        EventTime::new(millis).unwrap()
    }

    fn second(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn the_slowest_partition_holds_back() {
        let mut marks = Watermarks::new(2, OPTIONS, second(0));
        assert_eq!(marks.judge(0, second(1)), EventTime::MIN);
        assert!(marks.observe(0, at(50), at(0)));
        assert_eq!(marks.global(), EventTime::MIN, "the other may have anything");
        marks.judge(1, second(1));
        assert!(marks.observe(1, at(20), at(0)));
        assert_eq!(marks.global(), at(15));
        marks.judge(1, second(2));
        marks.observe(1, at(10), at(0));
        assert_eq!(marks.global(), at(15));
        assert_eq!(marks.judge(0, second(2)), at(45));
    }

    #[test]
    fn a_record_that_is_too_far_ahead_is_not_taken() {
        let time = |millis| EventTime::new(millis).unwrap();
        let any = Watermarks::new(1, OPTIONS, Duration::ZERO);
        assert!(any.is_taken(EventTime::MAX, time(0)));
        let bounded = Watermarks::new(1, WatermarkOptions { drop_future: Some(100), ..OPTIONS }, Duration::ZERO);
        assert!(bounded.is_taken(time(1_100), time(1_000)) && bounded.is_taken(EventTime::MIN, time(1_000)));
        assert!(!bounded.is_taken(time(1_101), time(1_000)));
    }

    #[test]
    fn a_record_from_the_future_moves_nothing() {
        let mut marks = Watermarks::new(1, OPTIONS, second(0));
        assert!(!marks.observe(0, at(101), at(0)));
        assert_eq!(marks.global(), EventTime::MIN);
        assert!(marks.observe(0, at(100), at(0)));
        assert_eq!(marks.global(), at(95));
        let mut any = Watermarks::new(1, WatermarkOptions { max_future: None, ..OPTIONS }, second(0));
        assert!(any.observe(0, at(1 << 50), at(0)));
    }

    #[test]
    fn an_idle_partition_comes_back_behind_nothing_that_was_closed() {
        let mut marks = Watermarks::new(2, OPTIONS, second(0));
        marks.judge(0, second(9));
        marks.observe(0, at(50), at(0));
        marks.rest(second(9), |_| true);
        assert_eq!(marks.global(), EventTime::MIN);
        marks.rest(second(10), |partition| partition != 1);
        assert_eq!(marks.global(), EventTime::MIN, "it is not read to its end");
        marks.rest(second(15), |_| true);
        assert_eq!(marks.global(), EventTime::MIN, "it was only now");
        marks.rest(second(20), |partition| partition == 1);
        assert_eq!(marks.global(), at(45));
        assert_eq!(marks.judge(1, second(21)), at(45));
        assert_eq!(marks.global(), at(45));
    }

    #[test]
    fn when_all_are_idle_nothing_is_closed_that_was_not_reached() {
        let mut marks = Watermarks::new(2, OPTIONS, second(0));
        marks.observe(0, at(50), at(0));
        marks.observe(1, at(30), at(0));
        assert_eq!(marks.global(), at(25));
        marks.rest(second(10), |_| true);
        assert_eq!(marks.global(), at(45));
        assert!(!marks.are_idle_for(second(11), second(10)));
        assert!(marks.are_idle_for(second(11), second(11)));
        marks.advance(at(60));
        assert_eq!(marks.global(), at(60));
        marks.advance(at(10));
        assert_eq!(marks.judge(0, second(12)), at(60));
    }

    #[test]
    fn a_restart_keeps_them_and_counts_idle_times_anew() {
        let (mut marks, mut bytes) = (Watermarks::new(2, OPTIONS, second(0)), Vec::new());
        marks.judge(0, second(9));
        marks.observe(0, at(50), at(0));
        marks.rest(second(10), |_| true);
        assert_eq!(marks.global(), at(45));
        marks.write(&mut bytes);
        let mut restored = Watermarks::new(3, OPTIONS, second(100));
        assert_eq!(restored.restore(&bytes), Some(()));
        assert_eq!(restored.global(), at(45), "it never goes back, not even for a new partition");
        assert_eq!(restored.judge(0, second(101)), at(45));
        assert_eq!(restored.judge(1, second(101)), at(45), "it was idle when 45 was closed");
        assert_eq!(restored.judge(2, second(101)), at(45), "its records come after that was closed, too");
        restored.rest(second(109), |_| true);
        assert!(!restored.are_idle_for(second(9), second(109)), "the process has not waited yet");
        for cut in 0..bytes.len() {
            assert_eq!(Watermarks::new(3, OPTIONS, second(0)).restore(&bytes[..cut]), None);
        }
        assert_eq!(Watermarks::new(1, OPTIONS, second(0)).restore(&bytes), None, "a partition went away");
        bytes.push(0);
        assert_eq!(Watermarks::new(3, OPTIONS, second(0)).restore(&bytes), None);
    }
}
