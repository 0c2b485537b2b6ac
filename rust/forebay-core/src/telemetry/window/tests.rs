use std::sync::Barrier;
use std::time::Duration;

use proptest::prelude::*;

use super::{Sums, WINDOW, Window};

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn one(events: u64) -> Sums {
    Sums { events, requests: 1, failed: 0 }
}

#[test]
fn an_event_counts_for_three_seconds_and_then_not_at_all() {
    let window = Window::default();
    window.add(at(10), one(7));
    for (now, events) in [(10, 7), (11, 7), (3009, 7), (3010, 0), (5000, 0), (4106, 0), (4096 * 3 + 10, 0)] {
        assert_eq!(window.sums(at(now)).events, events, "at {now} ms");
    }
}

#[test]
fn a_steady_low_rate_is_shown_exactly_at_every_moment() {
    for period in [1, 2, 3, 5, 10, 100, 250, 500, 1000, 1500, 3000] {
        let window = Window::default();
        for now in 0..10_000 {
            if now % period == 0 {
                window.add(at(now), one(1));
            }
            if now >= 3000 {
                let sums = window.sums(at(now));
                assert_eq!(sums.events, 3000 / period, "every {period} ms, at {now} ms");
                assert_eq!(sums.requests, sums.events);
            }
        }
    }
}

#[test]
fn it_falls_to_zero_by_itself_when_nothing_comes() {
    let window = Window::default();
    for now in 0..3000 {
        window.add(at(now), one(1));
    }
    let mut last = window.sums(at(2999)).events;
    assert_eq!(last, 3000);
    for now in 3000..7000 {
        let events = window.sums(at(now)).events;
        assert!(events <= last);
        last = events;
    }
    assert_eq!(last, 0);
}

#[test]
fn a_slot_of_the_last_lap_is_begun_anew() {
    let window = Window::default();
    window.add(at(5), one(1000));
    window.add(at(5 + 4096), Sums { failed: 2, ..Sums::default() });
    assert_eq!(window.sums(at(5 + 4096)), Sums { events: 0, requests: 0, failed: 2 });
}

#[test]
fn a_thread_that_was_held_up_for_a_lap_does_not_count_into_the_next() {
    let window = Window::default();
    window.add(at(5 + 4096), one(1));
    window.add(at(5), one(100));
    assert_eq!(window.sums(at(5 + 4096)).events, 1);
}

#[test]
fn clearing_forgets_what_was_and_not_what_comes() {
    let window = Window::default();
    window.add(at(10), one(5));
    window.clear();
    assert_eq!(window.sums(at(10)), Sums::default());
    window.add(at(10), one(3));
    assert_eq!(window.sums(at(10)).events, 3);
}

#[test]
fn many_threads_lose_nothing() {
    const THREADS: u64 = 4;
    const EACH: u64 = 300_000;
    let window = Window::default();
    let together = Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (window, together) = (&window, &together);
            // All counts fall in few slots, some of which the first thread to come has to begin anew.
            scope.spawn(move || {
                together.wait();
                for n in 0..EACH {
                    window.add(at(4096 + (n + thread) % 2), one(3));
                }
            });
        }
    });
    assert_eq!(window.sums(at(4096 + 7)), Sums { events: 3 * THREADS * EACH, requests: THREADS * EACH, failed: 0 });
}

proptest! {
    #[test]
    fn it_is_what_a_list_of_times_says(
        steps in prop::collection::vec((0u64..2500, 0u64..1000, 0u64..5), 1..80),
        looks in prop::collection::vec(0u64..2000, 80),
    ) {
        let (window, mut seen, mut now) = (Window::default(), Vec::new(), 0);
        for ((step, events, failed), look) in steps.into_iter().zip(looks) {
            now += step;
            window.add(at(now), Sums { events, requests: 1, failed });
            seen.push((now, events, failed));
            let read = now + look;
            let span = WINDOW.as_millis() as u64;
            let inside = || seen.iter().filter(|(then, ..)| then + span > read);
            let sums = window.sums(at(read));
            prop_assert_eq!(sums.events, inside().map(|seen| seen.1).sum::<u64>());
            prop_assert_eq!(sums.failed, inside().map(|seen| seen.2).sum::<u64>());
            prop_assert_eq!(sums.requests, inside().count() as u64);
        }
    }
}
