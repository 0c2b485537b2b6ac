//! When a commit waits for others to share it.

use std::time::{Duration, Instant};

/// Delay the next commit only if the last one had at least this many appends: fewer senders would wait for nobody.
const BUSY_APPENDS: usize = 8;
/// Or from so many, when they had this many bytes together: large requests keep their senders apart.
const BUSY_LARGE_APPENDS: usize = 3;
const BUSY_BYTES: usize = 64 * 1024;
/// The wait grows with the square of the files that are not sealed yet, up to this many.
const MAX_BACKLOG: usize = 4;
/// Commits that tell how many senders there are: as many as the largest had. Where senders wait for their answers, there
/// are no more, and a commit that has them all waits for nobody.
const REMEMBERED: usize = 8;

/// The evidence of earlier commits on how many appends the next one will have.
///
/// A commit costs its write, its sync and half a dozen switches of threads, however little is in it, and where senders
/// share the core with us these keep more from arriving. So one of a busy log gathers. When sealing lags behind, all of
/// them do, and longer: what waits to be sealed leaves the processor's caches, and takes new journal files and memory
/// instead of used ones, so that a log that gets too far ahead only gets slower.
#[derive(Debug)]
pub(crate) struct CommitDelay {
    /// Time from the end of one commit to the beginning of the next.
    pause: Duration,
    groups: [usize; REMEMBERED],
    next: usize,
    /// Appends of the last commit, and their bytes.
    last: (usize, usize),
}

/// The wait of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// The time at which it ends at the latest.
    pub(crate) until: Instant,
    /// No longer than until there are so many.
    pub(crate) appends: usize,
}

impl CommitDelay {
    pub(crate) fn new(pause: Duration) -> Self {
        Self { pause, groups: [0; REMEMBERED], next: 0, last: (0, 0) }
    }

    /// For a commit that has so many appends, after one that ended at `last_commit`, with so many files that are not
    /// sealed; `None` when it is to begin at once.
    pub(crate) fn wait(&self, appends: usize, last_commit: Instant, backlog: usize) -> Option<Wait> {
        let backlog = backlog.min(MAX_BACKLOG);
        let busy = match self.last {
            (BUSY_APPENDS.., _) | (BUSY_LARGE_APPENDS.., BUSY_BYTES..) => appends < 2 * self.last.0,
            (_, _) => false,
        };
        let (factor, enough) = match backlog {
            0 | 1 if busy => (1, self.groups.iter().copied().max().unwrap_or(0)),
            0 | 1 => return None,
            lagging => (lagging * lagging, usize::MAX),
        };
        let until = last_commit + self.pause * u32::try_from(factor).unwrap_or(1);
        (appends < enough && until > Instant::now()).then_some(Wait { until, appends: enough })
    }

    /// Takes note of a commit.
    pub(crate) fn note(&mut self, appends: usize, bytes: usize) {
        self.last = (appends, bytes);
        self.groups[self.next] = appends;
        self.next = (self.next + 1) % REMEMBERED;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);

    fn after(groups: &[usize]) -> CommitDelay {
        let mut delay = CommitDelay::new(PAUSE);
        for appends in groups {
            delay.note(*appends, *appends * 1000);
        }
        delay
    }

    #[test]
    fn a_commit_of_a_busy_log_waits_until_as_many_are_there_as_lately() {
        let now = Instant::now();
        let delay = after(&[20, 32, 12]);
        let wait = delay.wait(5, now, 0).unwrap();
        assert_eq!(wait, Wait { until: now + PAUSE, appends: 32 });
        assert_eq!(delay.wait(32, now, 1), None, "everybody is there");
        assert_eq!(after(&[32; 8]).wait(32, now, 0), None);
        assert_eq!(
            after(&[40, 9, 9, 9, 9, 9, 9, 9, 9]).wait(5, now, 0).unwrap().appends,
            9,
            "who is gone is forgotten"
        );
        assert_eq!(delay.wait(5, now.checked_sub(PAUSE).unwrap(), 0), None, "the pause is over");
    }

    #[test]
    fn few_senders_wait_for_nobody() {
        let now = Instant::now();
        assert_eq!(after(&[]).wait(1, now, 0), None);
        assert_eq!(after(&[30, 7]).wait(1, now, 1), None);
        assert!(after(&[3]).wait(1, now, 0).is_none());
        let mut large = after(&[]);
        large.note(3, BUSY_BYTES);
        assert!(large.wait(1, now, 0).is_some(), "few that are large");
    }

    #[test]
    fn while_sealing_lags_all_wait_for_longer_and_however_many_there_are() {
        let now = Instant::now();
        for (backlog, factor) in [(2, 4), (3, 9), (4, 16), (9, 16)] {
            let wait = after(&[1]).wait(1000, now, backlog).unwrap();
            assert_eq!(wait, Wait { until: now + PAUSE * factor, appends: usize::MAX });
        }
    }
}
