use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts of the front's work in progress, shown as gauges.
#[derive(Debug, Default)]
pub struct Stats {
    pub(crate) direct: AtomicUsize,
    pub(crate) tunnels: AtomicUsize,
    pub(crate) requests: AtomicUsize,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatsView {
    /// Connections whose requests the front reads itself.
    pub direct: usize,
    /// Connections that are tunnelled to the server behind.
    pub tunnels: usize,
    /// Requests whose body is being read or whose commit is pending.
    pub requests: usize,
}

impl Stats {
    /// Reads the counts.
    #[must_use]
    pub fn view(&self) -> StatsView {
        StatsView {
            direct: self.direct.load(Relaxed),
            tunnels: self.tunnels.load(Relaxed),
            requests: self.requests.load(Relaxed),
        }
    }
}

/// Adds one to a count for as long as it lives.
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
