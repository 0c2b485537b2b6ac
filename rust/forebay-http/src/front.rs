use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use forebay_core::Engine;
use parking_lot::Mutex;

use crate::answer::Clock;
use crate::completion_queue::CompletionQueue;
use crate::connection::Shared;
use crate::control::Tunnels;
use crate::reactor::Reactor;
use crate::stats::{Stats, StatsView};
use crate::{Limits, Principals};

/// Longer than anybody waits for a stop.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Serves a listener, on a thread of its own, until it is stopped.
pub struct Front {
    completion_queue: Arc<CompletionQueue>,
    principals: Arc<Principals>,
    stats: Arc<Stats>,
    tunnels: Arc<Tunnels>,
    thread: Mutex<Option<JoinHandle<bool>>>,
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("stats", &self.stats.view()).finish_non_exhaustive()
    }
}

/// Ends the process when the front's thread panics: a server that is there and does not serve is worse than one that is
/// started again, which loses nothing that was acknowledged.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

impl Front {
    /// Begins to serve. What is not for it goes to `backend`.
    ///
    /// # Errors
    /// When the operating system has no descriptor or thread left.
    pub fn start(
        listener: TcpListener,
        backend: SocketAddr,
        engine: Arc<Engine>,
        principals: Arc<Principals>,
        limits: Limits,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let (completion_queue, stats) = (Arc::new(CompletionQueue::new()?), Arc::new(Stats::default()));
        let tunnels = Arc::new(Tunnels::default());
        let shared = Shared {
            engine,
            limits,
            principals: Arc::clone(&principals),
            stats: Arc::clone(&stats),
            tunnels: Arc::clone(&tunnels),
            clock: Clock::new(),
            stopping: false,
            requests: 0,
        };
        let reactor = Reactor::new(listener, backend, Arc::clone(&completion_queue), shared)?;
        let thread = thread::Builder::new().name("forebay-http".into()).spawn(move || {
            let _fuse = AbortOnPanic;
            reactor.run().unwrap_or_else(|error| {
                // As for a panic: epoll refuses only what is a defect.
                eprintln!("forebay: the front cannot wait for its connections: {error}");
                std::process::abort()
            })
        })?;
        Ok(Self { completion_queue, principals, stats, tunnels, thread: Mutex::new(Some(thread)) })
    }

    /// Who may ingest.
    #[must_use]
    pub fn principals(&self) -> &Principals {
        &self.principals
    }

    /// What it is doing.
    #[must_use]
    pub fn stats(&self) -> StatsView {
        self.stats.view()
    }

    /// The connections that the server behind serves.
    #[must_use]
    pub fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }

    /// Accepts nothing from here on; what is under way is finished.
    pub fn begin_stop(&self, within: Duration) {
        let now = Instant::now();
        self.completion_queue.ask_to_stop(now.checked_add(within).unwrap_or(now + A_DAY));
    }

    /// Waits for the end that was asked for; false when connections were left at the deadline, which are closed then.
    /// True when it has ended before.
    pub fn join(&self) -> bool {
        // It does not panic and return: see `AbortOnPanic`.
        self.thread.lock().take().is_none_or(|thread| thread.join().unwrap_or(false))
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.begin_stop(Duration::ZERO);
        let _ended = self.join();
    }
}
