//! One moment by all the clocks of a machine.

use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use xxhash_rust::xxh3::xxh3_64;

use crate::ids::Timestamp;

/// Which life of the machine this is: the hash of the kernel's `boot_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot(pub u64);

/// This life of the machine, and where its clock begins.
#[derive(Clone, Copy, Debug)]
struct Life {
    boot: Boot,
    began: u64,
}

impl Life {
    fn current(clock: u64) -> Self {
        static CURRENT: OnceLock<Life> = OnceLock::new();
        *CURRENT.get_or_init(|| Self::of(std::fs::read("/proc/sys/kernel/random/boot_id"), clock))
    }

    /// The process's own life, where proc(5) is missing. What the machine's clock had counted before is no part of it:
    /// every start would add it to the age of all records.
    fn of(id: std::io::Result<Vec<u8>>, clock: u64) -> Self {
        match id {
            Ok(id) => Self { boot: Boot(xxh3_64(id.trim_ascii())), began: 0 },
            Err(_) => Self { boot: Boot(xxh3_64(&Timestamp::now().0.to_le_bytes())), began: clock },
        }
    }
}

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// The time of the wall clock, which may be set at any time.
    pub wall: Timestamp,
    /// The life of the machine that `clock` belongs to.
    pub boot: Boot,
    /// Microseconds since that life began, suspension included: `CLOCK_BOOTTIME`, which only goes forward and is the same
    /// for all processes.
    pub clock: u64,
}

impl ClockReading {
    /// This one, by the machine's own clocks.
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        let clock = time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1000;
        let life = Life::current(clock);
        Self { wall: Timestamp::now(), boot: life.boot, clock: clock.saturating_sub(life.began) }
    }

    /// Returns the time from `earlier` to here; `None` when the two cannot be compared.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Duration> {
        let micros = self.clock.checked_sub(earlier.clock).filter(|_| self.boot == earlier.boot)?;
        Some(Duration::from_micros(micros))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::Life;

    const UPTIME: u64 = 100 * 86_400 * 1_000_000;

    #[test]
    fn a_life_that_cannot_be_told_begins_with_the_process() {
        assert_eq!(Life::of(Err(Error::from(ErrorKind::NotFound)), UPTIME).began, UPTIME);
        let life = Life::of(Ok(b"3c5b\n".to_vec()), UPTIME);
        assert_eq!(life.began, 0);
        assert_eq!(life.boot, Life::of(Ok(b"3c5b".to_vec()), 0).boot);
    }
}
