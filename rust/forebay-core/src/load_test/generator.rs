use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::body::Bodies;
use super::run::Run;
use super::schedule::{Due, Schedule};
use crate::engine::Engine;
use crate::ingest::{Intended, Request, route};
use crate::log::commit::Completer;

/// How long answers are waited for after the last request. Whatever is not answered by then stays in flight.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// The one thread of a run: sends what is due, and sleeps until the next is. It never waits for an answer, so a slow
/// engine gets its load all the same, and its latencies show how slow it is.
#[derive(Debug)]
pub(super) struct Generator {
    run: Arc<Run>,
    schedule: Schedule,
    bodies: Vec<Bodies>,
    /// Not kept alive by its own load test.
    engine: Weak<Engine>,
}

/// Whatever ends the generator's thread ends its run.
struct Ending<'a>(&'a Run);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Generator {
    /// Makes the bodies; the time begins with the run, which comes after.
    pub(super) fn new(run: Arc<Run>, bodies: Vec<Bodies>, schedule: Schedule, engine: Weak<Engine>) -> Self {
        Self { run, schedule, bodies, engine }
    }

    pub(super) fn run(mut self) {
        let run = Arc::clone(&self.run);
        let _ending = Ending(&run);
        while let Some(due) = self.schedule.upcoming() {
            if !run.sleep_until(run.instant(due)) || !self.send(due) {
                return;
            }
            self.schedule.advance();
        }
        if run.sleep_until(run.end_of_load()) {
            run.finish(Instant::now() + DRAIN_LIMIT);
        }
    }

    /// Sends one request; false when there is nobody to send it to.
    fn send(&mut self, due: Due) -> bool {
        let Some(engine) = self.engine.upgrade() else { return false };
        let body = self.bodies.iter_mut().find(|bodies| bodies.events() == due.events).and_then(Bodies::next);
        let (Some(body), Some(completion)) = (body, self.run.begin(due)) else { return true };
        let intended = Intended { due: self.run.instant(due), events: due.events };
        let request = Request { intended: Some(intended), ..Request::new(&route::EVENT_BATCH, Box::new(body)) };
        let completer: Arc<dyn Completer> = self.run.clone();
        if let Err(error) = engine.submit(request, completer, completion) {
            self.run.refused(completion, error);
        }
        true
    }
}
