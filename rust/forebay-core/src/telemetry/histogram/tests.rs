#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{BUCKETS, Histogram, MAX_MICROS, OCTAVE, SUB_BUCKETS, Snapshot, VALUE_BUCKETS, index, middle};

fn counted(values: &[u64]) -> Snapshot {
    let histogram = Histogram::new();
    for value in values {
        histogram.record_micros(*value);
    }
    histogram.snapshot()
}

/// Values of every magnitude, some beyond the range.
fn values() -> impl Strategy<Value = Vec<u64>> {
    vec((0u32..34, any::<u64>()).prop_map(|(bits, random)| random & ((1 << bits) - 1)), 1..300)
}

fn close(measured: u64, exact: u64) -> bool {
    measured.abs_diff(exact) as f64 <= exact as f64 * 0.001
}

#[test]
fn buckets_are_dense_ascending_and_narrow() {
    assert_eq!(BUCKETS, 12_123, "as the docstring says");
    assert_eq!((VALUE_BUCKETS, SUB_BUCKETS), (23, 1024));
    for bucket in 0..BUCKETS {
        assert_eq!(index(middle(bucket)), bucket);
    }
    for octave in 0..32 {
        for value in [1u64 << octave, (1 << octave) + 1, (2 << octave) - 1] {
            assert!(close(middle(index(value)), value), "{value}");
            assert!(index(value) - index(value - 1) <= 1, "{value}");
        }
    }
    assert_eq!(middle(index(2 * OCTAVE as u64 - 1)), 2 * OCTAVE as u64 - 1, "exact below");
}

#[test]
fn an_empty_histogram_says_zero() {
    let empty = Histogram::new().snapshot();
    assert_eq!((empty.count(), empty.sum(), empty.max(), empty.percentile(99.0)), (0, 0, 0, 0));
    assert!(empty.mean() == 0.0 && empty == Snapshot::default());
    assert_eq!(empty.cumulative(&[1, 2]), [0, 0]);
}

#[test]
fn the_deviation_is_that_of_the_values() {
    assert!(Snapshot::default().standard_deviation() == 0.0 && counted(&[7, 7, 7]).standard_deviation() == 0.0);
    assert!((counted(&[2, 4, 4, 4, 5, 5, 7, 9]).standard_deviation() - 2.0).abs() < 1e-9);
}

#[test]
fn values_beyond_an_hour_are_clamped_and_counted() {
    let histogram = Histogram::new();
    histogram.record(Duration::from_secs(3600));
    histogram.record(Duration::from_secs(3601));
    histogram.record(Duration::MAX);
    histogram.record(Duration::from_nanos(1999));
    let snapshot = histogram.snapshot();
    assert_eq!((snapshot.count(), snapshot.clamped(), snapshot.max()), (4, 2, MAX_MICROS));
    assert_eq!((snapshot.sum(), snapshot.percentile(0.0)), (3 * MAX_MICROS + 1, 1));
}

#[test]
fn threads_lose_nothing() {
    let histogram = Arc::new(Histogram::new());
    let record = |thread: u64| {
        let histogram = Arc::clone(&histogram);
        thread::spawn(move || (0..10_000).for_each(|value| histogram.record_micros(value * 4 + thread)))
    };
    for thread in (0..4).map(record).collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    let snapshot = histogram.snapshot();
    assert_eq!((snapshot.count(), snapshot.sum(), snapshot.max()), (40_000, (0..40_000).sum(), 39_999));
}

proptest! {
    #[test]
    fn agrees_with_a_sorted_vector(mut given in values(), percents in vec(0.0..=100.0f64, 1..8)) {
        let snapshot = counted(&given);
        for value in &mut given {
            *value = (*value).min(MAX_MICROS);
        }
        given.sort_unstable();
        prop_assert_eq!(snapshot.count(), given.len() as u64);
        prop_assert_eq!(snapshot.sum(), given.iter().sum::<u64>());
        prop_assert_eq!(snapshot.max(), *given.last().unwrap());
        prop_assert!((snapshot.mean() - snapshot.sum() as f64 / given.len() as f64).abs() < 1e-6);
        for percent in percents.into_iter().chain([0.0, 50.0, 99.0, 100.0]) {
            let rank = ((percent / 100.0 * given.len() as f64).ceil() as usize).max(1);
            let (measured, exact) = (snapshot.percentile(percent), given[rank - 1]);
            prop_assert!(close(measured, exact), "p{}: {} for {}", percent, measured, exact);
        }
    }

    #[test]
    fn counts_cumulatively(given in values(), mut bounds in vec(0..MAX_MICROS, 1..8)) {
        bounds.sort_unstable();
        let cumulative = counted(&given).cumulative(&bounds);
        for (bound, measured) in bounds.iter().zip(cumulative) {
            let at_most = |limit: f64| given.iter().filter(|value| **value as f64 <= limit).count() as u64;
            let (low, high) = (at_most(*bound as f64 * 0.999), at_most(*bound as f64 * 1.001));
            prop_assert!(low <= measured && measured <= high, "{} <= {} <= {}", low, measured, high);
        }
        prop_assert_eq!(counted(&given).cumulative(&[1 << 33]), [given.len() as u64]);
    }

    #[test]
    fn merging_and_subtracting_are_as_counting(first in values(), second in values()) {
        let mut both = counted(&first);
        both.merge(&counted(&second));
        prop_assert_eq!(&both, &counted(&[first.clone(), second.clone()].concat()));
        let rest = both.subtract(&counted(&first));
        let exact = counted(&second);
        prop_assert_eq!((rest.count(), rest.sum(), rest.clamped()), (exact.count(), exact.sum(), exact.clamped()));
        prop_assert!(close(rest.max(), exact.max()));
        prop_assert!(close(rest.percentile(90.0), exact.percentile(90.0)));
        prop_assert_eq!(both.subtract(&both), Snapshot::default());
    }
}
