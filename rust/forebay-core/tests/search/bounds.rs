//! Budgets, cancelling and closing.

use std::time::Duration;

use forebay_core::search::{
    Caller, ExportFormat, ExportPosition, ExportRequest, MAX_EXACT_TOTAL, MAX_EXPORT_BYTES, MAX_RUNNING_SEARCHES,
    SearchBudget, SearchCancel, SearchRequest, Stopped,
};
use forebay_core::{ErrorKind, LOGS, NewRecord, Options};

use crate::common::{sealing_soon, small};
use crate::world::{World, query, search};

fn stopped_by(world: &World, budget: SearchBudget) -> Option<Stopped> {
    let outcome = search(&world.engine, &SearchRequest { budget, ..SearchRequest::default() }).unwrap();
    let progress = outcome.progress;
    assert_eq!(outcome.total_is_exact, progress.is_complete());
    assert!(progress.is_complete() || outcome.cursor.is_none(), "what is newer may be missing");
    progress.stopped
}

#[test]
fn a_spent_budget_ends_a_search_and_the_outcome_says_so() {
    let mut world = World::new(41, &sealing_soon());
    world.append_any(2000);
    world.seal();
    let budget = SearchBudget::default();
    assert_eq!(stopped_by(&world, budget), None);
    assert_eq!(stopped_by(&world, SearchBudget { seconds: 0.0, ..budget }), Some(Stopped::Time));
    assert_eq!(stopped_by(&world, SearchBudget { bytes: Some(1000), ..budget }), Some(Stopped::Bytes));
    assert_eq!(stopped_by(&world, SearchBudget { hits: Some(100), ..budget }), Some(Stopped::Hits));
    assert_eq!(stopped_by(&world, SearchBudget { hits: Some(2000), bytes: Some(1 << 30), ..budget }), None);
    let request = SearchRequest { budget: SearchBudget { hits: Some(100), ..budget }, ..SearchRequest::default() };
    let outcome = search(&world.engine, &request).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&outcome.to_json()).unwrap();
    assert_eq!((&json["complete"], &json["stoppedBy"], &json["cursor"]), (&false.into(), &"hits".into(), &().into()));
    assert!((101..2000).contains(&outcome.total.unwrap()), "{:?}", outcome.total);
}

#[test]
fn a_search_ends_when_it_is_cancelled_and_when_the_engine_closes() {
    let mut world = World::new(42, &small());
    world.append_any(100);
    let cancel = SearchCancel::default();
    cancel.cancel();
    let caller = Caller { token: b"t", cancel: &cancel };
    let outcome = world.engine.search(&SearchRequest::default(), caller).unwrap();
    assert_eq!(outcome.progress.stopped, Some(Stopped::Cancelled));
    world.engine.close();
    assert_eq!(search(&world.engine, &SearchRequest::default()).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_total_is_exact_up_to_its_bound() {
    let world = World::new(43, &Options { ring_bytes: 128 << 20, journal_file_bytes: 8 << 20, ..small() });
    let value = br#"{"project_id":"p","timestamp":"2024-05-31T15:30:45Z","level":"i","service":"s","message":"m"}"#;
    let record = NewRecord { key: None, value: value.to_vec(), headers: Vec::new(), timestamp: None };
    let append = |count: u64| {
        for from in (0..count).step_by(10_000) {
            let records = vec![record.clone(); 10_000.min(count - from) as usize];
            world.engine.append(LOGS, &records, None).unwrap();
        }
    };
    append(MAX_EXACT_TOTAL);
    let request = SearchRequest { conditions: query("m"), ..SearchRequest::default() };
    let outcome = search(&world.engine, &request).unwrap();
    assert_eq!((outcome.total, outcome.total_is_exact), (Some(MAX_EXACT_TOTAL), true));
    append(1);
    let outcome = search(&world.engine, &request).unwrap();
    assert_eq!((outcome.total, outcome.total_is_exact), (Some(MAX_EXACT_TOTAL), false));
    assert!(outcome.progress.is_complete() && outcome.hits.len() == 50 && outcome.cursor.is_some());
    assert_eq!(outcome.hits[0].offset.0, MAX_EXACT_TOTAL, "the newest is first");
}

#[test]
fn an_export_step_is_bounded_and_its_position_is_checked() {
    let mut world = World::new(44, &small());
    world.append_any(50);
    let step = |request: ExportRequest| {
        world.engine.search_export(&request, Caller { token: b"t", cancel: &SearchCancel::default() })
    };
    let (format, budget) = (ExportFormat::Json, SearchBudget::default());
    let request = ExportRequest { conditions: query(""), position: None, max_bytes: 1, format, budget };
    for max_bytes in [0, MAX_EXPORT_BYTES + 1] {
        assert_eq!(step(ExportRequest { max_bytes, ..request.clone() }).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
    let first = step(request.clone()).unwrap();
    assert_eq!(first.exported.lines().iter().filter(|byte| **byte == b'\n').count(), 1, "one record at least");
    let json: serde_json::Value = serde_json::from_slice(&first.to_json()).unwrap();
    assert_eq!(json["done"], false);
    let position: ExportPosition = serde_json::from_value(json["position"].clone()).unwrap();
    assert_eq!(position, first.position);
    let beyond = ExportPosition { end: vec![1000; 2], ..position.clone() };
    let other = ExportPosition { stream: 999, ..position.clone() };
    let short = ExportPosition { next: vec![0], ..position };
    for position in [beyond, other, short] {
        let refused = step(ExportRequest { position: Some(position), ..request.clone() }).unwrap_err();
        assert!(refused.detail().starts_with("position:"), "{refused}");
    }
    let spent = SearchBudget { seconds: 0.0, ..SearchBudget::default() };
    let nothing = step(ExportRequest { budget: spent, ..request }).unwrap();
    assert_eq!(
        (nothing.exported.lines().len(), nothing.is_done, nothing.progress.stopped),
        (0, false, Some(Stopped::Time))
    );
}

/// One that runs with all its might is refused nothing; the next one is, and comes in once a search ends.
#[test]
fn too_many_searches_are_refused_with_a_time() {
    let mut world = World::new(45, &small());
    world.append_any(3000);
    let (cancel, world) = (SearchCancel::default(), &world);
    let refused = std::thread::scope(|scope| {
        for thread in 0..MAX_RUNNING_SEARCHES {
            let cancel = &cancel;
            scope.spawn(move || {
                while !cancel.is_cancelled() {
                    let request =
                        SearchRequest { conditions: query("/(.*)*x(.*)*y(.*)*z/"), ..SearchRequest::default() };
                    let token = format!("t{thread}").into_bytes();
                    let _one = world.engine.search(&request, Caller { token: &token, cancel });
                }
            });
        }
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        let refused = std::iter::repeat_with(|| search(&world.engine, &SearchRequest::default()))
            .find(|outcome| outcome.is_err() || std::time::Instant::now() > deadline);
        cancel.cancel();
        refused.unwrap().unwrap_err()
    });
    assert_eq!(refused.kind(), ErrorKind::Saturated);
    assert!(refused.retry_after().is_some());
    assert!(search(&world.engine, &SearchRequest::default()).is_ok());
}
