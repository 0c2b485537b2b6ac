//! The engine's own threads.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts the thread `forebay-<name>`.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(format!("forebay-{name}")).spawn(work)
}

/// Waits for its end.
pub(crate) fn join(thread: JoinHandle<()>) {
    // A panic was reported by its own thread; what it left behind is answered by the drop of its queue's entries.
    let _panicked = thread.join();
}
