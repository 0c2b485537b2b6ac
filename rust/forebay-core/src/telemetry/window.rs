//! Counts over the last three seconds.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The time that rates are taken over: the contract's figure.
pub const WINDOW: Duration = Duration::from_secs(3);

/// Times are told apart by this much. A slot is one tick.
const TICK_MILLIS: u64 = 1;

const WINDOW_TICKS: u64 = WINDOW.as_millis() as u64 / TICK_MILLIS;

/// The first power of two above the window: a slot is used again when it is long out of it.
const SLOTS: u64 = 4096;

const _: () = assert!(SLOTS > WINDOW_TICKS);

/// Sums of the last 3 s, by a clock that only goes forward.
///
/// Times are cut to whole milliseconds, so something counts for more than 2.999 s and at most 3 s, whole or not at all:
/// a steady rate of up to 1000 a second whose period divides 3 s is shown exactly, and any other is off by what comes in
/// one millisecond (0.033 % of a steady rate) and by the one that is just on the edge. Nothing needs to run for it:
/// slots carry their time, so the sums fall to zero while nobody counts.
///
/// Counting is lock-free: for each of the numbers one compare-and-swap, tried again only when another thread counts in
/// the same millisecond. Nothing is lost by any number of threads. 96 KiB.
#[derive(Debug)]
pub(super) struct Window {
    slots: Box<[Slot]>,
}

/// Sums over a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Events that were stored.
    pub(super) events: u64,
    /// Requests that they came in.
    pub(super) requests: u64,
    /// Events that were not stored.
    pub(super) failed: u64,
}

#[derive(Debug, Default)]
struct Slot {
    events: Lapped,
    requests: Lapped,
    failed: Lapped,
}

/// A count and the lap of the ring that it belongs to, in one word: lap in the upper half, count in the lower. Laps of
/// 4 s do not repeat within 500 years; more than 2³² in one millisecond count as that.
#[derive(Debug, Default)]
struct Lapped(AtomicU64);

impl Lapped {
    fn add(&self, lap: u64, count: u64) {
        let count = count.min(u64::from(u32::MAX));
        let added = |packed: u64| {
            let (held, sum) = (packed >> 32, packed & u64::from(u32::MAX));
            match held.cmp(&lap) {
                std::cmp::Ordering::Less => Some(lap << 32 | count),
                std::cmp::Ordering::Equal => Some(lap << 32 | (sum + count).min(u64::from(u32::MAX))),
                // This thread was held up for a whole lap since it looked at the clock: out of the window by now.
                std::cmp::Ordering::Greater => None,
            }
        };
        let _too_late = self.0.fetch_update(Relaxed, Relaxed, added);
    }

    fn get(&self, lap: u64) -> u64 {
        let packed = self.0.load(Relaxed);
        if packed >> 32 == lap { packed & u64::from(u32::MAX) } else { 0 }
    }
}

impl Default for Window {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| Slot::default()).collect() }
    }
}

impl Window {
    /// Counts what happened at `now`, the time since some fixed moment.
    pub(super) fn add(&self, now: Duration, what: Sums) {
        let tick = tick(now);
        let (slot, lap) = (self.slot(tick), tick / SLOTS);
        for (number, count) in
            [(&slot.events, what.events), (&slot.requests, what.requests), (&slot.failed, what.failed)]
        {
            if count > 0 {
                number.add(lap, count);
            }
        }
    }

    /// Returns the sums of the window that ends with `now`.
    #[must_use]
    pub(super) fn sums(&self, now: Duration) -> Sums {
        let last = tick(now);
        let mut sums = Sums::default();
        for tick in last + 1 - WINDOW_TICKS..=last {
            let (slot, lap) = (self.slot(tick), tick / SLOTS);
            sums.events += slot.events.get(lap);
            sums.requests += slot.requests.get(lap);
            sums.failed += slot.failed.get(lap);
        }
        sums
    }

    /// Forgets everything. What is counted meanwhile is forgotten or kept, each whole.
    pub(super) fn clear(&self) {
        for slot in &self.slots {
            for number in [&slot.events, &slot.requests, &slot.failed] {
                number.0.store(0, Relaxed);
            }
        }
    }

    fn slot(&self, tick: u64) -> &Slot {
        &self.slots[(tick % SLOTS) as usize]
    }
}

/// Laps count from one: an empty slot is of lap 0, and the first window has a start.
fn tick(now: Duration) -> u64 {
    SLOTS + now.as_millis() as u64 / TICK_MILLIS
}

#[cfg(test)]
mod tests;
