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

/// The deadline of a stop whose own deadline is beyond what the clock can express.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Serves a listener on its own thread until it is stopped.
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

/// Aborts the process when the front's thread panics. A server that runs without serving is worse than one that is
/// restarted, which loses nothing that was acknowledged.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}

impl Front {
    /// Begins to serve. Requests of other routes go to `backend`.
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
            let _abort = AbortOnPanic;
            reactor.run().unwrap_or_else(|error| {
                // Like a panic: epoll fails only because of a defect.
                eprintln!("forebay: the front cannot wait for its connections: {error}");
                std::process::abort()
            })
        })?;
        Ok(Self { completion_queue, principals, stats, tunnels, thread: Mutex::new(Some(thread)) })
    }

    /// The principals that may ingest.
    #[must_use]
    pub fn principals(&self) -> &Principals {
        &self.principals
    }

    /// Counts of the work in progress.
    #[must_use]
    pub fn stats(&self) -> StatsView {
        self.stats.view()
    }

    /// The connections that the server behind serves.
    #[must_use]
    pub fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }

    /// Stops accepting; requests in flight are finished, for `within` at most.
    pub fn begin_stop(&self, within: Duration) {
        let now = Instant::now();
        self.completion_queue.ask_to_stop(now.checked_add(within).unwrap_or(now + A_DAY));
    }

    /// Waits for the end of a stop. False when connections were left at the deadline; they are closed then. True when
    /// the front had ended before.
    pub fn join(&self) -> bool {
        // A panic does not return here: see `AbortOnPanic`.
        self.thread.lock().take().is_none_or(|thread| thread.join().unwrap_or(false))
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.begin_stop(Duration::ZERO);
        let _ended = self.join();
    }
}
