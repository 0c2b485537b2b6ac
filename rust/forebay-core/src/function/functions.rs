//! Every function, and who runs it.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::answer::Answer;
use super::call::{Call, Values, Waker};
use super::call_queue::{CallQueue, closed};
use super::options::FunctionOptions;
use super::worker::{Worker, unknown};
use crate::error::{Error, ErrorKind, Result};
use crate::status::Status;
use crate::thread::{OnPanic, join, spawn_several};

/// What threads of worker processes have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: FunctionOptions,
    pub(super) queue: CallQueue,
    /// What the process that started last has said of its functions.
    known: Mutex<Option<Result<Arc<[String]>>>>,
}

impl Shared {
    pub(super) fn tell(&self, names: Result<Vec<String>>) {
        *self.known.lock() = Some(names.map(Into::into));
    }
}

/// The functions that processors may name.
#[derive(Debug)]
pub(crate) struct Functions {
    shared: Arc<Shared>,
    local: LocalCalls,
    status: Arc<Status>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Functions {
    pub(crate) fn new(options: FunctionOptions, status: Arc<Status>) -> Self {
        let local = LocalCalls::default();
        let shared = Arc::new(Shared { options, queue: CallQueue::default(), known: Mutex::default() });
        Self { shared, local, status, threads: Mutex::default() }
    }

    /// Returns the calls of functions that run in this process.
    pub(crate) fn local(&self) -> &LocalCalls {
        &self.local
    }

    /// Returns whether there is such a function. The first time that this is asked waits until a worker process runs.
    ///
    /// # Errors
    /// Why no worker process runs.
    pub(crate) fn knows(&self, function: &str) -> Result<bool> {
        Ok(self.is_local(function) || self.remote()?.iter().any(|name| name == function))
    }

    /// Refuses the name of a function that there is not.
    ///
    /// # Errors
    /// `NotFound` that names those that there are; and why no worker process runs.
    pub(crate) fn check(&self, function: &str) -> Result<()> {
        if self.knows(function)? {
            return Ok(());
        }
        let mut names = self.shared.options.local.clone();
        names.extend(self.remote()?.iter().cloned());
        names.sort();
        Err(unknown(function, &names))
    }

    fn is_local(&self, function: &str) -> bool {
        self.shared.options.local.iter().any(|name| name == function)
    }

    /// Returns the names of those that run in worker processes.
    fn remote(&self) -> Result<Arc<[String]>> {
        if self.shared.options.command.is_empty() {
            return Ok(Arc::default());
        }
        let known = self.shared.known.lock().clone();
        if let Some(Ok(names)) = known {
            return Ok(names);
        }
        // Nobody has this name: the call is there for its process to start, or to say once more why it does not.
        let call = Call::new("".into(), Values::default(), Waker::default());
        self.start_threads()?;
        self.shared.queue.push(Arc::clone(&call));
        call.wait(Instant::now() + NAMES_TIMEOUT);
        let outcome = call.take();
        match (self.shared.known.lock().clone(), outcome) {
            (Some(known), _) => known,
            (None, Some(Err(error))) => Err(error),
            (None, _) => {
                Err(Error::new(ErrorKind::Timeout, "functions cannot be asked for: no worker process is free"))
            }
        }
    }

    /// Has a function called; the call's waker is woken when it is over.
    pub(crate) fn call(&self, call: Arc<Call>) {
        if self.is_local(&call.function) {
            return self.local.queue.push(call);
        }
        if self.shared.options.command.is_empty() {
            let error = unknown(&call.function, &self.shared.options.local);
            return call.finish(Err(error));
        }
        match self.start_threads() {
            Ok(()) => self.shared.queue.push(call),
            Err(error) => call.finish(Err(error)),
        }
    }

    /// Starts a thread for each worker process, unless they run; each process is started by its first call.
    fn start_threads(&self) -> Result<()> {
        let work = || {
            let worker = Worker::new(Arc::clone(&self.shared));
            move || worker.work()
        };
        let (name, guard) = ("functions", (&self.status, OnPanic::Trouble));
        spawn_several(&mut self.threads.lock(), self.shared.options.workers.max(1), name, guard, work).map_err(
            |error| {
                let detail = format!("a thread of a worker process cannot be started: {error}");
                Error::new(ErrorKind::StorageUnavailable, detail)
            },
        )
    }

    /// Ends every call, and every process.
    pub(crate) fn close(&self) {
        self.shared.queue.close();
        self.local.close();
        self.threads.lock().drain(..).for_each(join);
    }
}

/// How long somebody waits for the names of functions: as long as a process may take to start, and a call before that.
const NAMES_TIMEOUT: Duration = Duration::from_secs(90);

/// The number of a call that somebody has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallTicket(pub u64);

/// Calls of functions that run in this process. Nobody can stop one that hangs: its processor waits, and says so.
#[derive(Debug, Default)]
pub struct LocalCalls {
    queue: CallQueue,
    taken: Mutex<(u64, HashMap<CallTicket, Arc<Call>>)>,
}

impl LocalCalls {
    /// Waits for a call, for about `timeout` at most. Returns its number and its body.
    ///
    /// # Errors
    /// `Closed` once the engine is closed.
    pub fn take(&self, timeout: Duration) -> Result<Option<(CallTicket, Vec<u8>)>> {
        let Some(call) = self.queue.take(Some(Instant::now() + timeout))? else { return Ok(None) };
        if call.is_cancelled() {
            return Ok(None);
        }
        let body = call.body();
        let (count, taken) = &mut *self.taken.lock();
        *count += 1;
        let ticket = CallTicket(*count);
        taken.insert(ticket, call);
        Ok(Some((ticket, body)))
    }

    /// Answers a call; one that is over already is none of its business.
    pub fn answer(&self, ticket: CallTicket, body: &[u8]) {
        let call = self.taken.lock().1.remove(&ticket);
        if let Some(call) = call {
            let answer = Answer::read(body, call.values.len());
            call.finish(answer.map_err(|why| Error::new(ErrorKind::Internal, format!("a function's answer: {why}"))));
        }
    }

    fn close(&self) {
        self.queue.close();
        self.taken.lock().1.drain().for_each(|(_, call)| call.finish(Err(closed())));
    }
}
