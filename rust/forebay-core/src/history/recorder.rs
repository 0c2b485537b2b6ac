//! Writes points, and answers from them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use serde::Serialize;

use crate::duration::millis;
use crate::error::{Error, ErrorKind, Result};
use crate::history::point::Point;
use crate::history::series::{PointFile, Resolution, Series, read};
use crate::history::timeline::Timeline;
use crate::ids::Timestamp;
use crate::status::{Mode, Status};
use crate::storage::{ClockReading, Storage};
use crate::telemetry::{Counters, Metrics, Tally};
use crate::thread::{OnPanic, join, spawn};

/// Fine points to a coarse one, and between syncs: a power loss takes the last minute at most, a crash of the process
/// only the interval that was not over.
const FINE_A_MINUTE: u64 = 6;

/// The history of what `/api/metrics` shows: points of 10 seconds for a day and of a minute for a week.
///
/// Writing it never fails anything else: a point that cannot be written is skipped, and [`History::problem`] says why
/// until one can. What is on the disk is read for each question and not kept in memory.
#[derive(Debug)]
pub struct History {
    storage: Arc<dyn Storage>,
    status: Arc<Status>,
    counters: Arc<Counters>,
    /// Held over file I/O; `None` until history is begun.
    writer: Mutex<Option<Writer>>,
    /// The tracks that readers may look at: fine and coarse.
    published: Mutex<[Vec<PointFile>; 2]>,
    problem: Mutex<Option<String>>,
    skipped: AtomicU64,
    stopping: Mutex<bool>,
    stop: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Writer {
    fine: Track,
    coarse: Track,
    ticks: u64,
}

/// A series, and where its running interval began.
#[derive(Debug)]
struct Track {
    series: Series,
    begun: ClockReading,
    tally: Tally,
}

/// Points, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryAnswer {
    /// The range that was asked for.
    pub hours: u32,
    /// Interval between the points.
    pub resolution_seconds: u64,
    /// Points that are on the disk and cannot be read.
    pub damaged_points: u64,
    /// The points. Rates and latencies are of the interval that ends with the point, all else is as it was then.
    pub points: Vec<Metrics>,
}

impl History {
    pub(crate) fn new(storage: Arc<dyn Storage>, status: Arc<Status>, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            storage,
            status,
            counters,
            writer: Mutex::default(),
            published: Mutex::default(),
            problem: Mutex::default(),
            skipped: AtomicU64::new(0),
            stopping: Mutex::new(false),
            stop: Condvar::new(),
            thread: Mutex::default(),
        })
    }

    /// Finds what is there, and records from now on, on a thread of its own, until [`History::stop`].
    ///
    /// # Errors
    /// `StorageUnavailable` when there can be no thread. What is wrong with the files is no error: see
    /// [`History::problem`].
    pub(crate) fn start(self: &Arc<Self>) -> Result<()> {
        let mut thread = self.thread.lock();
        if thread.is_some() || *self.stopping.lock() {
            return Ok(());
        }
        self.begin(self.storage.moment());
        let history = Arc::clone(self);
        *thread = Some(spawn("history", (&self.status, OnPanic::Trouble), move || history.run()).map_err(|error| {
            Error::new(ErrorKind::StorageUnavailable, format!("no thread for the metrics history: {error}"))
        })?);
        Ok(())
    }

    fn run(&self) {
        let mut next = Instant::now() + Resolution::Fine.interval();
        loop {
            let mut stopping = self.stopping.lock();
            while !*stopping && Instant::now() < next {
                self.stop.wait_until(&mut stopping, next);
            }
            if *stopping {
                break;
            }
            drop(stopping);
            self.record(self.storage.moment());
            // A pause of the whole process gives one long interval, and not many of no length.
            next = (next + Resolution::Fine.interval()).max(Instant::now());
        }
        if let Some(writer) = self.writer.lock().as_mut().filter(|_| self.writes()) {
            self.note(writer.sync());
        }
    }

    /// Ends the recording; everything that was recorded is on stable storage then, if the disk lets it.
    pub(crate) fn stop(&self) {
        *self.stopping.lock() = true;
        self.stop.notify_all();
        self.thread.lock().take().into_iter().for_each(join);
    }

    /// Returns why points are skipped; `None` when they are not.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().clone()
    }

    /// Points that could not be written since the start.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Relaxed)
    }

    /// Returns whether the directory may be changed.
    fn writes(&self) -> bool {
        match self.status.mode() {
            Mode::Running | Mode::Full | Mode::Stalled => true,
            Mode::ReadOnly | Mode::Poisoned | Mode::Closed => false,
        }
    }

    /// The first interval begins here.
    pub(super) fn begin(&self, now: ClockReading) {
        let tally = self.counters.live.tally();
        let track = |resolution| -> io::Result<Track> {
            Ok(Track { series: Series::load(&self.storage, resolution)?, begun: now, tally: tally.clone() })
        };
        let writer = || -> io::Result<Writer> {
            Ok(Writer { fine: track(Resolution::Fine)?, coarse: track(Resolution::Coarse)?, ticks: 0 })
        };
        let mut held = self.writer.lock();
        match writer() {
            Ok(writer) => {
                self.publish(&writer);
                *held = Some(writer);
            }
            Err(error) => self.note(Err(error)),
        }
    }

    fn publish(&self, writer: &Writer) {
        *self.published.lock() = [writer.fine.series.files(), writer.coarse.series.files()];
    }

    fn note(&self, outcome: io::Result<()>) {
        *self.problem.lock() =
            outcome.err().map(|error| format!("the metrics history cannot be written: {error}; points are skipped"));
    }

    /// Ends an interval of the fine series, and the sixth time one of the coarse series too.
    pub(super) fn record(&self, now: ClockReading) {
        if !self.writes() {
            return;
        }
        if self.writer.lock().is_none() {
            // The directory could not be listed: from here on, if it can now.
            self.begin(now);
            return;
        }
        if let Some(writer) = self.writer.lock().as_mut() {
            self.advance(writer, now);
            self.publish(writer);
        }
    }

    fn advance(&self, writer: &mut Writer, now: ClockReading) {
        let tally = self.counters.live.tally();
        writer.ticks += 1;
        let whole_minute = writer.ticks.is_multiple_of(FINE_A_MINUTE);
        let mut outcome = self.end_interval(&mut writer.fine, now, &tally);
        if whole_minute {
            outcome = outcome.and(self.end_interval(&mut writer.coarse, now, &tally)).and_then(|()| writer.sync());
        }
        self.note(outcome);
    }

    fn end_interval(&self, track: &mut Track, now: ClockReading, tally: &Tally) -> io::Result<()> {
        let point = self.point(track, now, tally);
        track.begun = now;
        track.tally.clone_from(tally);
        let written = track.series.append(&point);
        if track.series.next() == point.number {
            self.skipped.fetch_add(1, Relaxed);
        }
        written
    }

    fn point(&self, track: &Track, now: ClockReading, tally: &Tally) -> Point {
        let live = &self.counters.live;
        let (inside, total) = (tally.since(&track.tally), live.since_reset(tally));
        Point {
            number: track.series.next(),
            moment: now,
            interval: now.since(&track.begun).unwrap_or_default(),
            uptime_ms: millis(live.uptime()),
            events: inside.events,
            requests: inside.latency.count(),
            failed: inside.failed(),
            mean: inside.latency.mean(),
            percentiles: inside.latency.percentiles(),
            total_events: total.events,
            total_failures: total.failures,
            system: live.system(),
            health: live.health_status(),
        }
    }

    /// Deletes every point, and resets what is counted live.
    ///
    /// # Errors
    /// `StorageUnavailable` when the points cannot be deleted; then nothing is reset, but some of them may be gone.
    pub(crate) fn reset(&self) -> Result<()> {
        let refusal = |why: String| {
            Error::new(ErrorKind::StorageUnavailable, format!("the metrics history cannot be deleted: {why}"))
        };
        let kept = self.thread.lock().is_some();
        let mut held = self.writer.lock();
        if kept && held.is_none() {
            return Err(refusal(self.problem().unwrap_or_default()));
        }
        if let Some(writer) = held.as_mut() {
            if !self.writes() {
                return Err(refusal(self.status.reason()));
            }
            let cleared = writer.fine.series.clear().and_then(|()| writer.coarse.series.clear());
            self.publish(writer);
            cleared.map_err(|error| refusal(error.to_string()))?;
        }
        self.counters.live.reset();
        if let Some(writer) = held.as_mut() {
            let (now, tally) = (self.storage.moment(), self.counters.live.tally());
            for track in [&mut writer.fine, &mut writer.coarse] {
                track.begun = now;
                track.tally.clone_from(&tally);
            }
        }
        Ok(())
    }

    /// Returns the points of the last `hours`, which are at least 1: of 10 seconds up to a day, of a minute beyond.
    #[must_use]
    pub fn answer(&self, hours: u32) -> HistoryAnswer {
        self.answer_at(hours, self.storage.moment())
    }

    pub(super) fn answer_at(&self, hours: u32, now: ClockReading) -> HistoryAnswer {
        let resolution = Resolution::reaching(hours);
        let files = self.published.lock()[resolution as usize].clone();
        let from = Timestamp(now.wall.0.saturating_sub(i64::from(hours) * 3_600_000_000));
        let (mut timeline, mut points, mut damaged_points) = (Timeline::new(now), Vec::new(), 0);
        // Backwards, because only the newest point's time is sure; each answer stops at the first that is too old.
        'files: for file in files.into_iter().rev() {
            let (found, damaged) = read(self.storage.as_ref(), resolution, file);
            damaged_points += damaged;
            for point in found.into_iter().rev() {
                let time = timeline.place(&point);
                if time < from {
                    break 'files;
                }
                points.push(point.shown(time));
            }
        }
        points.reverse();
        HistoryAnswer { hours, resolution_seconds: resolution.interval().as_secs(), damaged_points, points }
    }
}

impl Writer {
    fn sync(&mut self) -> io::Result<()> {
        self.fine.series.sync().and(self.coarse.series.sync())
    }
}

#[cfg(test)]
mod tests;
