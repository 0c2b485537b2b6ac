use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::report::{LoadTestReport, LoadTestState};
use super::schedule::Due;
use super::spec::LoadTestSpec;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CompletionId, Timestamp};
use crate::log::commit::{Completer, Receipt};
use crate::telemetry::Histogram;

/// Requests under way at most: about a second of the highest rate. What is due beyond it is not sent, so that a storage
/// that stands still costs the generator no memory.
pub const MAX_IN_FLIGHT: usize = 1024;

/// One run: what is under way, and what was counted.
pub(super) struct Run {
    spec: LoadTestSpec,
    started: Timestamp,
    start: Instant,
    latency: Histogram,
    tally: Mutex<Tally>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Tally {
    state: LoadTestState,
    /// The generator waits for the last answer.
    draining: bool,
    /// By completion. As long as there are requests at once, and never longer than [`MAX_IN_FLIGHT`].
    slots: Vec<Option<Due>>,
    free: Vec<usize>,
    offered: u64,
    accepted: u64,
    rejected: u64,
    failed: u64,
    not_sent: u64,
    in_flight: u64,
    /// When the last request was due or sent, whichever came later.
    sending: Duration,
    /// When the last answer came, after the start.
    answered: Duration,
    /// When the generator ended.
    ended: Duration,
    failure: Option<String>,
}

impl Tally {
    fn is_running(&self) -> bool {
        self.state == LoadTestState::Running
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("spec", &self.spec).field("tally", &self.tally.lock()).finish_non_exhaustive()
    }
}

impl Run {
    /// A run that begins now.
    pub(super) fn new(spec: LoadTestSpec) -> Self {
        Self {
            spec,
            started: Timestamp::now(),
            start: Instant::now(),
            latency: Histogram::new(),
            tally: Mutex::new(Tally { state: LoadTestState::Running, ..Tally::default() }),
            wake: Condvar::new(),
        }
    }

    /// When the last second is over.
    pub(super) fn end_of_load(&self) -> Instant {
        self.start + Duration::from_secs(self.spec.seconds)
    }

    pub(super) fn spec(&self) -> LoadTestSpec {
        self.spec
    }

    /// When a request is due.
    pub(super) fn instant(&self, due: Due) -> Instant {
        self.start + due.after
    }

    /// Sleeps until then; false when the run was stopped.
    pub(super) fn sleep_until(&self, until: Instant) -> bool {
        let mut tally = self.tally.lock();
        while tally.is_running() && !self.wake.wait_until(&mut tally, until).timed_out() {}
        tally.is_running()
    }

    /// Enters a request that is due; `None` when too many are under way: its events are counted as not sent.
    pub(super) fn begin(&self, due: Due) -> Option<CompletionId> {
        let mut tally = self.tally.lock();
        tally.offered += due.events;
        tally.sending = self.start.elapsed().max(due.after);
        let slot = match tally.free.pop() {
            Some(slot) => slot,
            None if tally.slots.len() < MAX_IN_FLIGHT => {
                tally.slots.push(None);
                tally.slots.len() - 1
            }
            None => {
                tally.not_sent += due.events;
                return None;
            }
        };
        tally.slots.get_mut(slot)?.replace(due);
        tally.in_flight += due.events;
        Some(CompletionId(slot as u64))
    }

    /// Waits for the last answer, until `limit` or until the run is stopped; then it is over.
    pub(super) fn finish(&self, limit: Instant) {
        let mut tally = self.tally.lock();
        tally.draining = true;
        while tally.in_flight > 0 && tally.is_running() {
            if self.wake.wait_until(&mut tally, limit).timed_out() {
                break;
            }
        }
        self.end(&mut tally, LoadTestState::Finished);
    }

    /// False when it was over.
    fn end(&self, tally: &mut Tally, state: LoadTestState) -> bool {
        let ran = tally.is_running();
        if ran {
            (tally.state, tally.ended) = (state, self.start.elapsed());
        }
        ran
    }

    /// Ends the run where it is. What is under way is still counted when it is answered. False when it was over.
    pub(super) fn stop(&self) -> bool {
        let ran = self.end(&mut self.tally.lock(), LoadTestState::Stopped);
        self.wake.notify_all();
        ran
    }

    pub(super) fn is_over(&self) -> bool {
        !self.tally.lock().is_running()
    }

    fn answered(&self, completion: CompletionId, outcome: &Result<u64>) {
        let now = Instant::now();
        let mut tally = self.tally.lock();
        let slot = usize::try_from(completion.0).unwrap_or(usize::MAX);
        let Some(due) = tally.slots.get_mut(slot).and_then(Option::take) else { return };
        tally.free.push(slot);
        tally.in_flight -= due.events;
        match outcome {
            Ok(stored) => {
                tally.accepted += stored;
                tally.failed += due.events.saturating_sub(*stored);
                tally.answered = now - self.start;
                self.latency.record(now.saturating_duration_since(self.instant(due)));
            }
            Err(error) if error.kind() == ErrorKind::Saturated => tally.rejected += due.events,
            Err(error) => {
                tally.failed += due.events;
                tally.failure = Some(error.detail().to_owned());
            }
        }
        if tally.draining && tally.in_flight == 0 {
            drop(tally);
            self.wake.notify_all();
        }
    }

    /// A request was refused at once.
    pub(super) fn refused(&self, completion: CompletionId, error: Error) {
        self.answered(completion, &Err(error));
    }

    pub(super) fn report(&self) -> LoadTestReport {
        let latency = self.latency.snapshot();
        let [p50_micros, p95_micros, p99_micros] = latency.percentiles();
        let tally = self.tally.lock();
        let sending = if tally.is_running() { self.start.elapsed() } else { self.sending_time(&tally) };
        let elapsed = sending.max(tally.answered);
        let per_second = |events: u64, time: Duration| events as f64 / time.as_secs_f64().max(f64::EPSILON);
        LoadTestReport {
            state: tally.state,
            spec: Some(self.spec),
            started: Some(self.started),
            elapsed,
            offered: tally.offered,
            accepted: tally.accepted,
            rejected: tally.rejected,
            failed: tally.failed,
            not_sent: tally.not_sent,
            in_flight: tally.in_flight,
            offered_per_second: per_second(tally.offered, sending),
            achieved_per_second: per_second(tally.accepted, elapsed),
            p50_micros,
            p95_micros,
            p99_micros,
            max_micros: latency.max(),
            failure: tally.failure.clone(),
        }
    }

    /// How long events were sent: the time that was asked for, longer when the last was sent late, and to the stop of a
    /// run that was stopped.
    fn sending_time(&self, tally: &Tally) -> Duration {
        let asked = Duration::from_secs(self.spec.seconds);
        asked.min(tally.ended).max(tally.sending)
    }
}

impl Completer for Run {
    fn complete(&self, completion: CompletionId, outcome: Result<Receipt>) {
        self.answered(completion, &outcome.map(|receipt| receipt.records()));
    }

    fn wake(&self) {}
}
