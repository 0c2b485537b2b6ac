//! Jobs over restarts, power losses and refused writes.

use std::time::Duration;

use forebay_core::job::{NewJob, Priority};
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Engine, ErrorKind, Options};
use serde_json::json;

use crate::common::{open, sealing_soon, small, until, wait_sealed};
use crate::promises::{LEASE, enqueue, lease, parsed, text};

/// Everything but the times, which are told by the wall clock as it stands when they are asked for.
fn all(engine: &Engine, queues: &[&str]) -> Vec<serde_json::Value> {
    let lists = queues.iter().map(|queue| {
        let mut list = parsed(&engine.jobs().list(queue, None, 1000, 0).unwrap());
        for job in list["jobs"].as_array_mut().unwrap() {
            let job = job.as_object_mut().unwrap();
            job.retain(|name, _| {
                !["created_at", "updated_at", "available_at", "leased_until"].contains(&name.as_str())
            });
        }
        list
    });
    lists.chain([parsed(&engine.jobs().queues())]).collect()
}

/// A job in each status, with everything that a job can have, and a paused queue.
fn fill(engine: &Engine) -> Vec<&'static str> {
    let jobs = engine.jobs();
    for queue in ["q", "queue:q:high", "queue:q:low"] {
        enqueue(engine, queue);
    }
    let (high, held) = lease(engine, "q").unwrap();
    jobs.complete(&high, &held, Some(b"1")).unwrap();
    let (normal, held) = lease(engine, "q").unwrap();
    jobs.fail(&normal, &held, br#"{"message":"m"}"#, false).unwrap();
    let (low, held) = lease(engine, "q").unwrap();
    jobs.heartbeat(&low, &held, LEASE, Some(b"{\"at\":7}")).unwrap();
    jobs.cancel(&low).unwrap();
    let delay = Duration::from_secs(3600);
    let new = NewJob { unique_key: Some("k"), delay, priority: Priority::Low, ..NewJob::new("q", b"[1, 2]") };
    jobs.enqueue(&new).unwrap();
    let deleted = enqueue(engine, "q");
    jobs.delete(&deleted).unwrap();
    jobs.pause("queue:q:high").unwrap();
    vec!["q", "queue:q:high", "queue:q:low"]
}

fn check_comes_back(options: &Options, after: impl Fn(&Faulty, Engine) -> Faulty) {
    let storage = Faulty::new(3);
    storage.stop_clocks();
    let engine = open(&storage, options).unwrap();
    let queues = fill(&engine);
    let before = all(&engine, &queues);
    let storage = after(&storage, engine);
    let engine = open(&storage, options).unwrap();
    assert_eq!(engine.report().damages, []);
    assert_eq!(all(&engine, &queues), before);
    assert_eq!(
        parsed(&engine.jobs().enqueue(&NewJob { unique_key: Some("k"), ..NewJob::new("q", b"1") }).unwrap())["created"],
        false
    );
    let next = enqueue(&engine, "q");
    assert_eq!(lease(&engine, "q").unwrap().0, next, "the order goes on, and what is paused is not handed out");
}

#[test]
fn everything_comes_back_after_a_restart() {
    check_comes_back(&small(), |storage, engine| {
        drop(engine);
        storage.clone()
    });
}

#[test]
fn everything_comes_back_after_it_was_sealed() {
    check_comes_back(&sealing_soon(), |storage, engine| {
        let deltas = || storage.files().iter().filter(|(path, _)| path.to_string_lossy().ends_with(".delta")).count();
        until("sealing", || deltas() > 0);
        wait_sealed(&engine);
        drop(engine);
        storage.clone()
    });
}

#[test]
fn everything_comes_back_after_the_death_of_the_process() {
    check_comes_back(&small(), |storage, engine| {
        let after = storage.kill();
        drop(engine);
        after
    });
}

#[test]
fn a_worker_goes_on_from_the_progress_after_a_power_loss() {
    let storage = Faulty::new(5);
    let engine = open(&storage, &small()).unwrap();
    let id = enqueue(&engine, "q");
    let (_, held) = lease(&engine, "q").unwrap();
    engine.jobs().heartbeat(&id, &held, Duration::from_millis(1), Some(b"{\"rows\":500}")).unwrap();
    let storage = storage.crash();
    drop(engine);
    let engine = open(&storage, &small()).unwrap();
    until("the lease to run out", || lease_progress(&engine) == Some(json!({"rows": 500})));
    assert_eq!(parsed(&engine.jobs().get(&id).unwrap())["attempts"], 2);
}

fn lease_progress(engine: &Engine) -> Option<serde_json::Value> {
    let leased = parsed(&engine.jobs().lease("q", 1, LEASE).unwrap());
    leased["jobs"].get(0).map(|job| job["progress"].clone())
}

#[test]
fn what_cannot_be_written_changes_nothing() {
    let storage = Faulty::new(7);
    let engine = open(&storage, &small()).unwrap();
    let first = enqueue(&engine, "q");
    let (_, held) = lease(&engine, "q").unwrap();
    let waiting = enqueue(&engine, "q");
    let before = all(&engine, &["q"]);
    storage.halt();
    let jobs = engine.jobs();
    let refused = [
        jobs.enqueue(&NewJob::new("q", b"{}")).unwrap_err(),
        jobs.lease("q", 1, LEASE).unwrap_err(),
        jobs.complete(&first, &held, None).unwrap_err(),
        jobs.cancel(&waiting).unwrap_err(),
        jobs.pause("q").unwrap_err(),
    ];
    assert!(refused.iter().all(|error| error.kind() == ErrorKind::StorageUnavailable), "{refused:?}");
    assert_eq!(all(&engine, &["q"]), before);
    assert_eq!(text(&parsed(&jobs.get(&waiting).unwrap())["status"]), "waiting");
}
