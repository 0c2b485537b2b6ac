//! The engine's own threads. None of them ends unnoticed.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crate::status::Status;

/// The meaning of a thread's panic for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnPanic {
    /// The log cannot go on without the thread: no write is taken any more, rather than refused for want of room for
    /// ever.
    Poison,
    /// The log goes on, and its health names what is missing.
    Trouble,
}

/// Tells the log's state of a panic of the thread that holds it.
#[derive(Debug)]
struct Guard {
    thread: String,
    status: Arc<Status>,
    on_panic: OnPanic,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            match self.on_panic {
                OnPanic::Poison => self.status.panicked(&self.thread),
                OnPanic::Trouble => self.status.thread_lost(&self.thread),
            }
        }
    }
}

/// Starts the thread `forebay-<name>`; its panic is told to `status`.
pub(crate) fn spawn(
    name: &str,
    (status, on_panic): (&Arc<Status>, OnPanic),
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let guard = Guard { thread: name.to_owned(), status: Arc::clone(status), on_panic };
    Builder::new().name(format!("forebay-{name}")).spawn(move || {
        let _guard = guard;
        work();
    })
}

/// Starts threads of one kind until there are so many.
///
/// # Errors
/// The operating system starts none, and none runs: one is enough.
pub(crate) fn spawn_several<W: FnOnce() + Send + 'static>(
    threads: &mut Vec<JoinHandle<()>>,
    wanted: usize,
    name: &str,
    guard: (&Arc<Status>, OnPanic),
    work: impl Fn() -> W,
) -> io::Result<()> {
    while threads.len() < wanted {
        match spawn(name, guard, work()) {
            Ok(thread) => threads.push(thread),
            Err(error) if threads.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(())
}

/// Waits for its end.
pub(crate) fn join(thread: JoinHandle<()>) {
    // A panic was reported by its own thread; what it left behind is answered by the drop of its queue's entries.
    let _panicked = thread.join();
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]
mod tests {
    use super::*;
    use crate::status::Mode;

    #[test]
    fn a_panic_poisons_or_is_named_and_an_end_does_neither() {
        let status = Arc::new(Status::new());
        join(spawn("quiet", (&status, OnPanic::Poison), || {}).unwrap());
        assert_eq!((status.mode(), status.troubles()), (Mode::Running, vec![]));
        join(spawn("chart", (&status, OnPanic::Trouble), || panic!("a test's own")).unwrap());
        assert_eq!(status.mode(), Mode::Running);
        assert!(status.troubles().iter().any(|trouble| trouble.contains("the chart panicked")), "{status:?}");
        join(spawn("engine", (&status, OnPanic::Poison), || panic!("a test's own")).unwrap());
        assert_eq!(status.mode(), Mode::Poisoned);
        assert!(status.reason().contains("the engine panicked"), "{status:?}");
    }
}
