use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

use super::body::Bodies;
use super::generator::Generator;
use super::report::LoadTestReport;
use super::run::Run;
use super::schedule::Schedule;
use super::spec::LoadTestSpec;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
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
    /// What it did until now.
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
        // The generator itself comes here when it was the last to hold the engine.
        thread.into_iter().filter(|thread| thread.thread().id() != thread::current().id()).for_each(join);
        ran
    }
}

impl Engine {
    /// Starts a load test: an open loop of synthetic events of the source `load_test`, which go to the stream `events` as
    /// those of any sender do.
    ///
    /// # Errors
    /// `InvalidRequest` naming what is out of range, `Conflict` while one runs, `StorageUnavailable` and `Closed` when
    /// nothing can be written, `Internal` when the operating system has no thread left.
    pub fn start_load_test(self: &Arc<Self>, spec: LoadTestSpec) -> Result<()> {
        let spec = spec.validated()?;
        let mut current = self.load_test.current.lock();
        // Under the lock: a close that comes later finds the run and stops it.
        self.check_writable()?;
        if let Some(running) = current.as_ref().filter(|current| !current.run.is_over()) {
            let LoadTestSpec { events_per_second, seconds } = running.run.spec();
            let detail = format!(
                "a load test of {events_per_second} events/s for {seconds} s is running; stop it, or wait for its end"
            );
            return Err(Error::new(ErrorKind::Conflict, detail));
        }
        current.take().and_then(|over| over.thread).into_iter().for_each(join);
        let schedule = Schedule::new(spec);
        let bodies = Bodies::of_sizes(schedule.sizes());
        let run = Arc::new(Run::new(spec));
        let generator = Generator::new(Arc::clone(&run), bodies, schedule, Arc::downgrade(self));
        let thread =
            spawn("load-test", (&self.status, OnPanic::Trouble), move || generator.run()).map_err(|error| {
                let detail = format!("the operating system starts no thread for the load test: {error}");
                Error::new(ErrorKind::Internal, detail)
            })?;
        *current = Some(Current { run, thread: Some(thread) });
        Ok(())
    }

    /// The load test that runs, or the last one since the start.
    #[must_use]
    pub fn load_test(&self) -> &LoadTest {
        &self.load_test
    }
}
