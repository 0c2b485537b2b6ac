use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::report::{LoadTestReport, LoadTestState};
use super::spec::LoadTestSpec;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CompletionId, Timestamp};
use crate::load::{Anchor, Due, LoadTally, Outcome, Schedule};
use crate::log::commit::{Completer, Receipt};

/// The most requests in flight: about a second of the highest rate. Requests that are due beyond it are not sent, so
/// that a storage that stands still costs the generator no memory.
pub const MAX_IN_FLIGHT: usize = 1024;

/// One run: its requests in flight and its counts.
pub(super) struct Run {
    spec: LoadTestSpec,
    started: Timestamp,
    start: Instant,
    progress: Mutex<RunProgress>,
    wake: Condvar,
}

#[derive(Debug)]
struct RunProgress {
    state: LoadTestState,
    /// The generator waits for the last answer.
    draining: bool,
    /// Requests in flight, by completion. Grows with the requests at once, to [`MAX_IN_FLIGHT`] at most.
    slots: Vec<Option<Due>>,
    free: Vec<usize>,
    tally: LoadTally,
    /// Events in flight.
    in_flight: u64,
    /// When the last request was due or sent, whichever came later, after the start.
    sending: Duration,
    /// When the last answer came, after the start.
    answered: Duration,
    /// When the generator ended, after the start.
    ended: Duration,
    /// The latest reason why events failed.
    failure: Option<String>,
}

impl RunProgress {
    fn is_running(&self) -> bool {
        self.state == LoadTestState::Running
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("spec", &self.spec).field("progress", &self.progress.lock()).finish_non_exhaustive()
    }
}

impl Run {
    /// Begins a run.
    pub(super) fn new(spec: LoadTestSpec) -> Self {
        let start = Instant::now();
        let progress = RunProgress {
            state: LoadTestState::Running,
            draining: false,
            slots: Vec::new(),
            free: Vec::new(),
            tally: LoadTally::new(Anchor::Due, start, None),
            in_flight: 0,
            sending: Duration::ZERO,
            answered: Duration::ZERO,
            ended: Duration::ZERO,
            failure: None,
        };
        Self { spec, started: Timestamp::now(), start, progress: Mutex::new(progress), wake: Condvar::new() }
    }

    /// When each request is due.
    pub(super) fn schedule(&self) -> Schedule {
        self.spec.schedule(self.start)
    }

    /// The end of the time that is asked for.
    pub(super) fn end_of_load(&self) -> Instant {
        self.start + self.spec.duration()
    }

    pub(super) fn spec(&self) -> LoadTestSpec {
        self.spec
    }

    /// Sleeps until `until`; false when the run was stopped.
    pub(super) fn sleep_until(&self, until: Instant) -> bool {
        let mut progress = self.progress.lock();
        while progress.is_running() && !self.wake.wait_until(&mut progress, until).timed_out() {}
        progress.is_running()
    }

    /// Enters a request that is due. `None` when too many are in flight: its events are counted as not sent.
    pub(super) fn begin(&self, due: Due) -> Option<CompletionId> {
        let mut progress = self.progress.lock();
        progress.sending = Instant::now().max(due.at) - self.start;
        let slot = match progress.free.pop() {
            Some(slot) => slot,
            None if progress.slots.len() < MAX_IN_FLIGHT => {
                progress.slots.push(None);
                progress.slots.len() - 1
            }
            None => {
                progress.tally.not_sent(due);
                return None;
            }
        };
        progress.slots.get_mut(slot)?.replace(due);
        progress.in_flight += due.events;
        Some(CompletionId(slot as u64))
    }

    /// Counts a request that was due and is never sent.
    pub(super) fn not_sent(&self, due: Due) {
        self.progress.lock().tally.not_sent(due);
    }

    /// Waits for the last answer, until `limit` or until the run is stopped, and finishes the run.
    pub(super) fn finish(&self, limit: Instant) {
        let mut progress = self.progress.lock();
        progress.draining = true;
        while progress.in_flight > 0 && progress.is_running() {
            if self.wake.wait_until(&mut progress, limit).timed_out() {
                break;
            }
        }
        self.end(&mut progress, LoadTestState::Finished);
    }

    /// Ends the run in `state`. False when it had ended before.
    fn end(&self, progress: &mut RunProgress, state: LoadTestState) -> bool {
        let ran = progress.is_running();
        if ran {
            (progress.state, progress.ended) = (state, self.start.elapsed());
        }
        ran
    }

    /// Stops the run. Requests in flight are still counted when they are answered. False when it had ended before.
    pub(super) fn stop(&self) -> bool {
        let ran = self.end(&mut self.progress.lock(), LoadTestState::Stopped);
        self.wake.notify_all();
        ran
    }

    pub(super) fn is_running(&self) -> bool {
        self.progress.lock().is_running()
    }

    fn answered(&self, completion: CompletionId, outcome: &Result<u64>) {
        let now = Instant::now();
        let mut progress = self.progress.lock();
        let slot = usize::try_from(completion.0).unwrap_or(usize::MAX);
        let Some(due) = progress.slots.get_mut(slot).and_then(Option::take) else { return };
        progress.free.push(slot);
        progress.in_flight -= due.events;
        let outcome = match outcome {
            Ok(stored) => {
                progress.answered = now - self.start;
                Outcome::Accepted(*stored)
            }
            Err(error) if error.kind() == ErrorKind::Saturated => Outcome::Refused,
            Err(error) => {
                progress.failure = Some(error.detail().to_owned());
                Outcome::Failed
            }
        };
        progress.tally.answered(due, outcome, now);
        if progress.draining && progress.in_flight == 0 {
            drop(progress);
            self.wake.notify_all();
        }
    }

    /// Counts a request that the engine refused at once.
    pub(super) fn refused(&self, completion: CompletionId, error: Error) {
        self.answered(completion, &Err(error));
    }

    pub(super) fn report(&self) -> LoadTestReport {
        let progress = self.progress.lock();
        let sending = if progress.is_running() { self.start.elapsed() } else { self.sending_time(&progress) };
        let elapsed = sending.max(progress.answered);
        let per_second = |events: u64, time: Duration| events as f64 / time.as_secs_f64().max(f64::EPSILON);
        let LoadTally { accepted, refused, failed, not_sent, latency, .. } = &progress.tally;
        let offered = accepted.events + refused.events + failed.events + not_sent.events + progress.in_flight;
        let latency = latency.snapshot();
        let [p50_micros, p95_micros, p99_micros] = latency.percentiles();
        LoadTestReport {
            state: progress.state,
            spec: Some(self.spec),
            started: Some(self.started),
            elapsed,
            offered,
            accepted: accepted.events,
            rejected: refused.events,
            failed: failed.events,
            not_sent: not_sent.events,
            in_flight: progress.in_flight,
            offered_per_second: per_second(offered, sending),
            achieved_per_second: per_second(accepted.events, elapsed),
            p50_micros,
            p95_micros,
            p99_micros,
            max_micros: latency.max(),
            failure: progress.failure.clone(),
        }
    }

    /// The time of sending: the time that was asked for, longer when the last request was sent late, and until the stop
    /// of a run that was stopped.
    fn sending_time(&self, progress: &RunProgress) -> Duration {
        let asked = self.spec.duration();
        asked.min(progress.ended).max(progress.sending)
    }
}

impl Completer for Run {
    fn complete(&self, completion: CompletionId, outcome: Result<Receipt>) {
        self.answered(completion, &outcome.map(|receipt| receipt.records()));
    }

    fn wake(&self) {}
}
