use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

use super::body::Bodies;
use super::report::LoadTestReport;
use super::run::Run;
use super::sender::{EngineSender, Submit};
use super::spec::LoadTestSpec;
use crate::error::{Error, ErrorKind, Result};
use crate::status::Status;
use crate::thread::{OnPanic, join, spawn};

/// The engine's load test: the one that runs, or the last one.
#[derive(Debug, Default)]
pub struct LoadTest {
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    run: Arc<Run>,
    thread: Option<JoinHandle<()>>,
}

impl LoadTest {
    /// The figures until now.
    #[must_use]
    pub fn report(&self) -> LoadTestReport {
        self.current.lock().as_ref().map(|current| current.run.report()).unwrap_or_default()
    }

    /// Ends it; no request is sent after this. False when none was running.
    pub fn stop(&self) -> bool {
        let (ran, thread) = match self.current.lock().as_mut() {
            None => return false,
            Some(current) => (current.run.stop(), current.thread.take()),
        };
        // The generator itself comes here when it was the last to hold the engine: it cannot wait for its own end.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            join(thread);
        }
        ran
    }

    /// Starts a load on `engine`. `check` is called once no `stop` can come in between: a stop that comes later finds
    /// the run and ends it.
    ///
    /// # Errors
    /// `InvalidRequest` naming what is out of range, `Conflict` while one runs, those of `check`, `Internal` when the
    /// operating system has no thread left.
    pub(crate) fn start(
        &self,
        spec: LoadTestSpec,
        engine: Weak<dyn Submit>,
        status: &Arc<Status>,
        check: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let spec = spec.validated()?;
        let mut current = self.current.lock();
        check()?;
        if let Some(running) = current.as_ref().filter(|current| current.run.is_running()) {
            let LoadTestSpec { events_per_second, seconds } = running.run.spec();
            let detail = format!(
                "a load test of {events_per_second} events/s for {seconds} s is running; stop it, or wait for its end"
            );
            return Err(Error::new(ErrorKind::Conflict, detail));
        }
        if let Some(thread) = current.take().and_then(|over| over.thread) {
            join(thread);
        }
        let bodies = Bodies::of_sizes(spec.ratio().sizes());
        let run = Arc::new(Run::new(spec));
        let sender = EngineSender::new(Arc::clone(&run), bodies, engine);
        let thread = spawn("load-test", (status, OnPanic::Trouble), move || sender.run()).map_err(|error| {
            let detail = format!("the operating system starts no thread for the load test: {error}");
            Error::new(ErrorKind::Internal, detail)
        })?;
        *current = Some(Current { run, thread: Some(thread) });
        Ok(())
    }
}
