//! CPU and memory use of the process and the machine, from proc(5).

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The processor's time is counted in hundredths of a second: over less than this a share means little.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);

const BYTES_PER_MIB: u64 = 1024 * 1024;

/// Memory and processor use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct SystemUsage {
    /// Resident memory of this process in MiB, rounded; 0 where proc(5) is not there.
    pub memory_mib: u64,
    /// Time in which the machine's processors were not idle and did not wait for a disk, in percent of all of it, over
    /// the time between the last two samples. It is `/proc/stat`'s: in a container the host's, not the container's
    /// share. 0 until there are two samples.
    pub cpu_percent: f64,
}

/// Samples when asked, at most every half second.
#[derive(Debug)]
pub(super) struct UsageSampler(Mutex<Sample>);

#[derive(Debug)]
struct Sample {
    taken: Instant,
    times: Option<Times>,
    usage: SystemUsage,
}

/// Processor time since the machine's start, in any unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    busy: u64,
    all: u64,
}

impl Default for UsageSampler {
    fn default() -> Self {
        let usage = SystemUsage { memory_mib: memory_mib(), cpu_percent: 0.0 };
        Self(Mutex::new(Sample { taken: Instant::now(), times: times(), usage }))
    }
}

impl UsageSampler {
    /// Returns the usage as it was at most half a second before `now`.
    #[must_use]
    pub(super) fn at(&self, now: Instant) -> SystemUsage {
        let mut sample = self.0.lock();
        if now.saturating_duration_since(sample.taken) >= SAMPLE_INTERVAL {
            let times = times();
            let cpu_percent = share(sample.times, times).unwrap_or(sample.usage.cpu_percent);
            *sample = Sample { taken: now, times, usage: SystemUsage { memory_mib: memory_mib(), cpu_percent } };
        }
        sample.usage
    }
}

fn share(before: Option<Times>, after: Option<Times>) -> Option<f64> {
    let (before, after) = (before?, after?);
    let all = after.all.checked_sub(before.all).filter(|all| *all > 0)?;
    // The kernel's idle times can step back a little.
    let busy = after.busy.saturating_sub(before.busy).min(all);
    Some(busy as f64 * 100.0 / all as f64)
}

fn times() -> Option<Times> {
    parse_times(&std::fs::read_to_string("/proc/stat").ok()?)
}

/// The line of all processors: user, nice, system, idle, iowait, irq, softirq, steal, and guests' times, which are in
/// the first two already.
fn parse_times(stat: &str) -> Option<Times> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    let all: u64 = fields.iter().sum();
    let waiting: u64 = fields.get(3..5)?.iter().sum();
    Some(Times { busy: all - waiting, all })
}

fn memory_mib() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok().and_then(|statm| parse_resident(&statm));
    let bytes = pages.unwrap_or(0).saturating_mul(rustix::param::page_size() as u64);
    (bytes + BYTES_PER_MIB / 2) / BYTES_PER_MIB
}

/// The second field is the resident pages.
fn parse_resident(statm: &str) -> Option<u64> {
    statm.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests;
