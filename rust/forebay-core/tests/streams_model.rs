//! Streams against a model: created, filled, deleted, sealed, while the process dies and the power fails at random
//! moments. `FOREBAY_STREAMS_CASES` runs more, `FOREBAY_STREAMS_SEED` others.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{Mark, Random, open, read_partition, records, sealing_soon, small, until};
use forebay_core::storage::Storage;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{ANALYTICS, EVENTS, Engine, ErrorKind, LOGS, Options};

const CASES: u64 = 60;
const STEPS: u32 = 40;
const NAMES: u32 = 4;

/// The expected state: records of each stream; the identity of each.
#[derive(Default)]
struct Model {
    streams: BTreeMap<String, (u32, u64)>,
    newest_id: u32,
    /// An operation that the crash may have cut off: the stream may be as this says instead, or be gone.
    doubt: Option<(String, Option<u64>)>,
}

struct World {
    storage: Faulty,
    options: Options,
    engine: Option<Engine>,
    model: Model,
    random: Random,
    batch: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let options = if seed.is_multiple_of(2) { small() } else { sealing_soon() };
        let storage = Faulty::new(seed);
        let engine = Some(open(&storage, &options).unwrap());
        let random = Random::new(seed);
        Self { storage, options, engine, model: Model { newest_id: 1, ..Model::default() }, random, batch: 0 }
    }

    fn draw(&mut self, below: u32) -> u32 {
        u32::try_from(self.random.below(u64::from(below))).unwrap()
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn step(&mut self) {
        let name = format!("s{}", self.draw(NAMES));
        match self.draw(12) {
            0..=1 => self.create(&name),
            2..=7 => self.append(&name),
            8..=9 => self.delete(&name),
            10 => until("sealing", || self.engine().report().seal_backlog_files == 0),
            _ => self.restart(),
        }
    }

    /// Reads the outcome of an operation; an engine that was halted meanwhile leaves it open.
    fn settle<T>(&mut self, outcome: forebay_core::Result<T>, name: &str, then: Option<u64>) -> bool {
        match outcome {
            Ok(_) => true,
            Err(error) => {
                let expected = [ErrorKind::StorageUnavailable, ErrorKind::Saturated];
                assert!(expected.contains(&error.kind()), "{error}");
                if error.kind() == ErrorKind::StorageUnavailable {
                    self.model.doubt = self.model.doubt.take().or_else(|| Some((name.to_owned(), then)));
                }
                false
            }
        }
    }

    fn create(&mut self, name: &str) {
        if self.model.doubt.is_some() {
            return;
        }
        let partitions = 1 + self.draw(3);
        let created = self.engine().create_stream(name, partitions);
        if self.model.streams.contains_key(name) {
            assert_eq!(created.unwrap_err().kind(), ErrorKind::StreamAlreadyExists);
        } else if let Ok(stream) = &created {
            assert!(stream.id().0 > self.model.newest_id, "identity {} is given again", stream.id());
            self.model.newest_id = stream.id().0;
            self.model.streams.insert(name.to_owned(), (stream.id().0, 0));
        } else {
            self.settle(created, name, Some(0));
        }
    }

    fn append(&mut self, name: &str) {
        if self.model.doubt.is_some() {
            return;
        }
        self.batch += 1;
        let (count, padding) = (1 + self.draw(20), self.draw(2500));
        let batch = records(name, &Mark::batch(self.batch, count, padding), true);
        let appended = self.engine().append(name, &batch, None);
        let Some((id, before)) = self.model.streams.get(name).copied() else {
            assert_eq!(appended.unwrap_err().kind(), ErrorKind::StreamNotFound);
            return;
        };
        let after = before + u64::from(count);
        if self.settle(appended, name, Some(after)) {
            self.model.streams.insert(name.to_owned(), (id, after));
        }
    }

    fn delete(&mut self, name: &str) {
        if self.model.doubt.is_some() {
            return;
        }
        let deleted = self.engine().delete_stream(name);
        if !self.model.streams.contains_key(name) {
            assert_eq!(deleted.unwrap_err().kind(), ErrorKind::StreamNotFound);
        } else if self.settle(deleted, name, None) {
            self.model.streams.remove(name);
        }
    }

    /// Ends the process or the machine, sometimes in the middle of what comes before; recovery may be cut short, too.
    fn restart(&mut self) {
        if self.draw(3) == 0 {
            let operations = u64::from(self.draw(30));
            self.storage.halt_after(operations);
            for _ in 0..4 {
                let name = format!("s{}", self.draw(NAMES));
                match self.draw(3) {
                    0 => self.create(&name),
                    1 => self.append(&name),
                    _ => self.delete(&name),
                }
            }
        }
        self.storage.halt();
        let mut next = if self.draw(2) == 0 { self.storage.crash() } else { self.storage.kill() };
        drop(self.engine.take());
        for _ in 0..self.draw(3) {
            next.halt_after(u64::from(self.draw(40)));
            drop(open(&next, &self.options));
            next.halt();
            next = next.crash_seeded(u64::from(self.draw(u32::MAX)));
        }
        self.storage = next;
        self.engine = Some(open(&self.storage, &self.options).unwrap());
        self.check();
    }

    fn check(&mut self) {
        assert_eq!(self.engine().report().damages, []);
        let mut found = BTreeMap::new();
        let builtin = |name: &str| [LOGS, EVENTS, ANALYTICS].contains(&name);
        for report in self.engine().stream_reports().into_iter().filter(|report| !builtin(&report.name)) {
            let partitions = u32::try_from(report.partitions.len()).unwrap();
            let read = |partition| {
                let log = read_partition(self.engine(), &report.name, partition).unwrap();
                common::assert_dense(&(report.name.clone(), partition), &log);
                log.records.len() as u64
            };
            found.insert(report.name.clone(), (report.id, (0..partitions).map(read).sum::<u64>()));
        }
        if let Some((name, then)) = self.model.doubt.take() {
            let is = found.get(&name).copied();
            let was = self.model.streams.get(&name).copied();
            assert!(is == was || is.map(|(_, count)| count) == then, "{name} is {is:?}, was {was:?}, or {then:?}");
            match is {
                Some(is) => drop(self.model.streams.insert(name, is)),
                None => drop(self.model.streams.remove(&name)),
            }
        }
        assert_eq!(found, self.model.streams);
        self.model.newest_id = found.values().map(|(id, _)| *id).max().unwrap_or(0).max(self.model.newest_id);
    }
}

#[test]
fn streams_come_and_go_as_the_model_says() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("FOREBAY_STREAMS_SEED").unwrap_or(1);
    for seed in first..first + number("FOREBAY_STREAMS_CASES").unwrap_or(CASES) {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.restart();
        drop(world.engine.take());
        let storage: Arc<dyn Storage> = Arc::new(world.storage.clone());
        let report = forebay_core::verify(&storage).unwrap();
        assert!(report.findings.is_empty(), "seed {seed}: {:?}", report.findings);
        println!("seed {seed}: sound");
    }
}
