#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const NANO: Duration = Duration::from_nanos(1);

fn quota(events: Option<(u64, u64)>, bytes: Option<(u64, u64)>) -> Quota {
    let rate = |(per_second, burst)| Rate::new(per_second, burst).unwrap();
    Quota::new(QuotaRates { events: events.map(rate), bytes: bytes.map(rate) })
}

fn events(events: u64) -> Cost {
    Cost { events, bytes: 0 }
}

proptest! {
    /// A quota lets in at most the burst and what the rate gives between any two moments; and what is
    /// refused fits after exactly the wait that it was told.
    #[test]
    fn a_bucket_never_gives_more_than_its_rate_and_says_when_it_does(
        per_second in 1_u64..5_000_000_000,
        burst in 1_u64..10_000,
        asked in prop::collection::vec((0_u64..3_000_000_000, 1_u64..12_000), 1..80),
    ) {
        let quota = quota(Some((per_second, burst)), None);
        let mut now = quota.began.elapsed();
        let mut taken: Vec<(Duration, u64)> = Vec::new();
        for (step, wanted) in asked {
            now += Duration::from_nanos(step);
            match quota.take_at(events(wanted), now) {
                Ok(()) => taken.push((now, wanted)),
                Err(short) if wanted > burst => prop_assert_eq!(short.wait, None),
                Err(Shortage { wait, .. }) => {
                    let wait = wait.unwrap();
                    prop_assert!(wait > Duration::ZERO);
                    prop_assert!(quota.take_at(events(wanted), now + wait - NANO).is_err(), "it fits earlier");
                    now += wait;
                    prop_assert!(quota.take_at(events(wanted), now).is_ok(), "it does not fit when it should");
                    taken.push((now, wanted));
                }
            }
        }
        for first in 0..taken.len() {
            let mut sum = 0_u128;
            for (at, wanted) in &taken[first..] {
                sum += u128::from(*wanted) * NANOS_PER_SECOND;
                let passed = (*at - taken[first].0).as_nanos();
                prop_assert!(sum <= Bucket::capacity(quota.rates().events.unwrap()) + passed * u128::from(per_second));
            }
        }
    }

    /// A cost that is given back is as if it had never been taken.
    #[test]
    fn what_is_given_back_can_be_taken_again(burst in 1_u64..1_000, first in 1_u64..1_000, second in 1_u64..1_000) {
        let quota = quota(Some((1, burst)), Some((1, 2 * burst)));
        let now = quota.began.elapsed();
        let cost = |events| Cost { events, bytes: 2 * events };
        if quota.take_at(cost(first), now).is_ok() {
            quota.give_back(cost(first));
        }
        prop_assert_eq!(quota.take_at(cost(second), now).is_ok(), second <= burst);
    }
}

#[test]
fn both_limits_hold_and_a_refusal_takes_nothing() {
    let quota = quota(Some((10, 100)), Some((1_000, 2_000)));
    let now = quota.began.elapsed();
    let short = quota.take_at(Cost { events: 1, bytes: 2_001 }, now).unwrap_err();
    assert_eq!((short.unit, short.wait), ("bytes", None));
    quota.take_at(Cost { events: 100, bytes: 1_000 }, now).unwrap();
    let short = quota.take_at(Cost { events: 20, bytes: 1_500 }, now).unwrap_err();
    assert_eq!((short.unit, short.wait), ("events", Some(Duration::from_secs(2))), "the longer wait is told");
    assert!(quota.take_at(Cost { events: 0, bytes: 1_000 }, now).is_ok(), "the refusal took no bytes");
}

#[test]
fn without_a_limit_everything_fits() {
    let quota = Quota::default();
    assert!(quota.take(Cost { events: u64::MAX, bytes: u64::MAX }).is_ok());
    quota.give_back(events(1));
}

#[test]
fn a_bucket_that_stays_keeps_its_level_when_limits_change() {
    let quota = quota(Some((1, 10)), None);
    let now = quota.began.elapsed();
    quota.take_at(events(10), now).unwrap();
    let rates = QuotaRates { bytes: Some(Rate::new(1, 1).unwrap()), ..quota.rates() };
    quota.set(rates);
    assert!(quota.take_at(events(5), now).is_err());
    quota.set(QuotaRates { events: Some(Rate::new(1, 11).unwrap()), bytes: None });
    assert!(quota.take_at(events(11), now).is_ok(), "a new one is full");
    quota.set(QuotaRates::default());
    assert!(quota.take(events(1_000)).is_ok());
}

#[test]
fn the_largest_rates_do_not_overflow() {
    let quota = quota(Some((MAX_QUOTA, MAX_QUOTA)), Some((1, MAX_QUOTA)));
    let later = Duration::from_secs(u64::MAX);
    let all = Cost { events: MAX_QUOTA, bytes: MAX_QUOTA };
    quota.take_at(all, later).unwrap();
    let short = quota.take_at(all, later).unwrap_err();
    assert_eq!(short.unit, "bytes");
    assert!(short.wait.unwrap() > Duration::from_secs(3600));
}

#[test]
fn rates_are_in_range() {
    for (per_second, burst) in [(0, 1), (1, 0), (MAX_QUOTA + 1, 1), (1, MAX_QUOTA + 1)] {
        assert_eq!(Rate::new(per_second, burst).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
}
