use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What the front is doing, for gauges.
#[derive(Debug, Default)]
pub struct Stats {
    pub(crate) direct: AtomicUsize,
    pub(crate) tunnels: AtomicUsize,
    pub(crate) requests: AtomicUsize,
}

/// The same at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatsView {
    /// Connections whose requests are read here.
    pub direct: usize,
    /// Connections that are tunnelled.
    pub tunnels: usize,
    /// Requests whose body is being read, or whose commit is waited for.
    pub requests: usize,
}

impl Stats {
    /// What it is doing now.
    #[must_use]
    pub fn view(&self) -> StatsView {
        StatsView {
            direct: self.direct.load(Relaxed),
            tunnels: self.tunnels.load(Relaxed),
            requests: self.requests.load(Relaxed),
        }
    }
}

/// Adds one for as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted(std::sync::Arc<Stats>, fn(&Stats) -> &AtomicUsize);

impl Counted {
    pub(crate) fn new(stats: &std::sync::Arc<Stats>, which: fn(&Stats) -> &AtomicUsize) -> Self {
        which(stats).fetch_add(1, Relaxed);
        Self(std::sync::Arc::clone(stats), which)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1(&self.0).fetch_sub(1, Relaxed);
    }
}
