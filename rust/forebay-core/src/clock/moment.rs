//! One moment by all the clocks of a machine.

use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use xxhash_rust::xxh3::xxh3_64;

use crate::ids::Timestamp;

/// Which life of the machine this is: the hash of the kernel's `boot_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot(pub u64);

impl Boot {
    /// This one. Without proc(5), the process's own.
    fn current() -> Self {
        static CURRENT: OnceLock<Boot> = OnceLock::new();
        *CURRENT.get_or_init(|| match std::fs::read("/proc/sys/kernel/random/boot_id") {
            Ok(id) => Self(xxh3_64(id.trim_ascii())),
            Err(_) => Self(xxh3_64(&Timestamp::now().0.to_le_bytes())),
        })
    }
}

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the wall clock, which may be set at any time.
    pub wall: Timestamp,
    /// The life of the machine that `clock` belongs to.
    pub boot: Boot,
    /// Microseconds since the machine's start, suspension included: `CLOCK_BOOTTIME`, which only goes forward and is
    /// the same for all processes.
    pub clock: u64,
}

impl Moment {
    /// This one, by the machine's own clocks.
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        let clock = time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1000;
        Self { wall: Timestamp::now(), boot: Boot::current(), clock }
    }

    /// The time from `earlier` to here; `None` when the two cannot be compared.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Duration> {
        let micros = self.clock.checked_sub(earlier.clock).filter(|_| self.boot == earlier.boot)?;
        Some(Duration::from_micros(micros))
    }
}
