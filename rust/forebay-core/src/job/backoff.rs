//! How long a failed attempt waits before the next one.

use std::time::Duration;

use crate::duration::millis;
use crate::random::Random;

/// The longest wait after the first attempt; it doubles with each further one.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait after any: what is down for an hour is noticed within minutes of being back.
const LONGEST: Duration = Duration::from_secs(300);

/// Full jitter: any time up to the bound, so that jobs that failed together do not come back together.
pub(super) fn wait(attempts: u32, random: &mut Random) -> Duration {
    Duration::from_millis(random.below(millis(bound(attempts)) + 1))
}

/// The longest wait after so many attempts.
pub(super) fn bound(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_and_bounded() {
        let mut random = Random::new(3);
        assert_eq!([1, 2, 3, 9, 10, u32::MAX].map(|n| bound(n).as_secs()), [1, 2, 4, 256, 300, 300]);
        let waits: Vec<_> = (0..1000).map(|_| wait(3, &mut random)).collect();
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(4)));
        let below = waits.iter().filter(|wait| **wait < Duration::from_secs(2)).count();
        assert!((400..600).contains(&below), "{below}");
    }
}
