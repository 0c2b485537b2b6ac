//! All calls in any order against a plain model, over restarts, deaths of the process, power losses and commits that are cut
//! off. `FOREBAY_JOBS_CASES` runs more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forebay_core::job::{NewJob, Priority};
use forebay_core::storage::Storage;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Engine, ErrorKind, Options};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::common::{open, sealing_soon, small};
use crate::promises::{parsed, text};

/// The number of cases that continuous integration can afford.
const CASES: u32 = 64;
const QUEUES: [&str; 3] = ["queue:q:high", "queue:q", "queue:q:low"];
const DAY: i64 = 24 * 3_600_000;

#[derive(Clone, Debug)]
enum Op {
    Enqueue { priority: usize, delay: u64, retries: u32, key: Option<u8> },
    Lease { base: bool, limit: usize, millis: u64 },
    Complete(usize),
    Fail(usize, bool),
    Heartbeat(usize, u64),
    Cancel(usize),
    Retry(usize),
    Delete(usize),
    Pause(usize, bool),
}

#[derive(Clone, Debug)]
enum Step {
    Do(Op),
    Pass(u64),
    Restart,
    Kill,
    PowerLoss,
    /// The operation is cut off after so many changes of the storage, and the power fails.
    Cut(Op, u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..3_usize, prop_oneof![Just(0), 1..5_000_u64], 0..3_u32, prop::option::weighted(0.3, 0..3_u8))
            .prop_map(|(priority, delay, retries, key)| Op::Enqueue { priority, delay, retries, key }),
        6 => (any::<bool>(), 1..4_usize, 1..20_000_u64)
            .prop_map(|(base, limit, millis)| Op::Lease { base, limit, millis }),
        4 => (0..50_usize).prop_map(Op::Complete),
        3 => (0..50_usize, any::<bool>()).prop_map(|(job, retry)| Op::Fail(job, retry)),
        2 => (0..50_usize, 1..20_000_u64).prop_map(|(job, millis)| Op::Heartbeat(job, millis)),
        1 => (0..50_usize).prop_map(Op::Cancel),
        1 => (0..50_usize).prop_map(Op::Retry),
        1 => (0..50_usize).prop_map(Op::Delete),
        1 => (0..3_usize, any::<bool>()).prop_map(|(queue, paused)| Op::Pause(queue, paused)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => op().prop_map(Step::Do),
        4 => prop_oneof![6 => 1..10_000_u64, 1 => Just(3_600_000), 1 => Just(25 * 3_600_000)].prop_map(Step::Pass),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
        1 => Just(Step::PowerLoss),
        2 => (op(), 0..6_u64).prop_map(|(op, changes)| Step::Cut(op, changes)),
    ]
}

/// A job as it should be. Times are milliseconds of the wall clock.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ModelJob {
    number: usize,
    queue: usize,
    status: &'static str,
    attempts: u32,
    retries: u32,
    key: Option<u8>,
    /// `None` where only the engine knows it: a wait that is drawn.
    due: Option<i64>,
    latest_due: i64,
    updated: i64,
    cancel: bool,
    progress: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    jobs: BTreeMap<String, ModelJob>,
    /// The lease of each job that the test knows.
    leases: BTreeMap<String, String>,
    paused: [bool; 3],
    known: [bool; 3],
    /// Minutes in which jobs were completed.
    completed: [Vec<i64>; 3],
    enqueued: usize,
}

impl Model {
    fn is_open(job: &ModelJob) -> bool {
        ["waiting", "active"].contains(&job.status)
    }

    fn holder(&self, key: u8) -> Option<&String> {
        self.jobs.iter().find(|(_, job)| job.key == Some(key) && Self::is_open(job)).map(|(id, _)| id)
    }

    /// What is due by time: leases that ran out, jobs that were kept long enough.
    fn sweep(&mut self, now: i64) {
        for (id, job) in self.jobs.iter_mut().filter(|(_, job)| job.status == "active") {
            if job.due.is_some_and(|due| due <= now) {
                self.leases.remove(id);
                job.status = if job.attempts <= job.retries && !job.cancel { "waiting" } else { "failed" };
                (job.due, job.latest_due, job.updated) = (Some(now), now, now);
            }
        }
        let kept = |job: &ModelJob| match job.status {
            "completed" => now - job.updated < DAY,
            "failed" => now - job.updated < 7 * DAY,
            _ => true,
        };
        self.jobs.retain(|_, job| kept(job));
    }

    /// Ids of a status in a queue as the engine lists them.
    fn listed(&self, queue: usize, status: &str) -> Vec<String> {
        let mut of: Vec<_> = self.jobs.iter().filter(|(_, job)| job.queue == queue && job.status == status).collect();
        of.sort_by_key(|(_, job)| (job.due, job.number));
        if ["failed", "completed"].contains(&status) {
            of.reverse();
        }
        of.into_iter().map(|(id, _)| id.clone()).collect()
    }
}

struct World {
    storage: Faulty,
    options: Options,
    engine: Option<Engine>,
    model: Model,
}

impl World {
    fn new(seed: u64) -> Self {
        let options = if seed.is_multiple_of(2) { small() } else { sealing_soon() };
        let storage = Faulty::new(seed);
        storage.stop_clocks();
        let engine = Some(open(&storage, &options).unwrap());
        Self { storage, options, engine, model: Model::default() }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn now(&self) -> i64 {
        self.storage.moment().wall.0.div_euclid(1000)
    }

    fn reopen(&mut self, storage: Faulty) {
        self.engine = None;
        self.storage = storage;
        self.engine = Some(open(&self.storage, &self.options).unwrap());
        assert_eq!(self.engine().report().damages, []);
        // A test's hours pass between two anchors of the clock: an operator says that the wall clock is right.
        let _doubted = self.engine().release_clock();
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Do(op) => {
                let before = self.model.clone();
                self.apply(op, &before).unwrap();
            }
            Step::Pass(millis) => self.storage.pass(Duration::from_millis(*millis)),
            Step::Restart => {
                let storage = self.storage.clone();
                self.reopen(storage);
            }
            Step::Kill => {
                let storage = self.storage.kill();
                self.reopen(storage);
            }
            Step::PowerLoss => {
                let storage = self.storage.crash();
                self.reopen(storage);
            }
            Step::Cut(op, changes) => return self.cut(op, *changes),
        }
        self.settle();
        let found = self.found();
        assert_eq!(found, None, "{step:?}");
    }

    fn settle(&mut self) {
        self.engine().jobs().sweep();
        let now = self.now();
        self.model.sweep(now);
    }

    /// What was acknowledged holds; what was not happened as a whole or not at all.
    fn cut(&mut self, op: &Op, changes: u64) {
        let before = self.model.clone();
        self.storage.halt_after(changes);
        let outcome = self.apply(op, &before);
        let after = std::mem::replace(&mut self.model, before.clone());
        let storage = self.storage.crash();
        self.reopen(storage);
        let acknowledged = match outcome {
            Ok(()) => true,
            Err(ErrorKind::StorageUnavailable) => false,
            Err(other) => panic!("{other:?}"),
        };
        self.model = after;
        self.settle();
        let as_after = self.found();
        if acknowledged || as_after.is_none() {
            return assert_eq!(as_after, None, "{op:?}");
        }
        let learned = self.learn(op, &before);
        self.settle();
        let found = self.found();
        assert_eq!(found, None, "{op:?}: neither before ({learned}) nor after: {as_after:?}");
    }

    /// The model of what was not acknowledged: as before, or with what the engine has that the model cannot know.
    fn learn(&mut self, op: &Op, before: &Model) -> bool {
        self.model = before.clone();
        self.settle();
        if self.found().is_none() {
            return false;
        }
        self.model = before.clone();
        match op {
            Op::Enqueue { priority, delay, retries, key } => {
                // Its id was never told, and the power loss took time.
                let known: BTreeSet<_> = before.jobs.keys().cloned().collect();
                let id = self.ids(*priority).into_iter().find(|id| !known.contains(id));
                if let Some(id) = id {
                    let job = parsed(&self.engine().jobs().get(&id).unwrap());
                    let due = millis(&job["available_at"]);
                    self.model.add(&id, (*priority, *retries, *key), due, due - i64::try_from(*delay).unwrap());
                }
                self.model.known[*priority] = true;
            }
            Op::Lease { .. } => self.take_over_leases(),
            _ => {}
        }
        true
    }

    /// Takes the state of jobs that were handed out without anybody's being told.
    fn take_over_leases(&mut self) {
        let mut jobs = std::mem::take(&mut self.model.jobs);
        for (id, job) in &mut jobs {
            let is = parsed(&self.engine().jobs().get(id).unwrap());
            let attempts = u32::try_from(is["attempts"].as_u64().unwrap()).unwrap();
            if job.status == "waiting" && attempts == job.attempts + 1 {
                job.attempts = attempts;
                job.status =
                    ["active", "waiting", "failed"].into_iter().find(|status| is["status"] == *status).unwrap();
                let due = if job.status == "active" { &is["leased_until"] } else { &is["updated_at"] };
                (job.due, job.updated) = (Some(millis(due)), millis(&is["updated_at"]));
            }
        }
        self.model.jobs = jobs;
    }

    fn ids(&self, queue: usize) -> Vec<String> {
        match self.engine().jobs().list(QUEUES[queue], None, 1000, 0) {
            Ok(page) => parsed(&page)["jobs"].as_array().unwrap().iter().map(|job| text(&job["id"])).collect(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::QueueNotFound);
                Vec::new()
            }
        }
    }

    /// The first difference between the engine and the model.
    fn found(&mut self) -> Option<String> {
        let minute = self.now().div_euclid(60_000);
        let queues = parsed(&self.engine().jobs().queues());
        for (index, name) in QUEUES.into_iter().enumerate() {
            let queue = queues["queues"].as_array().unwrap().iter().find(|queue| queue["name"] == name).cloned();
            if queue.is_some() != self.model.known[index] {
                return Some(format!("{name}: {queue:?}"));
            }
            let Some(queue) = queue else { continue };
            let recent = self.model.completed[index].iter().filter(|at| **at > minute - 60).count();
            if queue["completed_last_hour"] != recent || queue["paused"] != self.model.paused[index] {
                return Some(format!("{recent} completed, paused {}: {queue}", self.model.paused[index]));
            }
            let wanted: BTreeSet<String> =
                self.model.jobs.iter().filter(|(_, job)| job.queue == index).map(|(id, _)| id.clone()).collect();
            let is: BTreeSet<String> = self.ids(index).into_iter().collect();
            if is != wanted {
                return Some(format!("{name} has {is:?}, and should have {wanted:?}"));
            }
        }
        if let Some(difference) = self.different_job() {
            return Some(difference);
        }
        (0..3).find_map(|queue| self.different_order(queue))
    }

    fn different_job(&mut self) -> Option<String> {
        let mut jobs = std::mem::take(&mut self.model.jobs);
        let mut difference = None;
        for (id, job) in &mut jobs {
            let is = parsed(&self.engine().jobs().get(id).unwrap());
            if job.due.is_none() && job.status == "waiting" && is["status"] == "waiting" {
                // A wait that was drawn: at most so long.
                job.due = Some(millis(&is["available_at"])).filter(|due| *due <= job.latest_due);
            }
            let due = match job.status {
                "waiting" => is["available_at"].as_str().map(|_| millis(&is["available_at"])),
                "active" => is["leased_until"].as_str().map(|_| millis(&is["leased_until"])),
                _ => job.due,
            };
            let progress = job.progress.map_or(Value::Null, Value::from);
            let same = is["status"] == job.status
                && is["attempts"] == job.attempts
                && is["cancel_requested"] == job.cancel
                && is["progress"] == progress
                && due == job.due;
            if !same {
                difference = Some(format!("{is} should be {job:?}"));
            }
        }
        self.model.jobs = jobs;
        difference
    }

    fn different_order(&self, queue: usize) -> Option<String> {
        if !self.model.known[queue] {
            return None;
        }
        ["active", "waiting", "failed", "completed"].into_iter().find_map(|status| {
            let page = parsed(&self.engine().jobs().list(QUEUES[queue], Some(status), 1000, 0).unwrap());
            let is: Vec<_> = page["jobs"].as_array().unwrap().iter().map(|job| text(&job["id"])).collect();
            let wanted = self.model.listed(queue, status);
            (is != wanted).then(|| format!("{status}: {is:?} instead of {wanted:?}"))
        })
    }

    /// Does it, and says what should become of it. An error that the model expects is none.
    fn apply(&mut self, op: &Op, before: &Model) -> Result<(), ErrorKind> {
        match op {
            Op::Enqueue { priority, delay, retries, key } => self.enqueue(*priority, *delay, *retries, *key),
            Op::Lease { base, limit, millis } => self.lease(*base, *limit, *millis),
            Op::Pause(queue, paused) => self.pause(*queue, *paused),
            Op::Complete(at)
            | Op::Fail(at, _)
            | Op::Heartbeat(at, _)
            | Op::Cancel(at)
            | Op::Retry(at)
            | Op::Delete(at) => match before.jobs.keys().nth(at % before.jobs.len().max(1)) {
                Some(id) => self.change(op, id),
                None => Ok(()),
            },
        }
    }

    fn enqueue(&mut self, queue: usize, delay: u64, retries: u32, key: Option<u8>) -> Result<(), ErrorKind> {
        let named = key.map(|key| format!("k{key}"));
        let new = NewJob {
            priority: Priority::ALL[queue],
            delay: Duration::from_millis(delay),
            retries,
            unique_key: named.as_deref(),
            ..NewJob::new("q", b"{}")
        };
        let now = self.now();
        let outcome = self.engine().jobs().enqueue(&new);
        let answer = parsed(&outcome.map_err(|error| error.kind())?);
        let id = text(&answer["job_id"]);
        if let Some(holder) = key.and_then(|key| self.model.holder(key)) {
            assert_eq!((&answer["created"], &id), (&Value::Bool(false), holder));
            return Ok(());
        }
        assert_eq!(answer["created"], true);
        self.model.add(&id, (queue, retries, key), now + i64::try_from(delay).unwrap(), now);
        self.model.known[queue] = true;
        Ok(())
    }

    fn lease(&mut self, base: bool, limit: usize, length: u64) -> Result<(), ErrorKind> {
        let (name, queues) = if base { ("q", vec![0, 1, 2]) } else { ("queue:q", vec![1]) };
        let now = self.now();
        let leased = self.engine().jobs().lease(name, limit, Duration::from_millis(length));
        let leased = parsed(&leased.map_err(|error| error.kind())?);
        let due = |id: &String| self.model.jobs[id].due.is_some_and(|due| due <= now);
        let open = queues.into_iter().filter(|queue| !self.model.paused[*queue]);
        let wanted: Vec<String> =
            open.flat_map(|queue| self.model.listed(queue, "waiting")).filter(due).take(limit).collect();
        let ids: Vec<_> = leased["jobs"].as_array().unwrap().iter().map(|job| text(&job["id"])).collect();
        assert_eq!(ids, wanted);
        for job in leased["jobs"].as_array().unwrap() {
            let id = text(&job["id"]);
            let is = self.model.jobs.get_mut(&id).unwrap();
            (is.status, is.attempts, is.updated) = ("active", is.attempts + 1, now);
            is.due = Some(now + i64::try_from(length).unwrap());
            self.model.leases.insert(id, text(&job["lease"]));
        }
        Ok(())
    }

    fn pause(&mut self, queue: usize, paused: bool) -> Result<(), ErrorKind> {
        let jobs = self.engine().jobs();
        let outcome = if paused { jobs.pause(QUEUES[queue]) } else { jobs.resume(QUEUES[queue]) };
        if !self.model.known[queue] {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::QueueNotFound);
            return Ok(());
        }
        self.model.paused[queue] = paused;
        outcome.map(drop).map_err(|error| error.kind())
    }

    fn change(&mut self, op: &Op, id: &str) -> Result<(), ErrorKind> {
        let now = self.now();
        let job = self.model.jobs[id].clone();
        let lease = self.model.leases.get(id).cloned().unwrap_or_else(|| "lease_none".to_owned());
        let jobs = self.engine().jobs();
        let held = job.status == "active" && self.model.leases.contains_key(id);
        let (outcome, allowed, refusal) = match op {
            Op::Complete(_) => (jobs.complete(id, &lease, None).map(drop), held, ErrorKind::LeaseLost),
            Op::Fail(_, retry) => (jobs.fail(id, &lease, b"{}", *retry).map(drop), held, ErrorKind::LeaseLost),
            Op::Heartbeat(_, length) => {
                let progress = length.to_string();
                let length = Duration::from_millis(*length);
                let beat = jobs.heartbeat(id, &lease, length, Some(progress.as_bytes()));
                (beat.map(drop), held, ErrorKind::LeaseLost)
            }
            Op::Cancel(_) => (jobs.cancel(id).map(drop), Model::is_open(&job), ErrorKind::JobConflict),
            Op::Retry(_) => {
                let free = job.key.is_none_or(|key| self.model.holder(key).is_none());
                (jobs.retry(id).map(drop), job.status == "failed" && free, ErrorKind::JobConflict)
            }
            _ => (jobs.delete(id), job.status != "active", ErrorKind::JobConflict),
        };
        match outcome {
            Ok(()) => assert!(allowed, "{op:?} of {job:?}"),
            Err(error) if error.kind() == refusal && !allowed => return Ok(()),
            Err(error) => {
                if allowed {
                    // It may be stored none the less.
                    self.changed(op, id, job, now);
                }
                return Err(error.kind());
            }
        }
        self.changed(op, id, job, now);
        Ok(())
    }

    fn changed(&mut self, op: &Op, id: &str, mut job: ModelJob, now: i64) {
        job.updated = now;
        match op {
            Op::Complete(_) => {
                (job.status, job.due) = ("completed", Some(now));
                self.model.completed[job.queue].push(now.div_euclid(60_000));
            }
            Op::Fail(_, retry) if *retry && job.attempts <= job.retries && !job.cancel => {
                let longest = 1000_i64 << (job.attempts - 1);
                (job.status, job.due, job.latest_due) = ("waiting", None, now + longest);
            }
            Op::Fail(..) => (job.status, job.due) = ("failed", Some(now)),
            Op::Heartbeat(_, length) => {
                (job.due, job.progress) = (Some(now + i64::try_from(*length).unwrap()), Some(*length));
            }
            Op::Cancel(_) if job.status == "active" => job.cancel = true,
            Op::Cancel(_) => (job.status, job.due) = ("failed", Some(now)),
            Op::Retry(_) => (job.status, job.due, job.attempts, job.cancel) = ("waiting", Some(now), 0, false),
            _ => {
                self.model.jobs.remove(id);
                return;
            }
        }
        if job.status != "active" {
            self.model.leases.remove(id);
        }
        self.model.jobs.insert(id.to_owned(), job);
    }
}

impl Model {
    fn add(&mut self, id: &str, (queue, retries, key): (usize, u32, Option<u8>), due: i64, now: i64) {
        let (number, latest_due) = (self.enqueued, due);
        self.enqueued += 1;
        let job = ModelJob {
            number,
            queue,
            status: "waiting",
            attempts: 0,
            retries,
            key,
            due: Some(due),
            latest_due,
            updated: now,
            cancel: false,
            progress: None,
        };
        self.jobs.insert(id.to_owned(), job);
    }
}

fn millis(time: &Value) -> i64 {
    forebay_core::time::parse_timestamp(time.as_str().unwrap().as_bytes()).unwrap().millis()
}

#[test]
fn jobs_are_what_the_model_says() {
    let cases = std::env::var("FOREBAY_JOBS_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let steps = (any::<u64>(), prop::collection::vec(step(), 1..60));
    runner
        .run(&steps, |(seed, steps)| {
            let mut world = World::new(seed);
            steps.iter().for_each(|step| world.run(step));
            Ok(())
        })
        .unwrap();
}
