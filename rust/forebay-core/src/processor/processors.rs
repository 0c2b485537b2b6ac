//! Every processor, and the threads that they share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use super::definition::{ProcessorDefinition, StartOffset};
use super::environment::Environment;
use super::fields::malformed;
use super::join_table::JOIN;
use super::letters::letters_of;
use super::plan::Plan;
use super::pool::{Pool, Work};
use super::processor::{Processor, Scheduled};
use super::rows::{ChunkKey, Letters, NEXT_PROCESSOR, PositionRow, ProcessorId, ProcessorRow, id_of};
use super::source_watch::SourceWatch;
use super::status::{ProcessorStatus, Stored};
use super::step::{Sinks, Target};
use super::task::{Moment, Next, Task};
use super::{checks, dead_letter, views};
use crate::error::{Error, ErrorKind, Result};
use crate::function::LocalCalls;
use crate::ids::{Offset, StreamId};
use crate::options::Retention;
use crate::stream::{Stream, StreamDefinition};
use crate::table::{Changes, Table, TableOp};
use crate::thread::{OnPanic, join, spawn_several};
use crate::window::EventTime;

/// Processors of one data directory.
pub const MAX_PROCESSORS: usize = 10_000;
/// Threads of all processors: more would only take the cores from who ingests.
const MAX_THREADS: usize = 16;
/// How long a step that could not be stored waits before it is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// The same where it is not for want of room, which comes back soon.
const LATER_RETRY: Duration = Duration::from_secs(1);
/// The time between two looks at a function that takes long, to say so.
const CALL_LOOK: Duration = Duration::from_secs(5);

/// Every processor.
#[derive(Debug)]
pub struct Processors {
    pub(super) environment: Environment,
    /// Held while a processor is made: look-up, commit and entry are one step.
    pub(super) changing: Mutex<()>,
    pub(super) by_id: RwLock<BTreeMap<ProcessorId, Arc<Processor>>>,
    sources: Mutex<HashMap<StreamId, Arc<SourceWatch>>>,
    pub(super) pool: Arc<Pool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    next_id: AtomicU32,
    /// The memory of all windows, as far as turns have told it.
    pub(super) state_bytes: AtomicU64,
    started: Instant,
}

impl Processors {
    pub(crate) fn new(environment: Environment) -> Self {
        Self {
            environment,
            changing: Mutex::default(),
            by_id: RwLock::default(),
            sources: Mutex::default(),
            pool: Arc::default(),
            threads: Mutex::default(),
            next_id: AtomicU32::new(0),
            state_bytes: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    /// Takes recovery's rows, and makes the processors of them. One whose rows cannot be read is there, and has failed: the
    /// others run.
    pub(crate) fn restore(&self, rows: &mut Changes) {
        let mut positions: HashMap<ProcessorId, Vec<u8>> = HashMap::new();
        positions.extend(rows.take(Table::Positions).filter_map(|(key, value)| Some((id_of(&key)?, value))));
        let definitions: Vec<_> = rows.take(Table::Processors).collect();
        let mut chunks = rows.take(Table::WindowState).peekable();
        let mut by_id = self.by_id.write();
        let mut next = rows_next(&definitions);
        for (key, value) in definitions {
            let Some(id) = id_of(&key) else { continue };
            // Rows are in the order of their keys. Those of a processor that is gone are nobody's.
            while chunks.next_if(|(key, _)| id_of(key).is_none_or(|of| of < id)).is_some() {}
            let mut own = Vec::new();
            while let Some((key, chunk)) = chunks.next_if(|(key, _)| id_of(key) == Some(id)) {
                own.extend(ChunkKey::read(&key).map(|key| (key, chunk)));
            }
            match self.restored(id, &value, positions.remove(&id), own) {
                Ok(processor) => {
                    self.state_bytes.fetch_add(processor.seen.lock().state_bytes, Ordering::Relaxed);
                    by_id.insert(id, processor);
                }
                Err(error) => self.environment.status.report(checks::unreadable(id, &error)),
            }
        }
        drop(chunks);
        if let Some(stored) = rows.get(Table::Counters, NEXT_PROCESSOR).and_then(|value| value.first_chunk()) {
            next = next.max(u32::from_le_bytes(*stored));
        }
        self.next_id.store(next, Ordering::Relaxed);
    }

    fn restored(
        &self,
        id: ProcessorId,
        row: &[u8],
        position: Option<Vec<u8>>,
        chunks: Vec<(ChunkKey, Vec<u8>)>,
    ) -> Result<Arc<Processor>> {
        let unreadable = |error: serde_json::Error| Error::new(ErrorKind::Internal, error.to_string());
        let mut row: ProcessorRow = serde_json::from_slice(row).map_err(unreadable)?;
        let definition = ProcessorDefinition::parse(row.definition.get().as_bytes())?;
        let keys: Vec<ChunkKey> = chunks.iter().map(|(key, _)| *key).collect();
        let made = Plan::new(&definition).and_then(|plan| {
            let Some(source) = self.environment.catalog.by_id(row.source()) else {
                let detail = format!("its source {:?} was deleted", definition.source);
                return Err(Error::new(ErrorKind::StreamNotFound, detail));
            };
            let gone = || Error::new(ErrorKind::Internal, "the row of its position is gone");
            let position = PositionRow::decode(&position.ok_or_else(gone)?)?;
            let begin = vec![Offset(0); source.partitions().len()];
            let mut task = self.task(id, (&definition, plan), (source, row.shards), begin);
            task.restore(position, chunks)?;
            Ok(task)
        });
        if let (Err(error), true) = (&made, row.status.is != ProcessorStatus::Deleting) {
            row.status = Stored::new(ProcessorStatus::Failed, Some(error.detail().to_owned()));
        }
        Ok(Processor::new(id, definition, &row, made.ok(), keys))
    }

    /// Starts the threads, if there is a processor to run, and gives each its first turn.
    ///
    /// # Errors
    /// `StorageUnavailable`: the operating system starts no thread.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<()> {
        let all = self.all();
        if all.is_empty() || self.environment.status.refuse_write().is_err() {
            return Ok(());
        }
        self.start_threads()?;
        for processor in all {
            if processor.status().is == ProcessorStatus::Deleting {
                // What is left is deleted by who asks again, when it cannot be now.
                let _later = self.remove(&processor);
            } else if processor.is_running() {
                self.run(&processor);
            }
        }
        Ok(())
    }

    pub(super) fn start_threads(self: &Arc<Self>) -> Result<()> {
        let wanted = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let work = || {
            let own = Arc::clone(self);
            move || own.work()
        };
        let (name, guard) = ("processors", (&self.environment.status, OnPanic::Trouble));
        spawn_several(&mut self.threads.lock(), wanted, name, guard, work).map_err(|error| {
            let detail = format!("a thread of the processors cannot be started: {error}");
            Error::new(ErrorKind::StorageUnavailable, detail)
        })
    }

    /// Stops all of them. What they have read is stored, where that is possible, so that it is not read again.
    pub(crate) fn stop(&self) {
        self.pool.close();
        self.threads.lock().drain(..).for_each(join);
        self.environment.functions.close();
        let moment = self.moment();
        for processor in self.all().iter().filter(|processor| processor.is_running()) {
            if let Some(task) = &mut *processor.task() {
                // The next start reads it again.
                let _unstored = task.checkpoint(&self.environment, moment);
            }
        }
        self.sources.lock().clear();
    }

    /// Returns every processor, by name.
    pub(super) fn all(&self) -> Vec<Arc<Processor>> {
        let mut all: Vec<_> = self.by_id.read().values().cloned().collect();
        all.sort_by(|one, other| one.name().cmp(other.name()));
        all
    }

    /// Returns the processor with that id or name.
    ///
    /// # Errors
    /// `ProcessorNotFound`.
    pub(super) fn find(&self, id: &str) -> Result<Arc<Processor>> {
        let by_id = self.by_id.read();
        let found = ProcessorId::parse(id).and_then(|id| by_id.get(&id));
        let found = found.or_else(|| by_id.values().find(|processor| processor.name() == id));
        found.cloned().ok_or_else(|| Error::new(ErrorKind::ProcessorNotFound, format!("there is no processor {id:?}")))
    }

    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn moment(&self) -> Moment {
        let wall = EventTime::new(self.environment.clock.wall().millis()).unwrap_or(EventTime::MIN);
        Moment { uptime: self.uptime(), wall }
    }

    /// Makes a processor, which runs when this returns: its definition and where it begins are durable. With `from` it
    /// takes the place of another, and goes on where that one stands.
    ///
    /// # Errors
    /// `Malformed` naming what is wrong with the definition; `StreamNotFound` for its source; `ProcessorAlreadyExists`;
    /// `Forbidden` for the names of the engine's own;
    /// with `from`, `ProcessorNotFound`, and `Conflict` when it cannot take over the state;
    /// `Saturated` when there are [`MAX_PROCESSORS`]; and why nothing can be written.
    pub fn create(self: &Arc<Self>, definition: &[u8]) -> Result<Vec<u8>> {
        let (definition, succession) = ProcessorDefinition::parse_new(definition)?;
        views::check_own(&definition.name)?;
        let plan = Plan::new(&definition)?;
        if succession.is_none() {
            // Before functions are looked at: one that exists goes on without them.
            self.check_name(&definition, &self.all())?;
        }
        self.check_functions(&plan)?;
        let _one_at_a_time = self.changing.lock();
        self.environment.status.refuse_write()?;
        let processor = match succession {
            None => self.begin_anew(definition, plan)?,
            Some(succession) => self.succeed(&succession, definition, plan)?,
        };
        self.start_threads()?;
        self.run(&processor);
        Ok(self.describe(&processor))
    }

    pub(super) fn begin_anew(&self, definition: ProcessorDefinition, plan: Plan) -> Result<Arc<Processor>> {
        let (source, shards) = self.streams_for(&definition, &self.all())?;
        let id = ProcessorId(self.next_id.load(Ordering::Relaxed));
        let start = |log: &crate::stream::Partition| match definition.offset {
            StartOffset::Latest => log.committed(),
            StartOffset::Earliest => log.start(),
        };
        let next: Vec<Offset> = source.partitions().iter().map(start).collect();
        let running = Stored::new(ProcessorStatus::Running, None);
        let row = ProcessorRow::new(&definition, source.id(), shards, self.environment.clock.wall(), running);
        let mut task = self.task(id, (&definition, plan), (source, shards), next);
        task.letters = self.no_letters(&definition);
        let next_id = TableOp::put(Table::Counters, NEXT_PROCESSOR, (id.0 + 1).to_le_bytes());
        let ops = vec![row.put(id), task.position().put(id), next_id];
        self.environment.commits.change_if_room(ops)?;
        self.next_id.store(id.0 + 1, Ordering::Relaxed);
        let processor = Processor::new(id, definition, &row, Some(task), Vec::new());
        self.by_id.write().insert(id, Arc::clone(&processor));
        Ok(processor)
    }

    /// Checks a new definition against the `others`, and returns its source and the partitions of its sink, which is made
    /// when there is none.
    pub(super) fn streams_for(
        &self,
        definition: &ProcessorDefinition,
        others: &[Arc<Processor>],
    ) -> Result<(Arc<Stream>, u32)> {
        self.check_name(definition, others)?;
        if others.len() >= MAX_PROCESSORS {
            let detail = format!("there are {MAX_PROCESSORS} processors, which is the limit; delete some");
            return Err(Error::new(ErrorKind::Saturated, detail));
        }
        checks::check_streams(definition, others.iter().map(|other| &other.definition))?;
        let source = self.environment.catalog.named(&definition.source)?;
        let sink = self.ensure(&definition.sink, &source)?;
        if let Some(late) = &definition.config.late_sink {
            self.ensure(late, &source)?;
        }
        Ok((source, u32::try_from(sink.partitions().len()).unwrap_or(1)))
    }

    fn check_name(&self, definition: &ProcessorDefinition, others: &[Arc<Processor>]) -> Result<()> {
        if others.iter().any(|other| other.name() == definition.name) {
            let detail = format!("there is a processor {:?} already", definition.name);
            return Err(Error::new(ErrorKind::ProcessorAlreadyExists, detail));
        }
        Ok(())
    }

    /// Returns where the dead letters of a new processor begin: those of an earlier one of its name are not its own.
    pub(super) fn no_letters(&self, definition: &ProcessorDefinition) -> Letters {
        let end = letters_of(&self.environment, &dead_letter::stream_name(&definition.name))
            .map_or(Offset(0), |(_, _, end)| end);
        Letters { next: end, until: end }
    }

    /// Returns the calls of functions that run in this process, for whoever runs them.
    #[must_use]
    pub fn local_calls(&self) -> &LocalCalls {
        self.environment.functions.local()
    }

    /// Refuses a plan with a function that there is not.
    ///
    /// # Errors
    /// `Malformed` that names the operation; and why no worker process runs.
    pub(super) fn check_functions(&self, plan: &Plan) -> Result<()> {
        for map in plan.maps.iter().filter(|map| *map.function != *JOIN) {
            self.environment.functions.check(&map.function).map_err(|error| {
                // A module that cannot be imported is as good as none.
                let is_missing = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::StorageUnavailable);
                let refused = || malformed(&format!("operations[{}].function: {}", map.operation, error.detail()));
                if is_missing { refused() } else { error }
            })?;
        }
        Ok(())
    }

    /// Returns the stream of that name; one that is missing is made with as many partitions as `like` has.
    fn ensure(&self, name: &str, like: &Stream) -> Result<Arc<Stream>> {
        let partitions = u32::try_from(like.partitions().len()).unwrap_or(1);
        let limit = self.environment.max_record_bytes;
        self.environment.streams.ensure(StreamDefinition::new(name, partitions, Retention::default(), limit))
    }

    /// Returns the work of a processor that begins at these offsets.
    pub(super) fn task(
        &self,
        id: ProcessorId,
        (definition, plan): (&ProcessorDefinition, Plan),
        (source, shards): (Arc<Stream>, u32),
        next: Vec<Offset>,
    ) -> Task {
        let sinks = self.sinks(definition);
        let bounds = (self.environment.max_batch_bytes, self.uptime());
        Task::new(id, (plan, &definition.config), (source, sinks, shards), next, bounds)
    }

    /// Returns the streams that a definition writes to.
    pub(super) fn sinks(&self, definition: &ProcessorDefinition) -> Sinks {
        let name = dead_letter::stream_name(&definition.name);
        let dead_letters = StreamDefinition::new(&name, 1, dead_letter::retention(), self.environment.max_record_bytes);
        Sinks {
            sink: Target::new(&definition.sink),
            late: definition.config.late_sink.as_deref().map(Target::new),
            dead_letter: (dead_letters, None),
        }
    }

    /// Gives a processor its turns from now on.
    pub(super) fn run(&self, processor: &Arc<Processor>) {
        if let Some(source) = self.environment.catalog.by_id(processor.source) {
            let mut sources = self.sources.lock();
            let new = || SourceWatch::new(source, Arc::clone(&self.pool));
            let watch = sources.entry(processor.source).or_insert_with(new);
            watch.remove(processor);
            watch.add(processor);
        }
        self.pool.schedule(processor);
    }

    pub(super) fn forget_watch(&self, processor: &Processor) {
        let mut sources = self.sources.lock();
        if sources.get(&processor.source).is_some_and(|watch| !watch.remove(processor)) {
            sources.remove(&processor.source);
        }
    }

    /// The work of one thread of the pool.
    fn work(&self) {
        while let Some(work) = self.pool.next() {
            match work {
                Work::Wake(source) => source.wake_readers(),
                Work::Turn(processor) => self.turn(&processor),
            }
        }
    }

    fn turn(&self, processor: &Arc<Processor>) {
        *processor.scheduled.lock() = Scheduled::Running;
        let wait = self.take_turn(processor);
        let mut scheduled = processor.scheduled.lock();
        let again = *scheduled == Scheduled::RunningAgain || wait == Some(Duration::ZERO);
        *scheduled = Scheduled::Idle;
        drop(scheduled);
        if !processor.is_running() {
            return;
        }
        match wait {
            _ if again => self.pool.schedule(processor),
            Some(wait) => self.pool.schedule_at(processor, Instant::now() + wait),
            None => {}
        }
    }

    /// Returns how long the processor waits for its next turn at most: not at all for zero, for a record for `None`.
    fn take_turn(&self, processor: &Arc<Processor>) -> Option<Duration> {
        let mut held = processor.task();
        // Asked with the task in hand: whoever changes the status holds it as well.
        let task = held.as_mut().filter(|_| processor.is_running())?;
        let moment = self.moment();
        task.mapping.waker.get_or_set(|| {
            let (pool, own) = (Arc::clone(&self.pool), Arc::downgrade(processor));
            move || own.upgrade().iter().for_each(|processor| pool.schedule(processor))
        });
        let outcome = if task.source.is_deleted() {
            Err(Error::new(ErrorKind::StreamNotFound, format!("its source {:?} was deleted", task.source.name())))
        } else {
            self.check_state(processor, task).and_then(|()| task.turn(&self.environment, moment))
        };
        let next = task.next.clone();
        let waited = task.arrivals.take(self.environment.clock.stamp());
        processor.seen.lock().rate.waited(moment.uptime, waited);
        let blocked_by = outcome.as_ref().err().map(|error| error.detail().to_owned());
        let blocked_by = blocked_by.or_else(|| task.mapping.waits_for(moment));
        self.note(processor, &held, blocked_by, moment);
        drop(held);
        match outcome {
            Ok(Next::Again) => Some(Duration::ZERO),
            Ok(Next::Called) => Some(CALL_LOOK),
            Ok(Next::Wait(wait)) => {
                let watch = self.sources.lock().get(&processor.source).cloned();
                match watch.map(|watch| watch.set(&next)) {
                    Some(Err(_)) => Some(LATER_RETRY),
                    Some(Ok(())) | None => wait,
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::StreamNotFound | ErrorKind::PayloadTooLarge) => {
                self.hold(processor, ProcessorStatus::Failed, error.detail());
                None
            }
            Err(error) if error.kind() == ErrorKind::StreamLimitReached => {
                self.hold(processor, ProcessorStatus::Paused, error.detail());
                None
            }
            Err(error) => {
                let wait = if error.kind() == ErrorKind::Saturated { RETRY } else { LATER_RETRY };
                Some(error.retry_after().unwrap_or(wait).min(LATER_RETRY))
            }
        }
    }

    /// Takes note of how a processor stands after a turn.
    pub(super) fn note(&self, processor: &Processor, task: &Option<Task>, blocked_by: Option<String>, moment: Moment) {
        let (before, after) = processor.note(task, blocked_by, moment.uptime);
        self.state_bytes.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }
}

fn rows_next(definitions: &[(Vec<u8>, Vec<u8>)]) -> u32 {
    definitions.iter().filter_map(|(key, _)| id_of(key)).map(|id| id.0 + 1).max().unwrap_or(0)
}
