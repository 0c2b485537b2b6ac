//! One data directory on the faulty storage, the engine on it, and the model beside them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use forebay_core::ingest::route;
use forebay_core::log::dedup::Key;
use forebay_core::status::Mode;
use forebay_core::storage::faulty::{Cause, Effect, Fault, Faulty, Operation};
use forebay_core::{Engine, Error, ErrorKind, LOGS, Limits, Options, PartitionId, Request, Result};

use crate::common::ledger::{After, Ledger};
use crate::common::{self, Mark, offset_at, read_all, until};
use crate::ops::{Case, Deletes, Ending, Events, Op, Size, Target, Weakness};

/// Streams that every engine has.
const BUILTINS: usize = 3;

pub struct World {
    storage: Faulty,
    engine: Option<Engine>,
    ledger: Mutex<Ledger>,
    options: Options,
    streams: u32,
    last_keyed: Option<(u32, Events)>,
    /// The answers to batches that were sent with a key: a repeat gets the same.
    answers: Mutex<BTreeMap<u32, (u16, Vec<u8>)>>,
    /// A fault was injected that may poison the log or make it refuse.
    weakened: bool,
}

impl World {
    pub fn new(case: &Case) -> Self {
        // A case may make more streams of a thousand partitions than a server takes.
        let mut options = Options { durability: case.durability, max_partitions: 100_000, ..common::small() };
        options.sync_interval = Duration::from_millis(5);
        if case.seals_soon {
            options.journal_file_age = Duration::from_millis(100);
        }
        options.logs_retention = case.retention.options();
        let storage = Faulty::new(case.seed);
        let ledger = Ledger::new(case.retention.options().deletes());
        let engine = Some(common::open(&storage, &options).expect("a new directory opens"));
        let (ledger, answers) = (Mutex::new(ledger), Mutex::default());
        Self { storage, engine, ledger, options, streams: 0, last_keyed: None, answers, weakened: false }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    pub fn run(&mut self, op: &Op) {
        match op {
            Op::Append { target, size, keyed } => drop(self.append(*target, *size, *keyed)),
            Op::Burst { threads, batches, size } => self.burst(*threads, *batches, *size),
            Op::Fill => self.burst(2, 8, Size { records: 20, padding: 2000 }),
            Op::Create { partitions } => self.create(u32::from(*partitions)),
            Op::Read { target, from, records, bytes } => {
                let limits = Limits { records: usize::from(*records), bytes: usize::from(*bytes) };
                self.read(*target, *from, limits);
            }
            // Records that retention deleted are not looked for, so a repeat would tell nothing.
            Op::Keyed { threads, again, events } if !self.ledger.get_mut().unwrap().deletes => {
                self.keyed(*threads, *again, *events);
            }
            Op::Keyed { .. } => {}
            Op::Seal => self.seal(),
            Op::Check => self.check(After::Running),
            Op::Restart(ending) => self.restart(*ending),
            Op::HaltAfter { changes, ending } => {
                self.storage.halt_after(u64::from(*changes));
                self.weakened = true;
                if !self.ledger.get_mut().unwrap().deletes && changes.is_multiple_of(2) {
                    self.keyed(1, false, Events::HalfInvalid);
                }
                self.burst(2, 3, Size { records: 10, padding: 300 });
                self.restart(*ending);
            }
            Op::RecoverInPieces { steps, ending } => self.recover_in_pieces(steps, *ending),
            Op::Weaken { weakness, cause, nth, size } => self.weaken((*weakness, *cause), *nth, *size),
            Op::FullDisk { spare } => self.full_disk(*spare),
            // Nothing comes of it: a repeat is a repeat, and nothing is older than it is.
            Op::SetClock { hours } => self.storage.set_wall_clock(i64::from(*hours) * 3_600_000_000),
        }
    }

    /// Sends one batch with a key from several threads at once, the last one again or a new one.
    fn keyed(&mut self, threads: u8, again: bool, events: Events) {
        let size = Size { records: 5, padding: 100 };
        let number = match self.last_keyed {
            Some((number, same)) if again && same == events => number,
            _ => self.ledger.lock().unwrap().send(LOGS, size.records.into()),
        };
        self.last_keyed = Some((number, events));
        self.ledger.lock().unwrap().repeat(number);
        let marks = Mark::batch(number, size.records.into(), size.padding.into());
        let this = &*self;
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let key = Key::new(b"model", LOGS, &number.to_le_bytes()).unwrap();
                    let body = match events {
                        Events::Valid => common::drain(&marks),
                        Events::HalfInvalid => common::half_invalid(&marks),
                    };
                    let request = Request { key: Some(key), ..Request::new(&route::DRAIN, body) };
                    match this.engine().ingest(Request { on_invalid: events.on_invalid(), ..request }) {
                        Ok(receipt) => {
                            let answer = receipt.answer().unwrap();
                            let mut answers = this.answers.lock().unwrap();
                            assert_eq!(answers.entry(number).or_insert_with(|| answer.clone()), &answer);
                            drop(answers);
                            let mut ledger = this.ledger.lock().unwrap();
                            ledger.acknowledge_keyed(number, &receipt, this.options.durability);
                        }
                        Err(error) => this.assert_expected(number, &error),
                    }
                });
            }
        });
    }

    fn assert_expected(&self, number: u32, error: &Error) {
        let kind = error.kind();
        let expected = kind == ErrorKind::Saturated || kind == ErrorKind::StorageUnavailable && self.weakened;
        assert!(expected, "batch {number} was refused: {error}");
    }

    /// Sends one batch, and keeps the books.
    fn append(&self, target: Target, size: Size, keyed: bool) -> Result<()> {
        let stream = self.stream(target);
        let number = self.ledger.lock().unwrap().send(&stream, u32::from(size.records));
        let marks = Mark::batch(number, u32::from(size.records), u32::from(size.padding));
        let outcome = if stream == LOGS {
            self.engine().ingest(Request::new(&route::DRAIN, common::drain(&marks)))
        } else {
            let partition = target.partition(&self.engine().stream_reports());
            let appended = self.engine().append(&stream, &common::records(&stream, &marks, keyed), partition);
            appended.map(|appended| appended.receipt)
        };
        match outcome {
            Ok(receipt) => {
                self.ledger.lock().unwrap().acknowledge(number, &receipt, self.options.durability);
                Ok(())
            }
            Err(error) => {
                self.assert_expected(number, &error);
                Err(error)
            }
        }
    }

    fn stream(&self, target: Target) -> String {
        match target {
            Target::Other(index, _) if self.streams > 0 => format!("s{}", u32::from(index) % self.streams),
            Target::Logs | Target::Other(..) => LOGS.to_owned(),
        }
    }

    fn burst(&self, threads: u8, batches: u8, size: Size) {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || {
                    for batch in 0..batches {
                        let target = if batch % 2 == 0 { Target::Logs } else { Target::Other(thread, None) };
                        let _refused = self.append(target, size, batch % 3 != 0);
                    }
                });
            }
        });
    }

    fn create(&mut self, partitions: u32) {
        match self.engine().create_stream(&format!("s{}", self.streams), partitions) {
            Ok(_) => self.streams += 1,
            // It may have been written before the failure, and is there after a restart then.
            Err(error) if error.kind() == ErrorKind::StreamAlreadyExists => self.streams += 1,
            Err(error) => assert!(self.weakened, "a stream was refused: {error}"),
        }
    }

    fn read(&self, target: Target, from: u8, limits: Limits) {
        let stream = self.stream(target);
        let all = read_all(self.engine()).unwrap();
        let log = &all[&(stream.clone(), 0)];
        let offset = offset_at(log, from);
        let batch = match self.engine().fetch(&stream, PartitionId(0), offset, limits) {
            Err(error) if error.kind() == ErrorKind::InvalidOffset && self.ledger.lock().unwrap().deletes => return,
            read => read.unwrap(),
        };
        assert!(batch.len() <= limits.records, "{} records, asked for {}", batch.len(), limits.records);
        assert!(
            batch.bytes() <= limits.bytes || batch.len() <= 1,
            "{} bytes, asked for {}",
            batch.bytes(),
            limits.bytes
        );
        assert_eq!(batch.is_empty(), limits.records == 0 || offset.0 == log.committed);
        let wanted =
            log.records.iter().filter(|(at, _)| *at >= batch.offsets().first().map_or(0, |o| o.cast_unsigned()));
        for ((at, record), (wanted_at, mark)) in batch.iter().zip(wanted) {
            assert_eq!((at.0, Mark::of(&stream, record.value)), (*wanted_at, Some(*mark)));
        }
    }

    fn seal(&self) {
        if self.options.journal_file_age < Duration::from_secs(1) {
            until("sealing", || {
                let report = self.engine().report();
                let empty = self.engine().stream_reports().iter().all(|stream| stream.ring_bytes == 0);
                self.weakened && report.mode != Mode::Running || report.seal_backlog_files == 0 && empty
            });
        }
    }

    fn check(&self, after: After) {
        let report = self.engine().report();
        assert!(report.damages.is_empty(), "damages without damage: {:?}", report.damages);
        let found = read_all(self.engine()).unwrap();
        self.ledger.lock().unwrap().check(&found, after, self.options.durability);
    }

    /// Returns what is left of the directory after `ending`.
    fn end(&mut self, ending: Ending) -> Faulty {
        match ending {
            Ending::Close => {
                drop(self.engine.take());
                self.storage.kill()
            }
            Ending::ClosePowerLoss => {
                drop(self.engine.take());
                self.storage.crash()
            }
            Ending::Kill | Ending::PowerLoss => {
                // Nothing is acknowledged any more once the machine is gone.
                self.storage.halt();
                let next = if ending == Ending::Kill { self.storage.kill() } else { self.storage.crash() };
                drop(self.engine.take());
                next
            }
        }
    }

    fn restart(&mut self, ending: Ending) {
        // A log that failed before was not closed in order.
        let ending = if self.weakened && ending == Ending::ClosePowerLoss { Ending::PowerLoss } else { ending };
        self.storage = self.end(ending);
        self.open(ending);
    }

    fn open(&mut self, ending: Ending) {
        let engine =
            common::open(&self.storage, &self.options).unwrap_or_else(|error| panic!("does not open: {error}"));
        assert_eq!((engine.report().mode, engine.report().reason), (Mode::Running, String::new()));
        self.engine = Some(engine);
        self.weakened = false;
        self.check(ending.after());
        let found = self.engine().stream_reports().len();
        let made = self.streams as usize + BUILTINS;
        assert!(found >= made, "streams are gone: {found} are there, {made} were made");
    }

    /// Recovery itself is interrupted, again and again, each time after a few more changes.
    fn recover_in_pieces(&mut self, steps: &[(u8, Ending)], ending: Ending) {
        let mut lossy = if self.weakened && ending == Ending::ClosePowerLoss { Ending::PowerLoss } else { ending };
        self.storage = self.end(ending);
        for (changes, ending) in steps {
            self.storage.halt_after(u64::from(*changes));
            drop(common::open(&self.storage, &self.options));
            self.storage.halt();
            self.storage = if ending.after() == After::PowerLoss { self.storage.crash() } else { self.storage.kill() };
            if ending.after() == After::PowerLoss {
                lossy = Ending::PowerLoss;
            }
        }
        self.open(lossy);
    }

    /// Injects one failure, writes until it strikes or not, and sees that a poisoned log refuses and is read, and that
    /// only a failure of the journal, or of the name of a state file, poisons: all others pass.
    fn weaken(&mut self, (weakness, cause): (Weakness, Cause), nth: u8, size: Size) {
        let (operation, path, effect) = match weakness {
            Weakness::JournalWrite(effect) => (Operation::Write, "journal/", effect),
            Weakness::JournalSync(effect) => (Operation::Sync, "journal/", effect),
            Weakness::Spare(operation) => (operation, "journal/unfinished", Effect::Nothing),
            Weakness::Segment(operation) => (operation, "segments/", Effect::Nothing),
            Weakness::State(operation) => (operation, "state", Effect::Nothing),
        };
        self.weakened = true;
        let ran = self.engine().report().mode != Mode::Poisoned;
        let fault =
            self.storage.inject(Fault::nth(operation, u64::from(nth) + 1).on(path).effect(effect).because(cause));
        self.burst(2, 4, size);
        if matches!(weakness, Weakness::Segment(_) | Weakness::State(_)) {
            self.seal();
        }
        self.storage.clear(fault);
        if self.engine().report().mode == Mode::Poisoned {
            assert!(!ran || self.storage.hits(fault) > 0, "poisoned without a fault");
            let unsettled = matches!(weakness, Weakness::State(Operation::SyncDirectory));
            let unknown = unsettled && matches!(cause, Cause::Device | Cause::NoSpace | Cause::Quota);
            // A file keeps the name that it was opened by: commits are written and synced by that of a prepared one.
            let journal = matches!(
                weakness,
                Weakness::JournalWrite(_)
                    | Weakness::JournalSync(_)
                    | Weakness::Spare(Operation::Write | Operation::Sync)
            );
            assert!(
                !ran || journal || unknown,
                "{weakness:?} with {cause:?} poisoned: {}",
                self.engine().report().reason
            );
            let error = self.append(Target::Logs, Size { records: 1, padding: 10 }, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageUnavailable, "{error}");
        } else {
            until("writing again", || self.append(Target::Logs, Size { records: 1, padding: 10 }, false).is_ok());
        }
        self.check(After::Running);
    }

    /// The disk fills up, refuses, and gets room again.
    fn full_disk(&mut self, spare: u32) {
        if self.engine().report().mode == Mode::Poisoned {
            return;
        }
        let used: u64 = self.storage.files().iter().map(|(_, bytes)| bytes).sum();
        self.storage.set_capacity(Some(used + u64::from(spare)));
        self.weakened = true;
        let size = Size { records: 20, padding: 4000 };
        let refused = |error: forebay_core::Error| error.kind() == ErrorKind::StorageUnavailable;
        if self.ledger.lock().unwrap().deletes {
            // Retention may make room again and again.
            let _full = (0..40).any(|_| self.append(Target::Logs, size, true).is_err_and(refused));
        } else {
            until("a full disk", || self.append(Target::Logs, size, true).is_err_and(refused));
        }
        self.check(After::Running);
        if spare.is_multiple_of(2) {
            // Also a start on a full disk.
            self.storage = self.end(if spare.is_multiple_of(4) { Ending::Kill } else { Ending::PowerLoss });
            let engine = common::open(&self.storage, &self.options);
            self.engine = Some(engine.unwrap_or_else(|error| panic!("does not open on a full disk: {error}")));
            self.check(if spare.is_multiple_of(4) { After::Restart } else { After::PowerLoss });
        }
        self.storage.set_capacity(None);
        until("room", || self.append(Target::Logs, Size { records: 1, padding: 10 }, true).is_ok());
        self.check(After::Running);
    }

    pub fn finish(mut self) {
        self.check(After::Running);
        self.restart(Ending::Kill);
        self.restart(Ending::PowerLoss);
        self.restart(Ending::ClosePowerLoss);
    }
}
