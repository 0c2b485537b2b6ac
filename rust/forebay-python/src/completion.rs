//! Requests in flight and their completion. One wake-up of an eventfd hands everything that a commit finished to the
//! event loop, so that the committer never takes the GIL.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Instant;

use forebay_core::log::commit::Respond;
use forebay_core::{Completer, CompletionId, EventQueue, Receipt, Result, Watcher};
use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::exception;

/// The number of results from which an answer is large.
const MANY_RESULTS: usize = 500;

/// The event that a future waited for.
#[derive(Debug)]
enum CompletionOutcome {
    /// An append's commit.
    Appended(Receipt),
    /// A record that is visible now.
    Visible,
    /// It goes on, and its sender waits for it until then.
    Due(Instant),
}

/// Carries outcomes from the engine's threads to the event loop. The requests in flight bound its length.
#[derive(Debug)]
pub struct Completions(EventQueue<(CompletionId, Result<CompletionOutcome>)>);

impl Completions {
    /// An empty queue.
    ///
    /// # Errors
    /// When the operating system has no descriptor left.
    pub fn new() -> io::Result<Self> {
        EventQueue::new().map(Self)
    }

    /// A descriptor that is readable while there are outcomes.
    pub fn descriptor(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Completer for Completions {
    fn complete(&self, completion: CompletionId, outcome: Result<Receipt>) {
        self.0.put((completion, outcome.map(CompletionOutcome::Appended)));
    }

    fn due(&self, completion: CompletionId, due: Instant) {
        self.0.put((completion, Ok(CompletionOutcome::Due(due))));
    }

    fn wake(&self) {
        self.0.wake();
    }
}

impl Watcher for Completions {
    fn due(&self, completion: CompletionId, outcome: Result<()>) {
        self.0.put((completion, outcome.map(|()| CompletionOutcome::Visible)));
    }

    fn wake(&self) {
        self.0.wake();
    }
}

/// The futures of requests in flight, by completion.
#[derive(Debug, Default)]
pub struct Futures {
    slots: Vec<Option<Py<PyAny>>>,
    free: Vec<usize>,
}

impl Futures {
    /// Adds a future and returns its completion, which [`Futures::remove`] frees again.
    pub fn insert(&mut self, future: Py<PyAny>) -> CompletionId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(future);
        CompletionId(slot as u64)
    }

    /// Returns a future that is not complete yet.
    fn get(&self, py: Python<'_>, completion: CompletionId) -> Option<Py<PyAny>> {
        self.slots.get(usize::try_from(completion.0).ok()?)?.as_ref().map(|future| future.clone_ref(py))
    }

    /// Removes a future and returns it.
    pub fn remove(&mut self, completion: CompletionId) -> Option<Py<PyAny>> {
        let slot = usize::try_from(completion.0).ok()?;
        let future = self.slots.get_mut(slot)?.take();
        if future.is_some() {
            self.free.push(slot);
        }
        future
    }
}

/// Completes the futures of all finished requests.
///
/// # Errors
/// The first error that a future raised; all other futures are completed none the less.
pub fn deliver(py: Python<'_>, completions: &Completions, futures: &Mutex<Futures>) -> PyResult<()> {
    let (mut finished, mut first_failure) = (Vec::new(), Ok(()));
    completions.0.take(&mut finished);
    for (completion, outcome) in finished {
        let future = match outcome {
            Ok(CompletionOutcome::Due(_)) => futures.lock().get(py, completion),
            Ok(CompletionOutcome::Appended(_) | CompletionOutcome::Visible) | Err(_) => {
                futures.lock().remove(completion)
            }
        };
        let Some(future) = future else { continue };
        let delivered = complete(&future.into_bound(py), outcome);
        if first_failure.is_ok() {
            first_failure = delivered;
        }
    }
    first_failure
}

fn complete(future: &Bound<'_, PyAny>, outcome: Result<CompletionOutcome>) -> PyResult<()> {
    let py = future.py();
    let delivered = match outcome {
        Ok(CompletionOutcome::Appended(receipt)) => return appended(future, &receipt),
        Ok(CompletionOutcome::Due(due)) => {
            let seconds = due.saturating_duration_since(Instant::now()).as_secs_f64();
            return future.call_method1(intern!(py, "set_timeout"), (seconds,)).map(drop);
        }
        Ok(CompletionOutcome::Visible) => future.call_method1(intern!(py, "set_result"), (0,)),
        Err(error) => future.call_method1(intern!(py, "set_exception"), (exception(py, &error)?,)),
    };
    settled(future, delivered)
}

/// The result of an ingest request is its answer's status and body; a change of the engine's own tables has none.
fn appended(future: &Bound<'_, PyAny>, receipt: &Receipt) -> PyResult<()> {
    let py = future.py();
    let result = intern!(py, "set_result");
    let delivered = match receipt.responder.as_ref().map(|responder| answer(py, responder, receipt)) {
        None => future.call_method1(result, (py.None(),)),
        Some(Ok((status, body))) => future.call_method1(result, ((status, PyBytes::new(py, &body)),)),
        Some(Err(error)) => future.call_method1(intern!(py, "set_exception"), (exception(py, &error)?,)),
    };
    settled(future, delivered)
}

/// A large answer takes a millisecond to write; giving the GIL away for a small one would cost more than that.
fn answer(py: Python<'_>, responder: &dyn Respond, receipt: &Receipt) -> Result<(u16, Vec<u8>)> {
    if responder.results() < MANY_RESULTS {
        responder.respond(receipt)
    } else {
        py.detach(|| responder.respond(receipt))
    }
}

fn settled(future: &Bound<'_, PyAny>, delivered: PyResult<Bound<'_, PyAny>>) -> PyResult<()> {
    match delivered {
        // A future whose client went away is cancelled and refuses its result. The append itself stands.
        Err(refused) if !is_cancelled(future) => Err(refused),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn is_cancelled(future: &Bound<'_, PyAny>) -> bool {
    let cancelled = future.call_method0(intern!(future.py(), "cancelled"));
    cancelled.and_then(|cancelled| cancelled.is_truthy()).unwrap_or(false)
}
