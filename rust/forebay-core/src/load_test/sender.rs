use std::convert::Infallible;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::body::Bodies;
use super::run::Run;
use crate::ids::CompletionId;
use crate::ingest::{Intended, Request, route};
use crate::load::{Arrivals, Due, Generator, Sender};
use crate::log::commit::Completer;

/// How long the generator waits for answers after the last request. Requests without an answer by then stay in flight.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Takes requests: the engine, seen from below.
pub(crate) trait Submit: fmt::Debug + Send + Sync {
    /// Takes a request and calls `completer` with `completion` when it is answered.
    ///
    /// # Errors
    /// A refusal that is known at once; `completer` is not called then.
    fn submit(
        &self,
        request: Request,
        completer: Arc<dyn Completer>,
        completion: CompletionId,
    ) -> crate::error::Result<()>;
}

/// Sends the requests of a run into the engine. It always has room: a request beyond the bound of requests in flight
/// is counted as not sent.
#[derive(Debug)]
pub(super) struct EngineSender {
    run: Arc<Run>,
    bodies: Vec<Bodies>,
    /// Weak: a load test does not keep its engine alive.
    engine: Weak<dyn Submit>,
}

/// Ends the run when the generator's thread ends, also by a panic.
struct StopOnDrop<'a>(&'a Run);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl EngineSender {
    pub(super) fn new(run: Arc<Run>, bodies: Vec<Bodies>, engine: Weak<dyn Submit>) -> Self {
        Self { run, bodies, engine }
    }

    /// The generator's thread: sends the whole load and waits for its answers.
    pub(super) fn run(mut self) {
        let run = Arc::clone(&self.run);
        let _stop = StopOnDrop(&run);
        let end = run.end_of_load();
        let mut generator = Generator::new(Arrivals::Open(run.schedule()));
        match generator.send_until(&mut self, end) {
            Ok(ControlFlow::Continue(())) => {
                let Ok(()) = generator.finish(&mut self, end, Instant::now() + DRAIN_LIMIT);
            }
            Ok(ControlFlow::Break(())) => {}
        }
    }
}

impl Sender for EngineSender {
    type Error = Infallible;

    fn has_room(&self) -> bool {
        true
    }

    /// `Break` when the run was stopped or the engine is gone.
    fn send(&mut self, due: Due, _: Instant) -> Result<ControlFlow<()>, Infallible> {
        let Some(engine) = self.engine.upgrade().filter(|_| self.run.is_running()) else {
            return Ok(ControlFlow::Break(()));
        };
        let body = self.bodies.iter_mut().find(|bodies| bodies.events() == due.events).and_then(Bodies::next);
        let (Some(body), Some(completion)) = (body, self.run.begin(due)) else { return Ok(ControlFlow::Continue(())) };
        let intended = Intended { due: due.at, events: due.events };
        let request = Request { intended: Some(intended), ..Request::new(&route::EVENT_BATCH, Box::new(body)) };
        let completer: Arc<dyn Completer> = self.run.clone();
        if let Err(error) = engine.submit(request, completer, completion) {
            self.run.refused(completion, error);
        }
        Ok(ControlFlow::Continue(()))
    }

    fn wait(&mut self, until: Instant) -> Result<ControlFlow<()>, Infallible> {
        Ok(if self.run.sleep_until(until) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }

    fn not_sent(&mut self, due: Due) {
        self.run.not_sent(due);
    }

    fn drain(&mut self, limit: Instant) -> Result<(), Infallible> {
        self.run.finish(limit);
        Ok(())
    }
}
