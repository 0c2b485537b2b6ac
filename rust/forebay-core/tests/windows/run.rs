use std::collections::BTreeMap;
use std::time::Duration;

use forebay_core::window::{
    Closing, EventTime, GivenUpTo, Sample, StateChange, StatePlace, WatermarkOptions, Watermarks, Windows, group_key,
};

use crate::case::{Case, at, plan};

/// The rows of one shard: by place and number, as a table keeps them.
type Chunks = BTreeMap<([u8; 16], u32), Vec<u8>>;

/// Everything that a commit holds.
#[derive(Clone, Default)]
struct Stored {
    /// By shard.
    chunks: Vec<Chunks>,
    given: Vec<Vec<u8>>,
    marks: Vec<u8>,
    read: Vec<usize>,
    results: Vec<Vec<(i64, String, i64, String)>>,
}

/// A processor's windows, of which nothing outlives a crash but what was stored.
struct Run<'a> {
    case: &'a Case,
    shards: Vec<Windows>,
    marks: Watermarks,
    read: Vec<usize>,
    /// (end, key) and the text of each result, by shard.
    results: Vec<Vec<(i64, String, i64, String)>>,
    stored: Stored,
}

impl<'a> Run<'a> {
    fn new(case: &'a Case, shards: usize) -> Self {
        let idle_timeout = Duration::from_secs(3600);
        let options = WatermarkOptions { allowed_lateness: case.lateness, max_future: None, idle_timeout };
        let read = vec![0; case.partitions.len()];
        let mut run = Self {
            case,
            shards: vec![Windows::new(case.spec, plan()); shards],
            marks: Watermarks::new(case.partitions.len(), options, Duration::ZERO),
            read,
            results: vec![Vec::new(); shards],
            stored: Stored {
                chunks: vec![BTreeMap::new(); shards],
                given: vec![Vec::new(); shards],
                ..Stored::default()
            },
        };
        run.commit();
        run
    }

    fn commit(&mut self) {
        let stored = &mut self.stored;
        for (windows, chunks) in self.shards.iter_mut().zip(&mut stored.chunks) {
            windows.changes(|change| match change {
                StateChange::Put { place, number, chunk } => {
                    assert!(chunks.insert((place.to_bytes(), number), chunk).is_none(), "numbers go up");
                }
                StateChange::Remove { place, number } => {
                    assert!(chunks.remove(&(place.to_bytes(), number)).is_some(), "it was never written");
                }
            });
        }
        stored.given.iter_mut().zip(&self.shards).for_each(|(given, windows)| {
            given.clear();
            windows.given().write(given);
        });
        stored.marks.clear();
        self.marks.write(&mut stored.marks);
        stored.read.clone_from(&self.read);
        stored.results.clone_from(&self.results);
    }

    fn crash(&mut self) {
        let stored = std::mem::take(&mut self.stored);
        *self = Self::new(self.case, self.shards.len());
        for ((windows, chunks), given) in self.shards.iter_mut().zip(&stored.chunks).zip(&stored.given) {
            let chunks =
                chunks.iter().map(|((place, number), chunk)| (StatePlace::from_bytes(*place).unwrap(), *number, chunk));
            windows.restore(chunks, GivenUpTo::read(given).unwrap()).unwrap();
        }
        self.marks.restore(&stored.marks).unwrap();
        self.read.clone_from(&stored.read);
        self.results.clone_from(&stored.results);
        self.stored = stored;
    }

    /// Adds the next record of a partition that has one; false when none has.
    fn step(&mut self, turn: usize) -> bool {
        let open: Vec<usize> =
            (0..self.read.len()).filter(|index| self.read[*index] < self.case.partitions[*index].len()).collect();
        if open.is_empty() {
            return false;
        }
        let partition = open[turn % open.len()];
        let event = &self.case.partitions[partition][self.read[partition]];
        let time = at(event.time);
        if let Some(admission) = self.case.spec.admit(time, self.marks.judge(partition, Duration::ZERO)) {
            let (mut key, value) = (Vec::new(), event.value.to_string());
            group_key(&[Some(event.key.to_string().as_bytes())], &mut key).unwrap();
            let (partition, offset) = (partition as u32, self.read[partition] as u64);
            let sample = Sample { time, partition, offset, values: &[Some(value.as_bytes())] };
            let shard = usize::from(event.key) % self.shards.len();
            self.shards[shard].add(admission, &key, &sample);
        }
        self.marks.observe(partition, time, at(0));
        self.read[partition] += 1;
        true
    }

    fn close_due(&mut self) -> bool {
        let watermark = self.marks.global();
        self.close(watermark)
    }

    /// Gives at most so many results of each shard; true when there are more.
    fn close(&mut self, watermark: EventTime) -> bool {
        let mut more = false;
        for (windows, results) in self.shards.iter_mut().zip(&mut self.results) {
            let closing = windows.close(watermark, self.case.at_most, |result| {
                let mut text = Vec::new();
                result.write(&mut text);
                let key = String::from_utf8(result.key.to_vec()).unwrap();
                results.push((result.end.millis(), key, result.start.millis(), String::from_utf8(text).unwrap()));
            });
            more |= closing == Closing::More;
        }
        more
    }
}

/// Reads the partitions in turns as the case says, and closes what is due behind each batch. With `crashes`, commits
/// after some of the steps, and breaks off after others.
pub fn run(case: &Case, shards: usize, batch: usize, crashes: bool) -> Vec<(i64, String, i64, String)> {
    let mut run = Run::new(case, shards);
    let mut turns = case.turns.iter().cycle();
    // A crash takes back what was read since the commit; at some time there are no more of them.
    let mut faults = case.faults.iter().filter(|_| crashes);
    let mut fault = |run: &mut Run<'_>| match faults.next() {
        Some(0) => run.crash(),
        Some(1 | 2) => run.commit(),
        _ => {}
    };
    for number in 1.. {
        if !run.step(*turns.next().unwrap()) {
            break;
        }
        if number % batch == 0 {
            while run.close_due() {
                fault(&mut run);
            }
        }
        fault(&mut run);
    }
    while run.close(at(1_000_000)) {
        run.commit();
        if crashes {
            run.crash();
        }
    }
    run.commit();
    for ((windows, results), chunks) in run.shards.iter().zip(&run.results).zip(&run.stored.chunks) {
        assert_eq!(windows.newest_end(), None, "a window is left");
        let order: Vec<_> = results.iter().map(|(end, key, ..)| (*end, key.clone())).collect();
        assert!(order.is_sorted(), "{order:?}");
        assert!(chunks.is_empty(), "the rows of a window are left");
    }
    let mut all = run.results.concat();
    all.sort();
    all
}
