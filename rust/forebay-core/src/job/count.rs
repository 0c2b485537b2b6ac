//! Completed jobs by the minute.

use std::collections::VecDeque;

use super::limits::COUNTED_MINUTES;

/// The counts of the last hour, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Minutes(VecDeque<(i64, u64)>);

impl Minutes {
    /// Adds to a minute, and returns what it has then. A minute before the newest, of a clock that stood, goes to it.
    pub(super) fn add(&mut self, minute: i64, jobs: u64) -> (i64, u64) {
        match self.0.back_mut() {
            Some((newest, count)) if *newest >= minute => {
                *count += jobs;
                (*newest, *count)
            }
            _ => {
                self.0.push_back((minute, jobs));
                (minute, jobs)
            }
        }
    }

    /// Takes in what is stored of a minute.
    pub(super) fn set(&mut self, minute: i64, jobs: u64) {
        let place = self.0.partition_point(|(at, _)| *at < minute);
        match self.0.get_mut(place).filter(|(at, _)| *at == minute) {
            Some((_, count)) => *count = jobs,
            None => self.0.insert(place, (minute, jobs)),
        }
    }

    /// Takes back what was added: it was not stored.
    pub(super) fn take_back(&mut self, minute: i64, jobs: u64) {
        if let Some((_, count)) = self.0.iter_mut().find(|(at, _)| *at == minute) {
            *count = count.saturating_sub(jobs);
        }
    }

    /// Jobs of the last hour, the running minute included.
    pub(super) fn last_hour(&self, now: i64) -> u64 {
        self.0.iter().filter(|(minute, _)| *minute > now - COUNTED_MINUTES).map(|(_, jobs)| jobs).sum()
    }

    /// The minutes that count no more.
    pub(super) fn past(&self, now: i64) -> Vec<i64> {
        self.0.iter().map(|(minute, _)| *minute).filter(|minute| *minute <= now - COUNTED_MINUTES).collect()
    }

    /// Forgets minutes.
    pub(super) fn forget(&mut self, minutes: &[i64]) {
        self.0.retain(|(minute, _)| !minutes.contains(minute));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_sixty_minutes_with_the_running_one() {
        let mut minutes = Minutes::default();
        for minute in 0..100 {
            assert_eq!(minutes.add(minute, 1), (minute, 1));
        }
        assert_eq!(minutes.add(98, 2), (99, 3), "a minute that is past gets no more");
        assert_eq!(minutes.last_hour(99), 62);
        minutes.take_back(99, 2);
        assert_eq!((minutes.last_hour(99), minutes.last_hour(158), minutes.last_hour(159)), (60, 1, 0));
        let mut stored = minutes.clone();
        stored.set(99, 7);
        stored.set(98, 3);
        stored.set(100, 1);
        assert_eq!((stored.last_hour(100), minutes.last_hour(100)), (57 + 7 + 3 + 1, 59));
        let past = minutes.past(99);
        assert_eq!(past, (0..40).collect::<Vec<_>>());
        minutes.forget(&past);
        assert_eq!((minutes.past(99), minutes.last_hour(99)), (vec![], 60));
    }
}
