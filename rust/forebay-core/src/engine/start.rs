//! Bringing an engine up and down: recovery, threads, and the order in which they stop.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::builtins::Builtins;
use super::engine::Engine;
use super::scale;
use crate::admission::Budget;
use crate::clock::LogClock;
use crate::consumer::Groups;
use crate::error::{Error, ErrorKind, Result};
use crate::function::Functions;
use crate::history::History;
use crate::ids::Generation;
use crate::ingest::events::IdSource;
use crate::ingest::{JobQueue, Parser, WorkerPool};
use crate::job::Jobs;
use crate::load_test::LoadTest;
use crate::log::commit::{CommitQueue, Committer, Wiring};
use crate::log::dedup::{Dedup, DedupLimits};
use crate::log::journal::{JOURNAL_DIRECTORY, Journal, JournalFiles, JournalPreallocator};
use crate::log::read::Reader;
use crate::log::retention::{Retention, leftovers};
use crate::log::segment::{Merger, SealQueue, Sealer};
use crate::log::state::{KeyFiles, STATE_DIRECTORY, StateFiles};
use crate::log::{Recovered, Recovery, StreamAdmin};
use crate::options::{Access, Options};
use crate::processor::{Environment, Processors};
use crate::search::Searches;
use crate::status::{Mode, Status};
use crate::storage::{Storage, locked};
use crate::stream::SEGMENT_DIRECTORY;
use crate::stream::{Catalog, StreamLimits};
use crate::table::TableOp;
use crate::telemetry::Counters;
use crate::thread::{Notify, OnPanic, join, spawn};

/// The background's pace: retention by age, and trying again what a full disk refused.
const TICK: Duration = Duration::from_secs(1);

/// Consumer groups that nobody calls are looked for this often: they expire after days.
const SWEEP: Duration = Duration::from_secs(60);

/// Changes of tables that are not sealed yet get this part of what the ring has, beside it: 64 MiB where it has 512, which
/// is two offsets for each of 10,000 groups in every file that can wait.
const ROWS_SHARE: u64 = 8;

/// The engine's threads. Each is joined when the engine closes.
#[derive(Debug)]
pub(crate) struct Threads {
    pub(crate) workers: WorkerPool,
    committer: Mutex<Option<JoinHandle<()>>>,
    background: Mutex<Vec<JoinHandle<()>>>,
    sealing: Arc<SealQueue>,
    spares: Arc<JournalPreallocator>,
    notify: Arc<Notify>,
}

impl Threads {
    pub(crate) fn seal_backlog(&self) -> usize {
        self.sealing.backlog()
    }

    /// Lets what is sealed be looked after: the options are followed, or could not be.
    pub(crate) fn begin(&self) {
        self.notify.begin();
    }

    /// Tries to make the built-in streams until that succeeds, on a thread that ends then.
    pub(crate) fn keep_making(&self, builtins: &Arc<Builtins>, status: &Arc<Status>) -> io::Result<()> {
        let builtins = Arc::clone(builtins);
        let making = spawn("builtins", (status, OnPanic::Trouble), move || builtins.keep_trying())?;
        self.background.lock().push(making);
        Ok(())
    }

    /// Stops in the order of the way of the data, so that nothing admitted is left behind.
    pub(crate) fn stop(&self, engine: &Engine) {
        engine.history.stop();
        engine.builtins.close();
        engine.processors.stop();
        self.workers.stop();
        engine.commits.close();
        self.committer.lock().take().into_iter().for_each(join);
        self.sealing.close();
        self.notify.close();
        self.spares.close();
        engine.parser.dedup.close();
        for thread in self.background.lock().drain(..) {
            join(thread);
        }
        if engine.status.refuse_change().is_ok() {
            engine.clock.write();
        }
        engine.status.set(Mode::Closed, "the engine is closed");
    }
}

/// Opens the data directory and starts the threads.
pub(crate) fn open(storage: Arc<dyn Storage>, options: Options) -> Result<Engine> {
    let unusable = |error: io::Error| {
        let root = storage.root();
        let detail = format!("data directory {} cannot be used: {error}", root.display());
        Error::new(ErrorKind::StorageUnavailable, detail)
    };
    let locked_for = match options.access {
        Access::ReadWrite => storage.lock(),
        Access::ReadOnly => storage.lock_to_read(),
    };
    let lock = locked_for.map_err(unusable)?.ok_or_else(|| locked(storage.as_ref()))?;
    let parts = Parts::new(&storage, &options);
    let (state, files) = parts.find(&storage, &options).map_err(unusable)?;
    let spares = JournalPreallocator::new(
        Arc::clone(&storage),
        Arc::clone(&parts.status),
        &options,
        Generation(files.newest.0 + 1),
    );
    let mut sealer = Sealer::new(
        Arc::clone(&storage),
        Arc::clone(&parts.sealing),
        Arc::clone(&spares),
        Arc::clone(&parts.status),
        Arc::clone(&parts.counters),
        state.writer(Arc::clone(&parts.parser.dedup)),
    );
    let (dedup, access) = (&parts.parser.dedup, options.access);
    let recovery = Recovery::new(&storage, &parts.catalog, &parts.ring, &parts.status, dedup, access, state);
    let mut recovered = recovery.replay(files, &mut sealer, &spares).map_err(unusable)?;
    parts.clock.seen(recovered.newest_append);
    parts.groups.restore(&recovered.rows);
    let processors = Arc::new(Processors::new(parts.environment(&options)));
    processors.restore(&mut recovered.rows);
    parts.durable_jobs.restore(&recovered.rows);
    let threads = parts.start(&options, recovered, sealer, spares).map_err(unusable)?;
    Ok(Engine {
        builtins: Arc::new(Builtins::new(Arc::clone(&parts.streams), &options)),
        options,
        clock: parts.clock,
        catalog: parts.catalog,
        streams: parts.streams,
        ring: parts.ring,
        history: History::new(Arc::clone(&storage), Arc::clone(&parts.status), Arc::clone(&parts.counters)),
        status: parts.status,
        counters: parts.counters,
        commits: parts.commits,
        jobs: parts.jobs,
        parser: parts.parser,
        reader: parts.reader,
        retention: parts.retention,
        groups: parts.groups,
        durable_jobs: parts.durable_jobs,
        processors,
        searches: Searches::default(),
        threads,
        storage: Arc::clone(&storage),
        accepting: AtomicBool::new(true),
        scaling: Mutex::default(),
        load_test: LoadTest::default(),
        lock: Mutex::new(Some(lock)),
    })
}

/// The operating system starts no thread.
pub(crate) fn no_thread(error: io::Error) -> Error {
    Error::new(ErrorKind::StorageUnavailable, format!("a thread of the log cannot be started: {error}"))
}

/// The parts that the threads share.
struct Parts {
    clock: Arc<LogClock>,
    catalog: Arc<Catalog>,
    streams: Arc<StreamAdmin>,
    ring: Arc<Budget>,
    status: Arc<Status>,
    counters: Arc<Counters>,
    commits: Arc<CommitQueue>,
    jobs: Arc<JobQueue>,
    parser: Arc<Parser>,
    reader: Arc<Reader>,
    groups: Arc<Groups>,
    durable_jobs: Arc<Jobs>,
    sealing: Arc<SealQueue>,
    retention: Arc<Retention>,
}

impl Parts {
    fn new(storage: &Arc<dyn Storage>, options: &Options) -> Self {
        let clock = Arc::new(LogClock::open(storage));
        let status = Arc::new(Status::new());
        let counters = Arc::new(Counters::default());
        let commits = Arc::new(CommitQueue::new(Budget::new(options.ring_bytes / ROWS_SHARE)));
        let limits = StreamLimits { streams: options.max_streams, partitions: options.max_partitions };
        let catalog = Arc::new(Catalog::new(options.ring_bytes / 2, limits));
        let (catalog_, commits_, status_) = (Arc::clone(&catalog), Arc::clone(&commits), Arc::clone(&status));
        let streams =
            Arc::new(StreamAdmin { catalog: catalog_, commits: commits_, status: status_, clock: Arc::clone(&clock) });
        let ring = Budget::new(options.ring_bytes);
        let limits = DedupLimits {
            window: options.dedup_window,
            keys: options.max_idempotency_keys,
            durability: options.durability,
        };
        let dedup = Dedup::new(limits, Arc::clone(&clock), Arc::clone(&ring), KeyFiles::new(Arc::clone(storage)));
        let parser = Parser {
            commits: Arc::clone(&commits),
            dedup,
            streams: Arc::clone(&streams),
            counters: Arc::clone(&counters),
            ids: IdSource::default(),
            max_body_bytes: options.max_body_bytes,
            max_batch_bytes: options.max_batch_bytes(),
            max_record_bytes: options.max_record_bytes,
        };
        let reader = Arc::new(Reader::new(Arc::clone(storage), Arc::clone(&status), Arc::clone(&counters)));
        let sealing: Arc<SealQueue> = Arc::default();
        let retention = Retention::new(
            (Arc::clone(storage), Arc::clone(&catalog), Arc::clone(&commits)),
            (Arc::clone(&reader), Arc::clone(&counters), Arc::clone(&status)),
            (Arc::clone(&sealing), Arc::default()),
        );
        let (catalog_, commits_, status_) = (Arc::clone(&catalog), Arc::clone(&commits), Arc::clone(&status));
        let clock_ = Arc::clone(&clock);
        let (commits__, status__, clock__) = (Arc::clone(&commits), Arc::clone(&status), Arc::clone(&clock));
        let durable_jobs = Jobs::new(commits__, status__, clock__, options.jobs_bytes);
        let groups = Groups::new(catalog_, commits_, status_, Arc::clone(&reader), clock_, options.durability);
        Self {
            clock,
            catalog,
            streams,
            ring,
            reader,
            groups: Arc::new(groups),
            durable_jobs: Arc::new(durable_jobs),
            status,
            counters,
            commits,
            jobs: Arc::default(),
            parser: Arc::new(parser),
            sealing,
            retention: Arc::new(retention),
        }
    }

    fn environment(&self, options: &Options) -> Environment {
        Environment {
            catalog: Arc::clone(&self.catalog),
            streams: Arc::clone(&self.streams),
            commits: Arc::clone(&self.commits),
            reader: Arc::clone(&self.reader),
            functions: Arc::new(Functions::new(options.functions.clone(), Arc::clone(&self.status))),
            ring: Arc::clone(&self.ring),
            status: Arc::clone(&self.status),
            clock: Arc::clone(&self.clock),
            max_batch_bytes: options.max_batch_bytes(),
            max_record_bytes: options.max_record_bytes,
            state_bytes: options.processor_state_bytes,
        }
    }

    fn find(&self, storage: &Arc<dyn Storage>, options: &Options) -> io::Result<(StateFiles, JournalFiles)> {
        if options.access == Access::ReadWrite {
            for directory in [JOURNAL_DIRECTORY, SEGMENT_DIRECTORY, STATE_DIRECTORY] {
                storage.create_directory(Path::new(directory))?;
            }
        }
        let dedup = &self.parser.dedup;
        let mut restore = |op: TableOp, generation| {
            if op.table.is_of_jobs() { self.durable_jobs.take_in(&op) } else { dedup.restore(&op, generation) }
        };
        let state = StateFiles::load_apart(storage.as_ref(), &mut restore)?;
        let files = JournalFiles::find(storage.as_ref(), state.generation, &self.status, options.access)?;
        Ok((state, files))
    }

    fn start(
        &self,
        options: &Options,
        recovered: Recovered,
        sealer: Sealer,
        spares: Arc<JournalPreallocator>,
    ) -> io::Result<Threads> {
        let workers = scale::stored(&recovered.rows).unwrap_or(options.workers);
        if options.access == Access::ReadOnly {
            self.status.set(Mode::ReadOnly, "opened read-only");
        }
        let threads = Threads {
            workers: WorkerPool::new(Arc::clone(&self.jobs), Arc::clone(&self.parser)),
            committer: Mutex::default(),
            background: Mutex::default(),
            sealing: Arc::clone(&self.sealing),
            spares: Arc::clone(&spares),
            notify: Arc::clone(&self.retention.notify),
        };
        if self.status.mode() == Mode::ReadOnly {
            return Ok(threads);
        }
        let first = spares.make_now().or_else(|obstacle| {
            self.status.obstruct(obstacle);
            spares.take_reserve()
        });
        let journal = Journal::new(first.ok(), Arc::clone(&spares), Arc::clone(&self.counters), recovered.sequence);
        for mut full in recovered.unsealed {
            full.contents.reservation(self.commits.rows());
            self.sealing.push(full);
        }
        let wiring = Wiring {
            queue: Arc::clone(&self.commits),
            sealing: Arc::clone(&self.sealing),
            status: Arc::clone(&self.status),
            counters: Arc::clone(&self.counters),
            clock: Arc::clone(&self.clock),
        };
        let poison = (&self.status, OnPanic::Poison);
        let committer = Committer::new(journal, wiring, options);
        // Last of all that is written before the first request: what recovery still needs stays as it was.
        self.clock.keep(true);
        *threads.committer.lock() = Some(spawn("committer", poison, move || committer.run())?);
        let mut background = threads.background.lock();
        background.push(spawn("preallocator", poison, move || spares.run())?);
        self.retention.leave_over(leftovers(&recovered.rows, &self.catalog));
        let (sealing, notify) = (Arc::clone(&self.sealing), Arc::clone(&self.retention.notify));
        background.push(spawn("sealer", poison, move || seal(sealer, &sealing, &notify))?);
        let (retention, groups) = (Arc::clone(&self.retention), Arc::clone(&self.groups));
        background.push(spawn("retention", poison, move || retain(&retention, &groups))?);
        let (jobs, notify) = (Arc::clone(&self.durable_jobs), Arc::clone(&self.retention.notify));
        background.push(spawn("jobs", poison, move || sweep_jobs(&jobs, &notify))?);
        let merger = Merger::new(Arc::clone(&self.retention));
        background.push(spawn("merger", (&self.status, OnPanic::Trouble), move || merger.run(TICK))?);
        let dedup = Arc::clone(&self.parser.dedup);
        background.push(spawn("dedup", poison, move || dedup.run())?);
        drop(background);
        // A machine may have become smaller: one is enough to start.
        threads.workers.resize(workers).or_else(|_| threads.workers.resize(1))?;
        Ok(threads)
    }
}

fn seal(mut sealer: Sealer, queue: &SealQueue, notify: &Notify) {
    while let Ok(full) = queue.take(TICK) {
        if let Some(full) = full {
            if !sealer.seal(full, notify) {
                return;
            }
            notify.ring();
        }
        sealer.look_for_room();
    }
}

/// Deletes what is due after each sealing, and each tick: sealing never waits for it.
fn retain(retention: &Retention, groups: &Groups) {
    let mut next_sweep = Instant::now() + SWEEP;
    let mut heard = 0;
    while let Some(rings) = retention.notify.wait(heard, TICK) {
        heard = rings;
        groups.clock.keep(groups.status.refuse_change().is_ok());
        retention.apply(&groups.clock.time());
        if Instant::now() >= next_sweep {
            groups.sweep(groups.uptime());
            next_sweep = Instant::now() + SWEEP;
        }
    }
}

/// Looks each tick for jobs whose lease ran out, and for ended ones that were kept long enough.
fn sweep_jobs(jobs: &Jobs, notify: &Notify) {
    let mut heard = 0;
    while let Some(rings) = notify.wait(heard, TICK) {
        heard = rings;
        jobs.sweep();
    }
}
