//! Random joins, leaves, expiries, commits, crashes and appends: no member ever reads past a record that is not yet
//! committed, so that whatever happens, each record is read by somebody before it counts as done with.
//!
//! `FOREBAY_MODEL_CASES` sets how many cases are run, and `FOREBAY_MODEL_SEED` begins with another one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use forebay_core::consumer::{Consume, LEASE};
use forebay_core::{Engine, ErrorKind};

use crate::common::{self, Random};
use crate::world::*;

const MEMBERS: [&str; 4] = ["a", "b", "c", "d"];
const PARTITIONS: u32 = 5;
const STEPS: usize = 300;
/// The number of cases that continuous integration can afford.
const CASES: u64 = 30;

struct World {
    machine: Machine,
    random: Random,
    now: Instant,
    ends: [u64; PARTITIONS as usize],
    committed: BTreeMap<u32, u64>,
    /// Offsets that somebody has been given, by partition.
    seen: BTreeMap<u32, BTreeSet<u64>>,
    /// Each member's last fetch: its partitions and where to commit.
    hands: BTreeMap<&'static str, BTreeMap<u32, u64>>,
    leases: BTreeMap<&'static str, Instant>,
}

impl World {
    fn new(seed: u64) -> Self {
        let machine = Machine::new(seed);
        machine.engine().create_stream(STREAM, PARTITIONS).unwrap();
        Self {
            machine,
            random: Random::new(seed),
            now: Instant::now(),
            ends: [0; PARTITIONS as usize],
            committed: BTreeMap::new(),
            seen: BTreeMap::new(),
            hands: BTreeMap::new(),
            leases: BTreeMap::new(),
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random.below(limit)
    }

    fn engine(&self) -> &Engine {
        self.machine.engine()
    }

    fn step(&mut self) {
        let member = MEMBERS[self.below(MEMBERS.len() as u64) as usize];
        match self.below(20) {
            0..=3 => {
                let (partition, count) = (self.below(PARTITIONS.into()), 1 + self.below(20));
                append(self.engine(), partition as u32, count);
                self.ends[partition as usize] += count;
            }
            4..=10 => self.consume(member),
            11..=15 => self.commit(member),
            16 => self.leave(member),
            17 | 18 => {
                let seconds = self.below(LEASE.as_secs() + 5);
                self.now += Duration::from_secs(seconds);
            }
            _ => self.restart(),
        }
    }

    fn consume(&mut self, member: &'static str) {
        let limit = 1 + self.below(30) as usize;
        let request = Consume { member: Some(member), limit, ..plain(self.now) };
        let fetched = self.engine().groups().consume(&request).unwrap();
        self.leases.retain(|_, until| *until > self.now);
        self.leases.insert(member, self.now + LEASE);
        let mine: BTreeSet<u32> = partitions(&fetched).into_iter().collect();
        let share = PARTITIONS as usize / self.leases.len();
        assert!(mine.len() == share || mine.len() == share + 1, "{member} has {mine:?} of {:?}", self.leases);
        for (other, hand) in &mut self.hands {
            if *other != member {
                hand.retain(|partition, _| !mine.contains(partition));
            }
        }
        let mut expected: BTreeMap<u32, u64> =
            mine.iter().map(|partition| (*partition, self.committed.get(partition).copied().unwrap_or(0))).collect();
        for (partition, offset) in places(&fetched) {
            let next = expected.get_mut(&partition).unwrap();
            assert_eq!(offset, *next, "{member} was given {offset} of partition {partition}, not {next}");
            *next += 1;
            self.seen.entry(partition).or_default().insert(offset);
        }
        let left: u64 = mine.iter().map(|partition| self.ends[*partition as usize] - expected[partition]).sum();
        assert!(left == 0 || fetched.count() == limit, "{left} are left, though only {} were given", fetched.count());
        self.hands.insert(member, expected);
    }

    fn commit(&mut self, member: &'static str) {
        let Some(hand) = self.hands.get(member).cloned().filter(|hand| !hand.is_empty()) else { return };
        let live = self.leases.get(member).is_some_and(|until| *until > self.now);
        let stale = hand.iter().any(|(partition, offset)| self.committed.get(partition) > Some(offset));
        let offsets: Vec<_> = hand.into_iter().collect();
        let outcome = commit_as(self.engine(), &offsets, Some(member), false, self.now);
        match outcome {
            Ok(()) => {
                assert!(live, "{member} committed without a lease");
                self.committed.extend(offsets.iter().copied());
                self.leases.insert(member, self.now + LEASE);
            }
            // A partition may have gone to a member that joined: then the hand is out of date.
            Err(error) if error.kind() == ErrorKind::FencedMember => drop(self.hands.remove(member)),
            Err(error) => assert!(stale, "{error}"),
        }
        self.check_nothing_skipped();
    }

    fn leave(&mut self, member: &'static str) {
        let outcome = self.engine().groups().leave(GROUP, member);
        if outcome.is_ok() {
            self.leases.remove(member);
        }
        self.hands.remove(member);
    }

    fn restart(&mut self) {
        let crash = self.below(2) == 0;
        let seed = self.below(u64::MAX);
        self.machine.restart(crash.then_some(seed));
        self.leases.clear();
        self.hands.clear();
        if self.committed.is_empty() {
            return;
        }
        let found: BTreeMap<u32, u64> = committed(self.engine()).into_iter().collect();
        assert_eq!(found, self.committed, "committed offsets survive");
    }

    fn check_nothing_skipped(&self) {
        for (partition, offset) in &self.committed {
            let seen = self.seen.get(partition).map_or(0, |seen| seen.range(..offset).count() as u64);
            assert_eq!(seen, *offset, "partition {partition}: a record before {offset} was given to nobody");
        }
    }
}

#[test]
fn nothing_is_skipped() {
    for seed in common::model_seeds(CASES) {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
    }
}
