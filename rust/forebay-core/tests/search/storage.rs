//! Sealing, merging and retention while somebody searches.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use forebay_core::search::{Conditions, SearchRequest};
use forebay_core::{LOGS, NewRecord, Options, Retention};

use crate::common::{sealing_soon, until};
use crate::reference::{Term, Wanted};
use crate::world::{World, query, search};

fn everything() -> Wanted {
    Wanted::new(Vec::new(), Conditions::default())
}

#[test]
fn merged_parts_are_found_in_as_their_sources_were() {
    let mut world = World::new(21, &sealing_soon());
    for _ in 0..9 {
        world.append_any(30);
        world.seal();
        world.check(&everything());
    }
    until("merging", || world.engine.counters().segments_merged.get() > 0);
    world.check(&everything());
    for _ in 0..20 {
        let wanted = world.any_wanted();
        world.check(&wanted);
    }
}

#[test]
fn what_retention_deleted_is_found_no_more() {
    let options =
        Options { logs_retention: Retention { age: None, bytes: Some(1) }, logs_partitions: 1, ..sealing_soon() };
    let mut world = World::new(22, &options);
    for _ in 0..4 {
        world.append_any(40);
        world.seal();
    }
    until("retention", || world.engine.stream_report(LOGS).unwrap().segments == 1);
    let (_, start, _) = world.engine.stream_report(LOGS).unwrap().partitions[0];
    world.events.retain(|(_, _, offset), _| *offset >= start.0);
    assert!(world.events.len() < 160);
    world.check(&everything());
}

/// Everything that was acknowledged before a search began is counted by it, once.
#[test]
fn a_search_counts_each_record_once_while_the_log_moves() {
    let world = World::new(23, &Options { logs_partitions: 3, ..sealing_soon() });
    let (acknowledged, sent, done) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for batch in 0..120 {
                let record = |index: u64| {
                    let value = format!(
                        r#"{{"project_id":"p{}","timestamp":"2024-05-31T15:30:45Z","level":"info","service":"s","message":"steady {batch}"}}"#,
                        index % 7
                    );
                    NewRecord { key: None, value: value.into_bytes(), headers: Vec::new(), timestamp: None }
                };
                sent.fetch_add(20, Ordering::SeqCst);
                world.engine.append(LOGS, &(0..20).map(record).collect::<Vec<_>>(), None).unwrap();
                acknowledged.fetch_add(20, Ordering::SeqCst);
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            let before = acknowledged.load(Ordering::SeqCst);
            let outcome =
                search(&world.engine, &SearchRequest { conditions: query("steady"), ..SearchRequest::default() })
                    .unwrap();
            let (total, after) = (outcome.total.unwrap(), sent.load(Ordering::SeqCst));
            assert!((before..=after).contains(&total), "{total} of {before} to {after}: {:?}", outcome.progress);
            assert_eq!(outcome.progress.scanned.lost, 0);
        }
    });
    until("merging", || world.engine.counters().segments_merged.get() > 0);
    let total = search(&world.engine, &SearchRequest { conditions: query("steady"), ..SearchRequest::default() })
        .unwrap()
        .total;
    assert_eq!(total, Some(2400));
}

#[test]
fn parts_of_other_times_are_not_read() {
    let mut world = World::new(24, &Options { logs_partitions: 1, ..sealing_soon() });
    for hour in 0..6 {
        let mut events: Vec<_> = (0..20).map(|_| crate::event::Event::any(&mut world.random)).collect();
        events.iter_mut().for_each(|event| event.time += hour * 3_600_000_000);
        world.append(events);
        world.seal();
    }
    let parts = world.engine.stream_report(LOGS).unwrap().segments as u64;
    assert_eq!(parts, 6);
    let hour = |hour: i64| Some(1_700_000_000_000_000 + hour * 3_600_000_000);
    let conditions = Conditions { start_time: hour(2), end_time: hour(4), ..Conditions::default() };
    let wanted = Wanted::new(Vec::new(), conditions.clone());
    world.check(&wanted);
    let request = SearchRequest { conditions, ..SearchRequest::default() };
    let scanned = search(&world.engine, &request).unwrap().progress.scanned;
    assert!(scanned.parts <= 3 && scanned.parts + scanned.parts_skipped == parts, "{scanned:?}");
    // The newest page is in the newest part.
    let request = SearchRequest { conditions: Conditions::default(), limit: 5, count: false, ..request };
    let outcome = search(&world.engine, &request).unwrap();
    assert_eq!((outcome.progress.scanned.parts, outcome.progress.scanned.records), (1, 20));
    // And the page after the cursor is where the cursor is.
    let timeout = Wanted::new(vec![(false, Term::Word("timeout".to_owned()))], Conditions::default());
    world.check(&timeout);
}
