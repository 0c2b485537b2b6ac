//! The clock that ages and windows are counted on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use super::anchor::{Anchor, AnchorFile, CLOCK_FILE, MOST_LEAPS};
use super::log_time::{Leap, LogTime};
use crate::duration::micros;
use crate::ids::Timestamp;
use crate::storage::{ClockReading, Storage};

/// The longest time that the machine is believed to have been off without anybody's word: more is held. A wrong clock
/// makes data at most this much too old, and maintenance of a machine is mostly shorter.
pub const MOST_UNPROVEN: Duration = Duration::from_secs(3600);
/// After so long of running in doubt the wall clock is believed: whoever has to set it has had a day.
pub const DOUBT_LIMIT: Duration = Duration::from_secs(24 * 3600);
/// The wall clock may be this much behind after a restart of the machine, whose own clock knows whole seconds.
const BEHIND: Duration = Duration::from_secs(60);
/// How old an anchor may become. After a power loss the time since the last one is not counted for windows.
const ANCHOR_EVERY: Duration = Duration::from_secs(60);

/// How long the machine was off is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockDoubt {
    /// Microseconds that the wall clock is ahead of what is proven. Below zero it is behind: it was set back, or ahead
    /// before.
    pub unproven: i64,
    /// How much longer the process runs until the wall clock is believed.
    pub left: Duration,
}

/// The time of the log: microseconds since 1970 as the wall clock had them once, and from then on counted on the boot
/// clock, which is never set. So a step of the wall clock while the machine runs changes nothing.
///
/// # Over restarts
/// Within one life of the machine nothing is lost: an anchor on the disk says what the clocks stood at together. In
/// another life the time since the machine's start has certainly passed, and the rest is the wall clock's word. Up to
/// [`MOST_UNPROVEN`] it is believed. Beyond it, or behind, there is a doubt, until the wall clock is set to something
/// believable, an operator says that it is right, or [`DOUBT_LIMIT`] has passed.
///
/// # The three readings
/// While there is a doubt, [`LogClock::now`] is what is proven, and nothing is deleted for what is not. What is written
/// gets the time of [`LogClock::stamp`], where the doubt counts as it was when it began: it must not be old at once when the
/// doubt ends. Where the wall clock is set in the doubt, or the machine is off again, that is not enough; then a [`Leap`]
/// tells by how much stamps are behind. Ages are therefore judged by [`LogClock::time`] alone.
/// [`LogClock::window`] never counts the time that the machine was off: idempotency keys are kept longer by it, never
/// shorter.
#[derive(Debug)]
pub struct LogClock {
    storage: Arc<dyn Storage>,
    /// Lead of each reading over the boot clock, in microseconds.
    log: AtomicI64,
    stamp: AtomicI64,
    window: AtomicI64,
    /// Never held over file I/O.
    state: Mutex<State>,
    file: Mutex<AnchorFile>,
}

#[derive(Debug)]
struct State {
    /// The wall clock without the log's time, when they were last believed to agree.
    offset: i64,
    open_since: Option<i64>,
    /// By how much stamps of the doubt are ahead: the same from its begin to its end, over restarts too. `None` when there is
    /// no doubt, or it has just begun.
    ahead: Option<i64>,
    /// At most [`MOST_LEAPS`].
    leaps: Vec<Leap>,
    /// Nothing was known at the start but the wall clock.
    fresh: bool,
    /// When the last anchor was written, by the boot clock.
    written: Option<u64>,
    problem: Option<String>,
}

impl LogClock {
    /// Goes on from the anchor in `storage`, which is not written to yet. Without one, from the wall clock.
    #[must_use]
    pub fn open(storage: &Arc<dyn Storage>) -> Self {
        let now = storage.moment();
        let (file, anchor) = AnchorFile::open(storage);
        let fresh = anchor.is_none();
        let wall = now.wall.0;
        let before = anchor.unwrap_or(Anchor {
            boot: now.boot,
            clock: now.clock,
            log: wall,
            window: wall,
            offset: 0,
            open_since: None,
            ahead: 0,
            leaps: Vec::new(),
        });
        let earlier = ClockReading { wall: now.wall, boot: before.boot, clock: before.clock };
        let clock = now.clock.cast_signed();
        // In another life, what has passed since that one began, at least.
        let (passed, same_life) = now.since(&earlier).map_or((clock, false), |passed| (signed(passed), true));
        let log = before.log.saturating_add(passed);
        let open_since = if same_life { before.open_since } else { before.open_since.or(Some(log)) };
        let ahead = before.open_since.map(|_| before.ahead);
        let (offset, leaps) = (before.offset, before.leaps);
        let state = State { offset, open_since, ahead, leaps, fresh, written: None, problem: None };
        let it = Self {
            storage: Arc::clone(storage),
            log: AtomicI64::new(log.saturating_sub(clock)),
            stamp: AtomicI64::new(log.saturating_sub(clock).saturating_add(ahead.unwrap_or(0))),
            window: AtomicI64::new(before.window.saturating_add(passed).saturating_sub(clock)),
            state: Mutex::new(state),
            file: Mutex::new(file),
        };
        it.settle(&mut it.state.lock(), &now);
        it
    }

    /// The machine's clocks.
    #[must_use]
    pub fn moment(&self) -> ClockReading {
        self.storage.moment()
    }

    /// The wall clock, for times that people read.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.moment().wall
    }

    /// The time that is proven.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        reading(&self.moment(), &self.log)
    }

    /// The time that a record written now is given: never before [`LogClock::now`].
    #[must_use]
    pub fn stamp(&self) -> Timestamp {
        reading(&self.moment(), &self.stamp)
    }

    /// The time that ages are judged by.
    #[must_use]
    pub fn time(&self) -> LogTime {
        let state = self.state.lock();
        let now = self.moment();
        let (proven, latest) = (reading(&now, &self.log), reading(&now, &self.stamp));
        LogTime { proven, latest, doubted_since: state.open_since.map(Timestamp), leaps: state.leaps.clone() }
    }

    /// The time that windows of idempotency keys are counted by: how long the machine ran.
    #[must_use]
    pub fn window(&self) -> Timestamp {
        reading(&self.moment(), &self.window)
    }

    /// A stamp as the wall clock shows it now.
    #[must_use]
    pub fn shown(&self, stamp: Timestamp) -> Timestamp {
        let now = self.moment();
        let age = reading(&now, &self.stamp).0.saturating_sub(stamp.0);
        Timestamp(now.wall.0.saturating_sub(age))
    }

    /// The newest time that the log's records have. Where no anchor says it, the time since then is unproven.
    pub(crate) fn seen(&self, newest: Timestamp) {
        let mut state = self.state.lock();
        let now = self.moment();
        if state.fresh && newest.0 > i64::MIN && newest < reading(&now, &self.log) {
            self.log.store(newest.0.saturating_sub(now.clock.cast_signed()), Relaxed);
            state.open_since = Some(newest.0);
            self.settle(&mut state, &now);
        }
        state.fresh = false;
    }

    /// How long the machine was off, if that is not known.
    #[must_use]
    pub fn doubt(&self) -> Option<ClockDoubt> {
        let state = self.state.lock();
        let now = self.moment();
        let since = state.open_since?;
        let open = reading(&now, &self.log).0.saturating_sub(since);
        let left = Duration::from_micros(micros(DOUBT_LIMIT).saturating_sub(open.max(0).unsigned_abs()));
        Some(ClockDoubt { unproven: self.unproven(&state, &now), left })
    }

    /// Why the anchor cannot be written; `None` when it can.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.state.lock().problem.clone()
    }

    /// Believes the wall clock: an operator's word. `false` when there is no doubt. `writes` says whether the data
    /// directory may be changed.
    pub(crate) fn release(&self, writes: bool) -> bool {
        let mut state = self.state.lock();
        if state.open_since.is_none() {
            return false;
        }
        self.believe(&mut state, &self.moment());
        drop(state);
        if writes {
            self.write();
        }
        true
    }

    /// Looks at the clocks, and writes an anchor when one is due. Called about every second; `writes` says whether the
    /// data directory may be changed.
    pub(crate) fn keep(&self, writes: bool) {
        let mut state = self.state.lock();
        let now = self.moment();
        let before = state.open_since;
        self.settle(&mut state, &now);
        let due = state.written.is_none_or(|written| now.clock.saturating_sub(written) >= micros(ANCHOR_EVERY));
        let changed = before != state.open_since;
        drop(state);
        if writes && (due || changed) {
            self.write();
        }
    }

    /// Writes an anchor now.
    pub(crate) fn write(&self) {
        let mut file = self.file.lock();
        let mut state = self.state.lock();
        let now = self.moment();
        let log = reading(&now, &self.log).0;
        if state.open_since.is_none() {
            state.offset = now.wall.0.saturating_sub(log);
        }
        // Also when it fails: the next try is as far away as the next anchor.
        state.written = Some(now.clock);
        let anchor = Anchor {
            boot: now.boot,
            clock: now.clock,
            log,
            window: reading(&now, &self.window).0,
            offset: state.offset,
            open_since: state.open_since,
            ahead: state.ahead.unwrap_or(0),
            leaps: state.leaps.clone(),
        };
        drop(state);
        let written = file.write(&anchor);
        let problem = |error| {
            format!(
                "the file {CLOCK_FILE:?} cannot be written: {error}; a restart of the machine may not know how long it took"
            )
        };
        self.state.lock().problem = written.err().map(problem);
    }

    /// Microseconds that the wall clock is ahead of what is proven, counted from when they last agreed.
    fn unproven(&self, state: &State, now: &ClockReading) -> i64 {
        now.wall.0.saturating_sub(state.offset).saturating_sub(reading(now, &self.log).0)
    }

    /// Ends a doubt that the wall clock or the time has ended.
    fn settle(&self, state: &mut State, now: &ClockReading) {
        let Some(since) = state.open_since else { return };
        let unproven = self.unproven(state, now);
        let believable = (-signed(BEHIND)..=signed(MOST_UNPROVEN)).contains(&unproven);
        if believable || reading(now, &self.log).0.saturating_sub(since) >= signed(DOUBT_LIMIT) {
            self.believe(state, now);
        } else if state.ahead.is_none() {
            let ahead = unproven.max(0);
            state.ahead = Some(ahead);
            self.stamp.store(self.log.load(Relaxed).saturating_add(ahead), Relaxed);
        }
    }

    fn believe(&self, state: &mut State, now: &ClockReading) {
        let unproven = self.unproven(state, now).max(0);
        let log = self.log.load(Relaxed).saturating_add(unproven);
        let until = Timestamp(now.clock.cast_signed().saturating_add(log));
        // In this order: nobody may read a stamp that is older than the time it is judged by.
        self.stamp.store(log, Relaxed);
        self.log.store(log, Relaxed);
        let short = unproven.saturating_sub(state.ahead.take().unwrap_or(unproven));
        if let Some(since) = state.open_since.take()
            && short > signed(MOST_UNPROVEN)
        {
            state.leap(Leap { since: Timestamp(since), until, short });
        }
        state.offset = now.wall.0.saturating_sub(until.0);
    }
}

impl State {
    /// Remembers one more leap. Where there is no room for it, the oldest two become one: what was written between them is
    /// kept longer.
    fn leap(&mut self, leap: Leap) {
        self.leaps.push(leap);
        if self.leaps.len() > MOST_LEAPS {
            let oldest = self.leaps.remove(0);
            self.leaps[0] = oldest.merge(self.leaps[0]);
        }
    }
}

fn reading(moment: &ClockReading, ahead: &AtomicI64) -> Timestamp {
    Timestamp(moment.clock.cast_signed().saturating_add(ahead.load(Relaxed)))
}

fn signed(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
