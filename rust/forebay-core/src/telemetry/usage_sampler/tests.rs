#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use super::{Times, UsageSampler, parse_resident, parse_times, share};

const STAT: &str = "cpu  100 20 30 800 40 5 6 9 50 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n";

#[test]
fn the_line_of_all_processors_is_split_into_busy_and_all() {
    let times = parse_times(STAT).unwrap();
    // Guests are in user and nice already.
    assert_eq!(times, Times { busy: 170, all: 1010 });
    for bad in ["", "cpu0 1 2 3 4 5", "cpu  1 2 3", "cpu  a b c d e"] {
        assert_eq!(parse_times(bad), None, "{bad:?}");
    }
}

#[test]
fn the_share_is_of_what_passed_between_two_samples() {
    let times = |busy, all| Some(Times { busy, all });
    assert_eq!(share(times(100, 1000), times(150, 1200)), Some(25.0));
    assert_eq!(share(times(100, 1000), times(100, 1000)), None);
    assert_eq!(share(times(100, 1000), times(90, 1200)), Some(0.0));
    assert_eq!(share(times(100, 1000), times(400, 1200)), Some(100.0));
    assert_eq!(share(None, times(400, 1200)), None);
}

#[test]
fn resident_pages_are_the_second_field() {
    assert_eq!(parse_resident("5000 1234 600 1 0 900 0\n"), Some(1234));
    assert_eq!(parse_resident(""), None);
}

#[test]
fn this_process_has_memory_and_the_machine_a_load() {
    let sampler = UsageSampler::default();
    let usage = sampler.at(Instant::now() + Duration::from_secs(1));
    assert!((1..100_000).contains(&usage.memory_mib), "{usage:?}");
    assert!((0.0..=100.0).contains(&usage.cpu_percent), "{usage:?}");
}
