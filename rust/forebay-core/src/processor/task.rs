//! One processor's work: reading its source, its open windows, and the step that stores what came of it.
//!
//! A step is one append: results, the changes of the window state and the position, all of them or none. What is read
//! before a step is committed is read again after a crash, and gives the same results, byte for byte.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::arrivals::Arrivals;
use super::dead_letter::MAX_ADDED_BYTES;
use super::definition::Emit;
use super::environment::Environment;
use super::failures::Failures;
use super::mapping::Mapping;
use super::newest_windows::{MAX_WINDOWS, NewestWindows, SeenWindow};
use super::outputs::{Destination, Outputs};
use super::plan::{Plan, passes};
use super::rows::{ChunkKey, Letters, PositionRow, ProcessorId};
use super::step::{Sinks, Step};
use super::totals::Totals;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{Offset, PartitionId, Timestamp};
use crate::json::Lookup;
use crate::log::read::{Limits, Visited};
use crate::record::Record;
use crate::stream::Stream;
use crate::table::TableOp;
use crate::window::{
    Admission, Closing, EventTime, GivenUpTo, Sample, StateChange, Watermarks, WindowResult, Windows, group_key,
    key_text,
};

/// What one turn reads, so that others have theirs; and the output, and the changes of the state, with which a step is
/// written. Where a commit is smaller than four times as much, it is a quarter of one: a step and the turn that fills it
/// have to fit in.
const STEP_BYTES: usize = 1024 * 1024;
const TURN_RECORDS: usize = 16 * 1024;
/// The time that a turn reads.
const TURN_TIME: Duration = Duration::from_millis(20);
/// Results wait so long for others to share a commit, as long as there is more to read.
const GATHER: Duration = Duration::from_millis(20);
/// Results that are given at once, between two looks at what they take.
const RESULTS_AT_ONCE: usize = 8;
/// The longest time between two looks at idle partitions while windows are open.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// The time between two rounds of early results.
const UPDATE_INTERVAL: Duration = Duration::from_secs(1);

/// The times that a turn sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Since the engine's start; never goes back.
    pub(super) uptime: Duration,
    /// The wall clock.
    pub(super) wall: EventTime,
}

/// What comes after a turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There is more to do now.
    Again,
    /// Nothing before a record comes, or so much time has passed.
    Wait(Option<Duration>),
    /// A function has a batch, and wakes the processor.
    Called,
}

/// Why a record cannot be processed, and by what.
#[derive(Debug)]
pub(super) struct Rejection {
    pub(super) operation: &'static str,
    pub(super) why: String,
}

/// The mutable part of a processor. Whoever holds it is the only one who reads for it or writes its rows.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) id: ProcessorId,
    pub(super) plan: Plan,
    pub(super) source: Arc<Stream>,
    pub(super) sinks: Sinks,
    /// The partitions of the sink, as many as it had when the processor was made.
    partitions: u32,
    pub(super) step_bytes: usize,
    /// Records of one turn: all of them may be dead letters, which are longer than what they were, and a step has to hold
    /// them.
    turn_records: usize,
    checkpoint_interval: Duration,
    idle_close: Option<Duration>,
    /// The next offset of each partition that is read.
    pub(super) next: Vec<Offset>,
    pub(super) watermarks: Watermarks,
    /// The windows of each shard of the keys; none where records are copied.
    pub(super) shards: Vec<Windows>,
    /// The chunks of the state that are stored.
    pub(super) chunks: BTreeSet<ChunkKey>,
    pub(super) totals: Totals,
    pub(super) outputs: Outputs,
    /// The key of the record's group: its memory serves all records.
    key: Vec<u8>,
    /// When the records came that were read since somebody asked.
    pub(super) arrivals: Arrivals,
    /// What a preview counts beside the totals.
    pub(super) failures: Option<Failures>,
    /// The dead letters that are replayed.
    pub(super) letters: Letters,
    /// Records that functions have.
    pub(super) mapping: Mapping,
    /// What is to be stored before anything else is read.
    step: Option<Step>,
    emit: Emit,
    /// When early results are given next, and whether all that has changed was given.
    next_update: Duration,
    pub(super) is_updated: bool,
    /// The newest windows that are closed.
    newest: NewestWindows,
    /// By partition, whether its first record that is read comes behind others.
    pub(super) is_cut: Vec<bool>,
    /// Something was read since the last step.
    pub(super) is_changed: bool,
    /// When the last step was written, and the oldest result came that is not written.
    last_step: Duration,
    oldest_output: Option<Duration>,
    /// What the windows of an earlier life skipped is in the totals already.
    skipped: u64,
}

impl Task {
    /// Returns the work of a processor that begins, or goes on, at these offsets.
    pub(super) fn new(
        id: ProcessorId,
        (plan, config): (Plan, &super::definition::Config),
        (source, sinks, shards): (Arc<Stream>, Sinks, u32),
        next: Vec<Offset>,
        (max_batch_bytes, uptime): (usize, Duration),
    ) -> Self {
        let watermarks = Watermarks::new(source.partitions().len(), plan.watermarks, uptime);
        let windows = plan.window.as_ref().map(|window| Windows::new(window.spec, Arc::clone(&window.aggregates)));
        let mut windows = windows.map_or_else(Vec::new, |windows| vec![windows; shards as usize]);
        windows.iter_mut().for_each(|windows| windows.give_updates(config.emit == Emit::Update));
        let is_cut = next.iter().map(|offset| offset.0 > 0).collect();
        Self {
            id,
            plan,
            source,
            sinks,
            partitions: shards,
            step_bytes: STEP_BYTES.min(max_batch_bytes / 4),
            turn_records: TURN_RECORDS.min(max_batch_bytes / 4 / MAX_ADDED_BYTES),
            checkpoint_interval: super::plan::millis(config.checkpoint_interval),
            idle_close: Some(config.idle_close).filter(|millis| *millis > 0).map(super::plan::millis),
            next,
            watermarks,
            shards: windows,
            chunks: BTreeSet::new(),
            totals: Totals::default(),
            outputs: Outputs::default(),
            key: Vec::new(),
            arrivals: Arrivals::default(),
            failures: None,
            letters: Letters::default(),
            mapping: Mapping::default(),
            step: None,
            emit: config.emit,
            next_update: uptime + UPDATE_INTERVAL,
            is_updated: true,
            newest: NewestWindows::default(),
            is_cut,
            is_changed: false,
            last_step: uptime,
            oldest_output: None,
            skipped: 0,
        }
    }

    /// Takes up what was stored.
    ///
    /// # Errors
    /// `Internal`: a row is damaged, or of a later release.
    pub(super) fn restore(&mut self, position: PositionRow, chunks: Vec<(ChunkKey, Vec<u8>)>) -> Result<()> {
        // Partitions are never taken away.
        self.next.splice(..position.next.len().min(self.next.len()), position.next);
        let damaged = || Error::new(ErrorKind::Internal, "its watermarks cannot be read");
        self.watermarks.restore(&position.watermarks).ok_or_else(damaged)?;
        self.totals = position.totals;
        self.newest = position.newest;
        self.letters = position.letters;
        // Nothing was read of a partition without a watermark.
        let is_cut = |(index, offset): (usize, &Offset)| offset.0 > 0 && self.watermarks.of(index) == EventTime::MIN;
        self.is_cut = self.next.iter().enumerate().map(is_cut).collect();
        let mut chunks = chunks.into_iter().peekable();
        let mut given = position.given.into_iter();
        for (windows, shard) in self.shards.iter_mut().zip(0..) {
            let of_shard = std::iter::from_fn(|| chunks.next_if(|(key, _)| key.shard == shard));
            let stored = &mut self.chunks;
            let rows = of_shard.map(|(key, chunk)| {
                stored.insert(key);
                (key.place, key.number, chunk)
            });
            windows.restore(rows, given.next().unwrap_or_default())?;
        }
        Ok(())
    }

    /// Takes over all that another has: its windows are of the same kind.
    pub(super) fn take_over(&mut self, other: &mut Self, emit: Emit) {
        self.shards = std::mem::take(&mut other.shards);
        self.shards.iter_mut().for_each(|windows| windows.give_updates(emit == Emit::Update));
        self.chunks = std::mem::take(&mut other.chunks);
        self.skipped = other.skipped;
        self.stand_where(other);
    }

    /// Goes on where another stands, without its windows: those that have had records already say that they lack some.
    pub(super) fn begin_behind(&mut self, other: &Self) {
        self.stand_where(other);
        let reached = (0..other.next.len()).map(|partition| other.watermarks.of(partition)).max();
        if let Some(reached) = reached.filter(|reached| *reached > EventTime::MIN) {
            let newest = reached.plus(other.plan.watermarks.allowed_lateness);
            self.shards.iter_mut().for_each(|windows| windows.mark_incomplete(EventTime::MIN, newest));
        }
    }

    fn stand_where(&mut self, other: &Self) {
        self.next.clone_from(&other.next);
        self.totals = other.totals;
        self.newest.clone_from(&other.newest);
        self.is_cut.clone_from(&other.is_cut);
        let mut watermarks = Vec::new();
        other.watermarks.write(&mut watermarks);
        // What was just written can be read.
        let _restored = self.watermarks.restore(&watermarks);
    }

    /// Returns the position as it is to be stored.
    pub(super) fn position(&self) -> PositionRow {
        let mut watermarks = Vec::new();
        self.watermarks.write(&mut watermarks);
        let given = self.shards.iter().map(|windows| windows.given().clone()).collect::<Vec<GivenUpTo>>();
        let (next, newest) = (self.next.clone(), self.newest.clone());
        PositionRow { next, watermarks, given, totals: self.totals, newest, letters: self.letters }
    }

    /// Returns the memory that the windows, and the tables of joins, take.
    pub(super) fn state_bytes(&self) -> usize {
        self.shards.iter().map(Windows::bytes).sum::<usize>() + self.mapping.state_bytes()
    }

    /// Reads a part of what is there, closes the windows that are due, and stores a step when it is time to.
    ///
    /// # Errors
    /// `Saturated`, `StorageUnavailable` and others for which the same turn may succeed later; `StreamNotFound` when the
    /// source or a sink is gone. Nothing is lost: the step is tried again by the next turn.
    pub(super) fn turn(&mut self, environment: &Environment, moment: Moment) -> Result<Next> {
        self.commit(environment, moment)?;
        if self.plan.maps.is_empty() {
            self.read(environment, moment)?;
        } else if let Some(next) = self.turn_mapping(environment, moment)? {
            return Ok(next);
        }
        let closing = match self.close(moment) {
            Closing::Done => self.update(moment),
            Closing::More => Closing::More,
        };
        if self.is_due(closing, moment) {
            self.prepare();
            self.commit(environment, moment)?;
        }
        if closing == Closing::More || !self.is_caught_up() {
            return Ok(Next::Again);
        }
        Ok(Next::Wait(self.wait(moment)))
    }

    /// Stores what was read since the last step, so that it is not read again.
    pub(super) fn checkpoint(&mut self, environment: &Environment, moment: Moment) -> Result<()> {
        self.abandon();
        self.commit(environment, moment)?;
        if self.is_changed {
            self.prepare();
            self.commit(environment, moment)?;
        }
        Ok(())
    }

    /// No further record comes: every window is due.
    pub(super) fn end(&mut self) {
        self.watermarks.advance(EventTime::MAX);
    }

    /// Returns the keys of the rows that its windows have.
    pub(super) fn chunk_keys(&self) -> Vec<ChunkKey> {
        self.chunks.iter().copied().collect()
    }

    /// Returns whether all that was read is stored.
    pub(super) fn is_stored(&self) -> bool {
        self.step.is_none() && !self.is_changed
    }

    pub(super) fn is_caught_up(&self) -> bool {
        self.letters.due().is_none()
            && self.source.partitions().iter().zip(&self.next).all(|(log, next)| *next >= log.committed())
    }

    pub(super) fn read(&mut self, environment: &Environment, moment: Moment) -> Result<()> {
        if let Some(letters) = self.letters.due() {
            return self.replay(environment, letters);
        }
        let deadline = Instant::now() + TURN_TIME;
        let ends: Vec<_> = self.source.partitions().iter().map(|log| log.committed()).collect();
        let behind: Vec<_> = (0..self.next.len()).filter(|index| self.next[*index] < ends[*index]).collect();
        let parts = behind.len().max(1);
        let limits = Limits { records: self.turn_records().div_ceil(parts), bytes: self.step_bytes / parts };
        for index in behind {
            self.read_partition(environment, moment, index, limits)?;
            // Partitions that wait are read by a later turn.
            let is_full = self.outputs.bytes() >= self.step_bytes || self.unwritten_bytes() >= self.step_bytes;
            if is_full || self.mapping.is_full() || Instant::now() > deadline {
                break;
            }
        }
        Ok(())
    }

    /// Returns the records that are read at once.
    pub(super) fn turn_records(&self) -> usize {
        let most =
            if self.plan.maps.is_empty() { self.turn_records } else { self.turn_records.min(self.mapping.records()) };
        most.max(1)
    }

    fn read_partition(
        &mut self,
        environment: &Environment,
        moment: Moment,
        index: usize,
        limits: Limits,
    ) -> Result<()> {
        let partition = PartitionId(u32::try_from(index).unwrap_or(u32::MAX));
        let source = Arc::clone(&self.source);
        let from = self.next[index];
        let mut found = Lookup::default();
        let mut take = |visited: Visited<'_>| {
            self.arrivals.add(visited.append_time);
            self.take(moment, (partition, visited.offset), &visited.record, &mut found);
        };
        let visit = match environment.reader.visit(&source, partition, from, limits, &mut take) {
            Ok(visit) => visit,
            Err(error) if error.kind() == ErrorKind::InvalidOffset => {
                let start = source.partition(partition).map_or(from, |log| log.start());
                if start <= from {
                    return Err(error);
                }
                // Retention never waits for who reads.
                self.lose(index, start, moment);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.totals.records_lost += visit.gaps.iter().map(|gap| gap.to.0 - gap.from.0).sum::<u64>();
        if visit.next_offset > from {
            self.is_changed = true;
            self.is_updated = false;
        }
        if !visit.gaps.is_empty() {
            self.mark_incomplete(index, moment);
        }
        self.next[index] = visit.next_offset;
        Ok(())
    }

    fn lose(&mut self, index: usize, start: Offset, moment: Moment) {
        self.mark_incomplete(index, moment);
        self.totals.records_lost += start.0 - self.next[index].0;
        self.next[index] = start;
        self.is_changed = true;
    }

    /// Records of a partition are missing. Their times are not known: they were not late, and not of the future.
    fn mark_incomplete(&mut self, index: usize, moment: Moment) {
        let from = self.watermarks.of(index);
        self.shards.iter_mut().for_each(|windows| windows.mark_incomplete(from, moment.wall));
    }

    /// Takes in one record of the source.
    fn take(&mut self, moment: Moment, place: (PartitionId, Offset), record: &Record<'_>, found: &mut Lookup) {
        self.totals.events_processed += 1;
        let Some(time) = self.time_of(place, record, found) else { return };
        if !self.watermarks.is_taken(time, moment.wall) {
            self.totals.future_events += 1;
            return;
        }
        let partition = place.0.0 as usize;
        // The watermark goes by every record, chosen or not, and moves only behind it.
        let watermark = self.watermarks.judge(partition, moment.uptime);
        if self.is_cut.get_mut(partition).is_some_and(std::mem::take) {
            // What came before it was not read: windows that begin earlier lack it.
            self.shards.iter_mut().for_each(|windows| windows.mark_incomplete(EventTime::MIN, time));
        }
        self.process(place, record, (time, watermark), found);
        if !self.watermarks.observe(partition, time, moment.wall) {
            self.totals.future_events += 1;
        }
    }

    /// Returns the event time of a record. One without a time is put aside.
    pub(super) fn time_of(
        &mut self,
        place: (PartitionId, Offset),
        record: &Record<'_>,
        found: &mut Lookup,
    ) -> Option<EventTime> {
        found.begin();
        if self.plan.has_time_field() && !self.plan.find_first(record.value, found) {
            self.reject(place, record, "timestampField", "the value cannot be read");
            return None;
        }
        let time = self.plan.time_of(record.value, record.timestamp, found);
        if time.is_none() {
            let why = "the value has no time there that can be read, in milliseconds or as RFC 3339 has it";
            self.reject(place, record, "timestampField", why);
        }
        time
    }

    /// Has a record go the way of the operations.
    pub(super) fn process(
        &mut self,
        place: (PartitionId, Offset),
        record: &Record<'_>,
        times: (EventTime, EventTime),
        found: &mut Lookup,
    ) {
        if !self.is_chosen(place, record, found) {
            return;
        }
        if !self.plan.maps.is_empty() {
            self.mapping.batch.push(place, record, times);
        } else if let Err(Rejection { operation, why }) = self.admit(place, record, times, found) {
            self.reject(place, record, operation, &why);
        }
    }

    fn is_chosen(&mut self, place: (PartitionId, Offset), record: &Record<'_>, found: &mut Lookup) -> bool {
        let plan = &self.plan;
        let counts = (&mut self.totals, self.failures.as_mut());
        let is_chosen = passes(&plan.filters, counts, |filter| plan.evaluate(filter, place, record, found));
        if let (true, Some(failures)) = (is_chosen, &mut self.failures) {
            failures.chosen += 1;
        }
        is_chosen
    }

    /// Has a record counted in its windows, or copied where there are none.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(super) fn admit(
        &mut self,
        place: (PartitionId, Offset),
        record: &Record<'_>,
        (time, watermark): (EventTime, EventTime),
        found: &mut Lookup,
    ) -> std::result::Result<(), Rejection> {
        let Some(window) = &self.plan.window else {
            self.copy(Destination::Sink, place.0, record);
            return Ok(());
        };
        let Some(admission) = window.spec.admit(time, watermark) else {
            self.totals.late_events += 1;
            if self.sinks.late.is_some() {
                self.copy(Destination::Late, place.0, record);
            }
            return Ok(());
        };
        let reject = |why: &str| Err(Rejection { operation: "aggregate", why: why.to_owned() });
        if !self.plan.find_all(record.value, found) {
            return reject("the value cannot be read");
        }
        if !self.aggregate(place, record, admission, time, found) {
            return reject(&format!("the group's key has more than {} bytes", crate::window::MAX_KEY_BYTES));
        }
        Ok(())
    }

    /// Passes a record on as it is: to the same partition where both streams have as many, so that what is together
    /// stays together, and in its order.
    fn copy(&mut self, to: Destination, partition: PartitionId, record: &Record<'_>) {
        let target = match record.key {
            _ if self.partitions as usize == self.next.len() => partition.0,
            Some(key) => crate::stream::partition_of(key, self.partitions),
            None => partition.0 % self.partitions.max(1),
        };
        let value = |out: &mut Vec<u8>| out.extend_from_slice(record.value);
        self.outputs.push(to, (target, record.timestamp), (record.key, record.headers), value);
    }

    /// Returns false when the key of its group is too large.
    fn aggregate(
        &mut self,
        place: (PartitionId, Offset),
        record: &Record<'_>,
        admission: Admission,
        time: EventTime,
        found: &Lookup,
    ) -> bool {
        let Some(window) = &self.plan.window else { return true };
        let found = window.find(record.value, found);
        let (groups, values) = window.split(&found);
        self.key.clear();
        if group_key(groups, &mut self.key).is_err() {
            return false;
        }
        // The shard of a key is the partition that its results go to: there they stand in order, whoever computes them.
        let shard = match self.partitions {
            1 => 0,
            partitions => crate::stream::partition_of(&key_text(&self.key), partitions) as usize,
        };
        let sample = Sample { time, partition: place.0.0, offset: place.1.0, values };
        if let Some(windows) = self.shards.get_mut(shard) {
            windows.add(admission, &self.key, &sample);
        }
        true
    }

    /// Puts a record aside that cannot be processed: as it came, with what is wrong in its headers.
    pub(super) fn reject(&mut self, place: (PartitionId, Offset), record: &Record<'_>, operation: &str, error: &str) {
        self.totals.dead_letters += 1;
        if let Some(failures) = &mut self.failures {
            failures.note(operation, error);
        }
        let headers = super::dead_letter::headers(record.headers, self.source.name(), place, (operation, error));
        let key = (record.key, &headers[..]);
        let value = |out: &mut Vec<u8>| out.extend_from_slice(record.value);
        self.outputs.push(Destination::DeadLetter, (0, record.timestamp), key, value);
    }

    /// Gives the results of the windows that the watermark has passed, as far as a step has room for them.
    pub(super) fn close(&mut self, moment: Moment) -> Closing {
        let (partitions, next) = (self.source.partitions(), &self.next);
        self.watermarks
            .rest(moment.uptime, |index| partitions.get(index).is_none_or(|log| next[index] >= log.committed()));
        if self.idle_close.is_some_and(|quiet| self.watermarks.are_idle_for(quiet, moment.uptime))
            && let Some(newest) = self.shards.iter().filter_map(Windows::newest_end).max()
        {
            self.watermarks.advance(newest);
        }
        let (watermark, says_final, newest) = (self.watermarks.global(), self.emit == Emit::Update, &mut self.newest);
        fill(&mut self.outputs, self.step_bytes, &mut self.shards, says_final, |windows, give| {
            windows.close(watermark, RESULTS_AT_ONCE, give, |count| newest.add(&count))
        })
    }

    /// Gives the results of open windows that have changed, each second, as far as a step has room for them.
    fn update(&mut self, moment: Moment) -> Closing {
        if self.emit == Emit::Final || moment.uptime < self.next_update {
            return Closing::Done;
        }
        let given = fill(&mut self.outputs, self.step_bytes, &mut self.shards, true, |windows, give| {
            windows.updates(RESULTS_AT_ONCE, give)
        });
        if given == Closing::Done {
            self.next_update = moment.uptime + UPDATE_INTERVAL;
            self.is_updated = true;
        }
        given
    }

    /// Returns the newest windows, those that are open included, the newest first.
    pub(super) fn newest_windows(&self) -> Vec<SeenWindow> {
        let mut open = NewestWindows::default();
        self.shards.iter().flat_map(|windows| windows.recent(MAX_WINDOWS)).for_each(|count| open.add(&count));
        let seen = |is_final| {
            move |(start, end, events)| {
                Some(SeenWindow { start: EventTime::new(start)?, end: EventTime::new(end)?, events, is_final })
            }
        };
        let mut all: Vec<_> =
            open.iter().filter_map(seen(false)).chain(self.newest.iter().filter_map(seen(true))).collect();
        all.sort_by_key(|window| std::cmp::Reverse((window.end, window.start)));
        all.truncate(MAX_WINDOWS);
        all
    }

    fn unwritten_bytes(&self) -> usize {
        self.shards.iter().map(Windows::unwritten_bytes).sum()
    }

    fn is_due(&mut self, closing: Closing, moment: Moment) -> bool {
        if !self.outputs.is_empty() {
            let oldest = *self.oldest_output.get_or_insert(moment.uptime);
            let is_full = closing == Closing::More || self.outputs.bytes() >= self.step_bytes;
            if is_full || self.is_caught_up() || moment.uptime.saturating_sub(oldest) >= GATHER {
                return true;
            }
        }
        let interval = moment.uptime.saturating_sub(self.last_step) >= self.checkpoint_interval;
        self.unwritten_bytes() >= self.step_bytes || (self.is_changed && interval)
    }

    /// Makes a step of what has come since the last one.
    fn prepare(&mut self) {
        let id = self.id;
        let mut ops: Vec<TableOp> = Vec::new();
        for (windows, shard) in self.shards.iter_mut().zip(0..) {
            let chunks = &mut self.chunks;
            windows.changes(|change| match change {
                StateChange::Put { place, number, chunk } => {
                    let key = ChunkKey { shard, place, number };
                    chunks.insert(key);
                    ops.push(key.put(id, chunk));
                }
                StateChange::Remove { place, number } => {
                    let key = ChunkKey { shard, place, number };
                    // A chunk that was never stored has no row.
                    if chunks.remove(&key) {
                        ops.push(key.delete(id));
                    }
                }
            });
        }
        let skipped: u64 = self.shards.iter().map(Windows::skipped).sum();
        self.totals.skipped += skipped - std::mem::replace(&mut self.skipped, skipped);
        self.totals.results += self.outputs.count(Destination::Sink);
        ops.push(self.position().put(id));
        self.step = Some(Step { outputs: std::mem::take(&mut self.outputs), ops });
        self.oldest_output = None;
        self.is_changed = false;
    }

    /// Stores the step that is ready, if there is one.
    fn commit(&mut self, environment: &Environment, moment: Moment) -> Result<()> {
        let Some(step) = &self.step else { return Ok(()) };
        step.commit(environment, &mut self.sinks)?;
        if let Some(mut step) = self.step.take() {
            // Its memory serves the next one.
            step.outputs.clear();
            self.outputs = step.outputs;
        }
        self.last_step = moment.uptime;
        Ok(())
    }

    /// Returns how long to wait at most, when all is read that there is.
    fn wait(&self, moment: Moment) -> Option<Duration> {
        let checkpoint =
            self.is_changed.then(|| (self.last_step + self.checkpoint_interval).saturating_sub(moment.uptime));
        let update =
            (self.emit == Emit::Update && !self.is_updated).then(|| self.next_update.saturating_sub(moment.uptime));
        let is_open = self.shards.iter().any(|windows| windows.newest_end().is_some());
        let idle = is_open.then(|| self.plan.watermarks.idle_timeout.min(IDLE_LOOK));
        [checkpoint, idle, update].into_iter().flatten().min()
    }
}

/// Has shard after shard give its results, as far as a step has room for them.
fn fill(
    outputs: &mut Outputs,
    most: usize,
    shards: &mut [Windows],
    says_final: bool,
    mut some: impl FnMut(&mut Windows, &mut dyn FnMut(WindowResult<'_>)) -> Closing,
) -> Closing {
    for (windows, shard) in shards.iter_mut().zip(0..) {
        while outputs.bytes() < most {
            if some(windows, &mut |result| give(outputs, (shard, says_final), &result)) == Closing::Done {
                break;
            }
        }
        if outputs.bytes() >= most {
            return Closing::More;
        }
    }
    Closing::Done
}

/// Writes a result: its time is the last millisecond of its window, so that windows of windows take it for their own.
fn give(outputs: &mut Outputs, (shard, says_final): (u32, bool), result: &WindowResult<'_>) {
    let timestamp = Timestamp((result.end.millis() - 1).saturating_mul(1000));
    let key = key_text(result.key);
    outputs.push(Destination::Sink, (shard, timestamp), (Some(&key), b""), |out| result.write(says_final, out));
}
