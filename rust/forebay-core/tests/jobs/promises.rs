//! What each call promises.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use forebay_core::job::{MAX_PAYLOAD_BYTES, NewJob, Priority};
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Engine, ErrorKind, Options};
use serde_json::{Value, json};

use crate::common::{self, small};

pub const LEASE: Duration = Duration::from_secs(30);

pub fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

pub fn world() -> (Faulty, Engine) {
    let storage = Faulty::new(1);
    storage.stop_clocks();
    let engine = common::open(&storage, &small()).unwrap();
    (storage, engine)
}

pub fn enqueue(engine: &Engine, queue: &str) -> String {
    text(&parsed(&engine.jobs().enqueue(&NewJob::new(queue, b"{}")).unwrap())["job_id"])
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

/// Leases one job: its id and its lease.
pub fn lease(engine: &Engine, queue: &str) -> Option<(String, String)> {
    let leased = parsed(&engine.jobs().lease(queue, 1, LEASE).unwrap());
    leased["jobs"].get(0).map(|job| (text(&job["id"]), text(&job["lease"])))
}

fn kind<T>(outcome: forebay_core::Result<T>) -> ErrorKind {
    match outcome {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error.kind(),
    }
}

fn get(engine: &Engine, id: &str) -> Value {
    parsed(&engine.jobs().get(id).unwrap())
}

fn queue(engine: &Engine, name: &str) -> Value {
    let queues = parsed(&engine.jobs().queues());
    queues["queues"].as_array().unwrap().iter().find(|queue| queue["name"] == name).unwrap().clone()
}

#[test]
fn a_base_name_hands_out_the_highest_priority_first_and_each_in_order() {
    let (_storage, engine) = world();
    let jobs = engine.jobs();
    let mut wanted = Vec::new();
    for priority in [Priority::Low, Priority::Normal, Priority::High] {
        let new = NewJob { priority, ..NewJob::new("email", br#"{"n":1}"#) };
        let two = [0, 1].map(|_| text(&parsed(&jobs.enqueue(&new).unwrap())["job_id"]));
        wanted.splice(0..0, two);
    }
    let (low, _) = lease(&engine, "queue:email:low").unwrap();
    assert_eq!(low, wanted.remove(4), "a full name is that queue alone");
    let leased = parsed(&jobs.lease("email", 10, LEASE).unwrap());
    let ids: Vec<_> = leased["jobs"].as_array().unwrap().iter().map(|job| text(&job["id"])).collect();
    assert_eq!(ids, wanted);
    assert_eq!(leased["jobs"][0]["payload"], json!({"n": 1}));
    assert_eq!((&leased["jobs"][0]["attempts"], &leased["jobs"][0]["queue"]), (&json!(1), &json!("queue:email:high")));
    assert_eq!(parsed(&jobs.lease("nothing", 1, LEASE).unwrap()), json!({"jobs": []}));
}

#[test]
fn who_lost_the_lease_changes_nothing() {
    let (storage, engine) = world();
    let jobs = engine.jobs();
    let id = enqueue(&engine, "q");
    let (_, first) = lease(&engine, "q").unwrap();
    storage.pass(LEASE);
    let lost = |lease: &str| {
        assert_eq!(kind(jobs.complete(&id, lease, None)), ErrorKind::LeaseLost);
        assert_eq!(kind(jobs.fail(&id, lease, b"{}", true)), ErrorKind::LeaseLost);
        assert_eq!(kind(jobs.heartbeat(&id, lease, LEASE, None)), ErrorKind::LeaseLost);
    };
    lost(&first);
    let (again, second) = lease(&engine, "q").unwrap();
    assert_eq!((&again, &get(&engine, &id)["attempts"]), (&id, &json!(2)), "the lost attempt counts");
    lost(&first);
    lost("lease_1");
    let beat = parsed(&jobs.heartbeat(&id, &second, LEASE * 2, Some(b"[7]")).unwrap());
    assert_eq!(beat["cancel"], false);
    storage.pass(LEASE + Duration::from_secs(1));
    assert_eq!(lease(&engine, "q"), None, "it is held for longer");
    jobs.complete(&id, &second, Some(br#"{"sent":1}"#)).unwrap();
    let done = get(&engine, &id);
    assert_eq!(
        (&done["status"], &done["result"], &done["progress"]),
        (&json!("completed"), &json!({"sent":1}), &json!([7]))
    );
    lost(&second);
    assert_eq!(queue(&engine, "queue:q")["completed_last_hour"], 1);
}

#[test]
fn a_failed_attempt_comes_back_later_until_retries_are_used_up() {
    let (storage, engine) = world();
    let jobs = engine.jobs();
    let id = text(&parsed(&jobs.enqueue(&NewJob { retries: 1, ..NewJob::new("q", b"{}") }).unwrap())["job_id"]);
    let (_, first) = lease(&engine, "q").unwrap();
    let failed = parsed(&jobs.fail(&id, &first, br#"{"message":"no"}"#, true).unwrap());
    assert_eq!(failed["status"], "waiting");
    storage.pass(Duration::from_secs(1));
    let (_, second) = lease(&engine, "q").unwrap();
    let failed = parsed(&jobs.fail(&id, &second, br#"{"message":"never"}"#, true).unwrap());
    assert_eq!(failed["status"], "failed");
    let job = get(&engine, &id);
    assert_eq!((&job["attempts"], &job["error"]), (&json!(2), &json!({"message": "never"})));
    assert_eq!(kind(jobs.cancel(&id)), ErrorKind::JobConflict);
    assert_eq!(parsed(&jobs.retry(&id).unwrap())["status"], "waiting");
    assert_eq!(kind(jobs.retry(&id)), ErrorKind::JobConflict);
    let job = get(&engine, &id);
    assert_eq!((&job["attempts"], &job["error"]), (&json!(0), &Value::Null));
    let (_, third) = lease(&engine, "q").unwrap();
    assert_eq!(parsed(&jobs.fail(&id, &third, b"{}", false).unwrap())["status"], "failed", "for good");
    jobs.delete(&id).unwrap();
    assert_eq!(kind(jobs.get(&id)), ErrorKind::JobNotFound);
}

#[test]
fn a_lease_that_runs_out_fails_a_job_without_attempts_left() {
    let (storage, engine) = world();
    let jobs = engine.jobs();
    let id = text(&parsed(&jobs.enqueue(&NewJob { retries: 0, ..NewJob::new("q", b"{}") }).unwrap())["job_id"]);
    lease(&engine, "q").unwrap();
    storage.pass(LEASE);
    jobs.sweep();
    let job = get(&engine, &id);
    assert_eq!((&job["status"], &job["error"]["message"]), (&json!("failed"), &json!("its worker's lease ran out")));
}

#[test]
fn cancelling_asks_the_worker_and_deleting_is_refused_meanwhile() {
    let (_storage, engine) = world();
    let jobs = engine.jobs();
    let (active, waiting) = (enqueue(&engine, "q"), enqueue(&engine, "q"));
    let (id, held) = lease(&engine, "q").unwrap();
    assert_eq!(id, active);
    assert_eq!(kind(jobs.delete(&active)), ErrorKind::JobConflict);
    assert_eq!(parsed(&jobs.cancel(&active).unwrap())["cancel_requested"], true);
    assert_eq!(parsed(&jobs.heartbeat(&active, &held, LEASE, None).unwrap())["cancel"], true);
    assert_eq!(parsed(&jobs.fail(&active, &held, b"{}", true).unwrap())["status"], "failed", "it is not tried again");
    assert_eq!(parsed(&jobs.cancel(&waiting).unwrap())["status"], "failed");
}

#[test]
fn a_unique_key_counts_as_long_as_its_job_is_to_be_done() {
    let (_storage, engine) = world();
    let jobs = engine.jobs();
    let new = NewJob { unique_key: Some("k"), ..NewJob::new("q", b"{}") };
    let first = parsed(&jobs.enqueue(&new).unwrap());
    assert_eq!(first["created"], true);
    let low = NewJob { priority: Priority::Low, ..new.clone() };
    for again in [&new, &low] {
        let again = parsed(&jobs.enqueue(again).unwrap());
        assert_eq!(
            (&again["job_id"], &again["created"], &again["queue"]),
            (&first["job_id"], &json!(false), &json!("queue:q"))
        );
    }
    assert_eq!(parsed(&jobs.enqueue(&NewJob { queue: "other", ..new.clone() }).unwrap())["created"], true);
    let (id, held) = lease(&engine, "q").unwrap();
    assert_eq!(parsed(&jobs.enqueue(&new).unwrap())["status"], "active");
    jobs.fail(&id, &held, b"{}", false).unwrap();
    assert_eq!(parsed(&jobs.enqueue(&new).unwrap())["created"], true);
    assert_eq!(kind(jobs.retry(&id)), ErrorKind::JobConflict, "the key is another's now");
}

#[test]
fn a_key_that_many_ask_for_at_once_makes_one_job() {
    let (_storage, engine) = world();
    let engine = Arc::new(engine);
    let all: Vec<_> = (0..8)
        .map(|_| {
            let engine = Arc::clone(&engine);
            std::thread::spawn(move || {
                let new = NewJob { unique_key: Some("k"), ..NewJob::new("q", b"{}") };
                parsed(&engine.jobs().enqueue(&new).unwrap())
            })
        })
        .collect();
    let answers: Vec<_> = all.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| answer["created"] == true).count(), 1);
    assert_eq!(answers.iter().map(|answer| text(&answer["job_id"])).collect::<BTreeSet<_>>().len(), 1);
}

#[test]
fn many_workers_get_each_job_once() {
    const JOBS: usize = 300;
    let (_storage, engine) = world();
    let engine = Arc::new(engine);
    let ids: BTreeSet<_> = (0..JOBS).map(|_| enqueue(&engine, "q")).collect();
    let work = |engine: Arc<Engine>| {
        let mut done = Vec::new();
        while let Some((id, held)) = lease(&engine, "q") {
            engine.jobs().complete(&id, &held, None).unwrap();
            done.push(id);
        }
        done
    };
    let all: Vec<_> = (0..4)
        .map(|_| {
            let engine = Arc::clone(&engine);
            std::thread::spawn(move || work(engine))
        })
        .collect();
    let done: Vec<_> = all.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_eq!((done.len(), done.into_iter().collect::<BTreeSet<_>>()), (JOBS, ids));
    assert_eq!(queue(&engine, "queue:q")["completed_last_hour"], JOBS);
}

#[test]
fn a_paused_queue_hands_out_nothing_and_takes_jobs() {
    let (_storage, engine) = world();
    let jobs = engine.jobs();
    assert_eq!(kind(jobs.pause("q")), ErrorKind::QueueNotFound);
    let normal = enqueue(&engine, "q");
    let high = enqueue(&engine, "queue:q:high");
    assert_eq!(parsed(&jobs.pause("queue:q:high").unwrap())["status"], "paused");
    assert_eq!(lease(&engine, "q").unwrap().0, normal);
    assert_eq!(lease(&engine, "q"), None);
    let paused = queue(&engine, "queue:q:high");
    assert_eq!((&paused["paused"], &paused["waiting_jobs"]), (&json!(true), &json!(1)));
    jobs.resume("queue:q:high").unwrap();
    assert_eq!(lease(&engine, "q").unwrap().0, high);
}

#[test]
fn delayed_jobs_wait_and_lists_have_a_total() {
    let (storage, engine) = world();
    let jobs = engine.jobs();
    let delay = Duration::from_secs(60);
    let later = text(&parsed(&jobs.enqueue(&NewJob { delay, ..NewJob::new("q", b"{}") }).unwrap())["job_id"]);
    let now: Vec<_> = (0..5).map(|_| enqueue(&engine, "q")).collect();
    let page = parsed(&jobs.list("queue:q", Some("waiting"), 2, 4).unwrap());
    let ids = |page: &Value| page["jobs"].as_array().unwrap().iter().map(|job| text(&job["id"])).collect::<Vec<_>>();
    assert_eq!((&page["total"], ids(&page)), (&json!(6), vec![now[4].clone(), later.clone()]));
    assert_eq!(parsed(&jobs.lease("q", 10, LEASE).unwrap())["jobs"].as_array().unwrap().len(), 5);
    let page = parsed(&jobs.list("q", None, 10, 3).unwrap());
    assert_eq!((&page["total"], ids(&page)), (&json!(6), vec![now[3].clone(), now[4].clone(), later.clone()]));
    assert_eq!(parsed(&jobs.list("q", Some("failed"), 10, 3).unwrap())["total"], 0);
    storage.pass(delay);
    assert_eq!(lease(&engine, "q").unwrap().0, later);
    assert_eq!(kind(jobs.list("none", None, 10, 0)), ErrorKind::QueueNotFound);
    assert_eq!(kind(jobs.list("q", Some("done"), 10, 0)), ErrorKind::InvalidRequest);
    assert_eq!(kind(jobs.list("q", None, 0, 0)), ErrorKind::InvalidRequest);
}

#[test]
fn what_is_out_of_range_is_refused_by_name() {
    let (_storage, engine) = world();
    let jobs = engine.jobs();
    let large = vec![b'1'; MAX_PAYLOAD_BYTES + 1];
    let new = NewJob::new("q", b"{}");
    for (wrong, expected, named) in [
        (NewJob::new("Q", b"{}"), ErrorKind::InvalidRequest, "a-z"),
        (NewJob::new("q", b"{"), ErrorKind::Malformed, "payload"),
        (NewJob::new("q", &large), ErrorKind::PayloadTooLarge, "payload"),
        (NewJob { retries: 10_001, ..new.clone() }, ErrorKind::InvalidRequest, "retries"),
        (NewJob { timeout: Duration::ZERO, ..new.clone() }, ErrorKind::InvalidRequest, "timeout_ms"),
        (NewJob { unique_key: Some(""), ..new.clone() }, ErrorKind::InvalidRequest, "unique_key"),
    ] {
        let error = jobs.enqueue(&wrong).unwrap_err();
        assert_eq!(error.kind(), expected);
        assert!(error.detail().contains(named), "{error}");
    }
    assert_eq!(parsed(&jobs.queues()), json!({"queues": []}), "nothing was made of them");
    assert_eq!(kind(jobs.lease("q", 0, LEASE)), ErrorKind::InvalidRequest);
    assert_eq!(kind(jobs.lease("q", 1, Duration::ZERO)), ErrorKind::InvalidRequest);
}

#[test]
fn memory_is_bounded_and_comes_back() {
    let storage = Faulty::new(1);
    let engine = common::open(&storage, &Options { jobs_bytes: 1024 * 1024, ..small() }).unwrap();
    let payload = format!("\"{}\"", "x".repeat(60_000));
    let new = NewJob::new("q", payload.as_bytes());
    let mut ids = Vec::new();
    let refused = loop {
        match engine.jobs().enqueue(&new) {
            Ok(answer) => ids.push(text(&parsed(&answer)["job_id"])),
            Err(error) => break error,
        }
    };
    assert_eq!((refused.kind(), ids.len()), (ErrorKind::Saturated, 17));
    engine.jobs().delete(&ids[0]).unwrap();
    engine.jobs().enqueue(&new).unwrap();
}

#[test]
fn ended_jobs_are_kept_for_their_time() {
    let (storage, engine) = world();
    let jobs = engine.jobs();
    let (done, failed) = (enqueue(&engine, "q"), enqueue(&engine, "q"));
    let (_, held) = lease(&engine, "q").unwrap();
    jobs.complete(&done, &held, None).unwrap();
    jobs.cancel(&failed).unwrap();
    storage.pass(Duration::from_secs(24 * 3600 - 1));
    jobs.sweep();
    assert_eq!(get(&engine, &done)["status"], "completed");
    assert_eq!(queue(&engine, "queue:q")["completed_last_hour"], 0);
    storage.pass(Duration::from_secs(1));
    jobs.sweep();
    assert_eq!(kind(jobs.get(&done)), ErrorKind::JobNotFound);
    assert_eq!(get(&engine, &failed)["status"], "failed");
    storage.pass(Duration::from_secs(6 * 24 * 3600));
    jobs.sweep();
    assert_eq!(kind(jobs.get(&failed)), ErrorKind::JobNotFound);
}
