//! Threads that append, consume, commit and leave at once, over read faults, retention, deletions of the group, restarts,
//! and crashes in the middle of any call: what the group has committed was given to somebody, and what was acknowledged
//! stays.
//!
//! `FOREBAY_MODEL_CASES` sets how many cases are run, and `FOREBAY_MODEL_SEED` begins with another one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use forebay_core::consumer::{Consume, Fetched, LEASE, OnReset, StartAt};
use forebay_core::storage::faulty::{Fault, Operation};
use forebay_core::{Engine, Error, ErrorKind, Filter, NewRecord, PartitionId, StreamChange};

use crate::common::{self, Random};
use crate::world::*;

const MEMBERS: [&str; 3] = ["a", "b", "c"];
const PARTITIONS: u32 = 3;
const ROUNDS: usize = 14;
/// Calls of one thread in one round.
const CALLS: usize = 10;
/// The number of cases that continuous integration can afford.
const CASES: u64 = 12;

/// The knowledge that the threads share.
#[derive(Default)]
struct Known {
    /// Offsets that somebody has been given, by partition.
    seen: BTreeMap<u32, BTreeSet<u64>>,
    /// Offsets of acknowledged commits, since the group was last deleted.
    acknowledged: BTreeMap<u32, u64>,
    /// Calls that commit by themselves and had no answer when the storage came to a halt.
    in_doubt: bool,
}

/// The things that all threads of a round share.
struct Round<'w> {
    engine: &'w Engine,
    now: Instant,
    /// True if the storage comes to a halt on the way.
    crashes: bool,
    known: &'w Mutex<Known>,
    appending: &'w Mutex<()>,
    filter: &'w Filter,
}

impl Round<'_> {
    fn act(&self, member: &'static str, seed: u64) {
        let mut random = Random::new(seed);
        let mut hand = BTreeMap::new();
        for _ in 0..CALLS {
            match random.below(10) {
                0 | 1 => self.append(&mut random),
                2..=6 => self.consume(member, &mut hand, &mut random),
                7 | 8 => self.commit(member, &hand),
                _ => {
                    let _either = self.engine.groups().leave(GROUP, member);
                    hand.clear();
                }
            }
        }
    }

    fn append(&self, random: &mut Random) {
        // Values are offsets, so one at a time.
        let _alone = self.appending.lock().unwrap();
        let partition = random.below(PARTITIONS.into()) as u32;
        let from = bounds(self.engine, partition).1;
        let record = |number: u64| NewRecord {
            key: None,
            value: number.to_string().into_bytes(),
            headers: format!(r#"{{"padding":"{}"}}"#, "x".repeat(400)).into_bytes(),
            timestamp: None,
        };
        let records: Vec<_> = (from..=from + random.below(20)).map(record).collect();
        if let Err(error) = self.engine.append(STREAM, &records, Some(PartitionId(partition))) {
            self.allow(&error, &[ErrorKind::Saturated]);
        }
    }

    fn consume(&self, member: &'static str, hand: &mut BTreeMap<u32, u64>, random: &mut Random) {
        let auto_commit = random.one_in(3);
        let call = Consume {
            member: Some(member),
            limit: 1 + random.below(40) as usize,
            auto_commit,
            filter: random.one_in(4).then_some(self.filter),
            start_at: if random.one_in(8) { StartAt::Earliest } else { StartAt::Committed },
            on_reset: if random.one_in(2) { OnReset::Earliest } else { OnReset::Error },
            ..plain(self.now)
        };
        match self.engine.groups().consume(&call) {
            Ok(fetched) => self.take(&fetched, auto_commit, hand),
            Err(error) => {
                if auto_commit && self.crashes {
                    self.known.lock().unwrap().in_doubt = true;
                }
                self.allow(&error, &[ErrorKind::StorageUnavailable, ErrorKind::InvalidOffset, ErrorKind::FencedMember]);
            }
        }
    }

    fn take(&self, fetched: &Fetched, auto_commit: bool, hand: &mut BTreeMap<u32, u64>) {
        assert_eq!(fetched.gaps, [], "nothing is damaged");
        let mut known = self.known.lock().unwrap();
        for (partition, offset) in places(fetched) {
            known.seen.entry(partition).or_default().insert(offset);
        }
        *hand = fetched.reached.iter().map(|reached| (reached.partition.0, reached.next.0)).collect();
        // On the way to a halt it may have counted on a commit that was under way and failed.
        if auto_commit && !self.crashes {
            for (partition, next) in &*hand {
                known.acknowledge(*partition, *next, fetched);
            }
        }
    }

    fn commit(&self, member: &'static str, hand: &BTreeMap<u32, u64>) {
        if hand.is_empty() {
            return;
        }
        let offsets: Vec<_> = hand.iter().map(|(partition, offset)| (*partition, *offset)).collect();
        match commit_as(self.engine, &offsets, Some(member), false, self.now) {
            Ok(()) => {
                let mut known = self.known.lock().unwrap();
                for (partition, offset) in &offsets {
                    known.raise(*partition, *offset);
                }
            }
            Err(error) => {
                self.allow(&error, &[ErrorKind::FencedMember, ErrorKind::InvalidOffset]);
            }
        }
    }

    fn allow(&self, error: &Error, kinds: &[ErrorKind]) {
        let halted = [ErrorKind::StorageUnavailable, ErrorKind::Closed, ErrorKind::Internal, ErrorKind::Saturated];
        assert!(kinds.contains(&error.kind()) || self.crashes && halted.contains(&error.kind()), "{error}");
    }
}

impl Known {
    fn raise(&mut self, partition: u32, offset: u64) {
        let acknowledged = self.acknowledged.entry(partition).or_default();
        *acknowledged = offset.max(*acknowledged);
    }

    /// An answer that commits by itself: it has what it gave, and nothing for who began elsewhere and got nothing.
    fn acknowledge(&mut self, partition: u32, next: u64, fetched: &Fetched) {
        if fetched.batches.iter().any(|batch| batch.partition().0 == partition && !batch.is_empty()) {
            self.raise(partition, next);
        }
    }
}

/// Start and end of a partition.
fn bounds(engine: &Engine, partition: u32) -> (u64, u64) {
    let reports = engine.stream_reports();
    let report = reports.iter().find(|report| report.name == STREAM).unwrap();
    let (_, start, end) = report.partitions[partition as usize];
    (start.0, end.0)
}

struct World {
    machine: Machine,
    random: Random,
    now: Instant,
    known: Mutex<Known>,
    filter: Filter,
}

impl World {
    fn new(seed: u64) -> Self {
        let machine = Machine::new(seed);
        let engine = machine.engine();
        let mut random = Random::new(seed);
        let retention_bytes = if random.one_in(2) { Some(8 << 10) } else { None };
        let change = StreamChange { retention_bytes, ..StreamChange::default() };
        engine.create_stream_with(STREAM, PARTITIONS, change).unwrap();
        engine.groups().consume(&plain(Instant::now())).unwrap();
        let filter = Filter::new("offset % 3 != 1 || value == offset").unwrap();
        Self { machine, random, now: Instant::now(), known: Mutex::default(), filter }
    }

    fn engine(&self) -> &Engine {
        self.machine.engine()
    }

    fn round(&mut self) {
        if self.random.one_in(3) {
            common::wait_sealed(self.engine());
        }
        let reads = self.random.one_in(2).then(|| {
            let operation = if self.random.one_in(4) { Operation::Open } else { Operation::Read };
            let fault = Fault::nth(operation, 1 + self.random.below(6)).on("segments/").times(1 + self.random.below(4));
            self.machine.storage.inject(fault)
        });
        let crashes = self.random.one_in(3);
        if crashes {
            self.machine.storage.halt_after(self.random.below(60));
        }
        let appending = Mutex::new(());
        let round = Round {
            engine: self.machine.engine(),
            now: self.now,
            crashes,
            known: &self.known,
            appending: &appending,
            filter: &self.filter,
        };
        let seeds: Vec<_> = MEMBERS.iter().map(|member| (*member, self.random.below(u64::MAX))).collect();
        std::thread::scope(|scope| {
            let act = |(member, seed)| {
                scope.spawn({
                    let round = &round;
                    move || round.act(member, seed)
                })
            };
            let threads: Vec<_> = seeds.into_iter().map(act).collect();
            for thread in threads {
                thread.join().unwrap();
            }
        });
        if let Some(fault) = reads {
            self.machine.storage.clear(fault);
        }
        if crashes || self.random.one_in(4) {
            self.restart(crashes);
        }
        self.check();
        if self.random.one_in(8) {
            self.delete();
        }
        self.now += Duration::from_secs(self.random.below(LEASE.as_secs() + 5));
    }

    fn restart(&mut self, crashes: bool) {
        let seed = self.random.below(u64::MAX);
        self.machine.restart(crashes.then_some(seed));
    }

    /// Deletes the group, and perhaps the deletion is interrupted: then it begins anew in some partitions.
    fn delete(&mut self) {
        let crashes = self.random.one_in(2);
        if crashes {
            self.machine.storage.halt_after(self.random.below(4));
        }
        let deleted = self.engine().groups().delete(GROUP);
        assert!(deleted.is_ok() || crashes, "{deleted:?}");
        *self.known.lock().unwrap() = Known::default();
        if crashes {
            self.restart(true);
            let left = self.committed();
            let mut known = self.known.lock().unwrap();
            for (partition, offset) in left {
                known.seen.entry(partition).or_default().extend(0..offset);
            }
        }
        let anew = Consume { on_reset: OnReset::Earliest, ..plain(self.now + 2 * LEASE) };
        common::until("a new beginning", || self.engine().groups().consume(&anew).is_ok());
        self.now += 2 * LEASE;
    }

    fn committed(&self) -> BTreeMap<u32, u64> {
        let report = self.engine().groups().report(GROUP, self.now);
        let rows = report.map(|report| report.offsets).unwrap_or_default();
        rows.iter().map(|row| (row.partition.0, row.offset.0)).collect()
    }

    fn check(&mut self) {
        let committed = self.committed();
        let mut known = self.known.lock().unwrap();
        let in_doubt = std::mem::take(&mut known.in_doubt);
        for (partition, acknowledged) in &known.acknowledged {
            let found = committed.get(partition).copied().unwrap_or(0);
            assert!(
                found >= *acknowledged,
                "partition {partition}: {acknowledged} was acknowledged, {found} is committed"
            );
        }
        for (partition, offset) in committed {
            let (start, end) = bounds(self.engine(), partition);
            assert!(offset <= end, "partition {partition}: {offset} is committed beyond the end {end}");
            let seen = known.seen.entry(partition).or_default();
            if in_doubt {
                // The commit was stored, and the answer never came: that is what at most once means.
                seen.extend(0..offset);
            }
            let skipped: Vec<_> = (start..offset).filter(|at| !seen.contains(at)).take(5).collect();
            assert!(skipped.is_empty(), "partition {partition}: {skipped:?} before {offset} were given to nobody");
        }
    }
}

#[test]
fn what_is_committed_was_given() {
    for seed in common::model_seeds(CASES) {
        let mut world = World::new(seed);
        for _ in 0..ROUNDS {
            world.round();
        }
    }
}
