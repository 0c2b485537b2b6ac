use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forebay_core::window::{
    Closing, EventTime, GivenUpTo, Sample, StateChange, StatePlace, WatermarkOptions, Watermarks, WindowResult,
    Windows, group_key,
};

use crate::case::{Case, at, plan};
use crate::reference::{Row, reference};

/// Chunks as a table keeps them: by place and number.
type Table = BTreeMap<([u8; 16], u32), Vec<u8>>;

/// (end, key, start) and the text of a result.
type Text = (i64, String, i64, String);

/// What a run does beside reading and closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Plain,
    /// Gives early results behind each batch.
    Updates,
    /// Does what the case says: crashes, commits, early results.
    Crashes,
}

/// All that was given.
#[derive(Clone, Default)]
struct Given {
    /// By shard.
    results: Vec<Vec<Text>>,
    /// The records of finished windows, by (end, start).
    finished: BTreeMap<(i64, i64), u64>,
    /// The last early result of each (end, key, start).
    updates: BTreeMap<(i64, String, i64), String>,
}

/// Everything that a commit holds.
#[derive(Clone, Default)]
struct Stored {
    /// By shard.
    chunks: Vec<Table>,
    given_up_to: Vec<Vec<u8>>,
    marks: Vec<u8>,
    read: Vec<usize>,
    given: Given,
}

/// A processor's windows, of which nothing outlives a crash but what was stored.
struct Run<'a> {
    case: &'a Case,
    mode: Mode,
    shards: Vec<Windows>,
    marks: Watermarks,
    read: Vec<usize>,
    given: Given,
    stored: Stored,
}

impl<'a> Run<'a> {
    fn new(case: &'a Case, shards: usize, mode: Mode) -> Self {
        let idle_timeout = Duration::from_secs(3600);
        let options =
            WatermarkOptions { allowed_lateness: case.lateness, max_future: None, drop_future: None, idle_timeout };
        let mut windows = Windows::new(case.spec, plan());
        windows.give_updates(mode != Mode::Plain);
        case.missing.iter().for_each(|(from, to)| windows.mark_incomplete(at(*from), at(*to)));
        let given = Given { results: vec![Vec::new(); shards], ..Given::default() };
        let mut run = Self {
            case,
            mode,
            shards: vec![windows; shards],
            marks: Watermarks::new(case.partitions.len(), options, Duration::ZERO),
            read: vec![0; case.partitions.len()],
            given,
            stored: Stored {
                chunks: vec![Table::new(); shards],
                given_up_to: vec![Vec::new(); shards],
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
        stored.given_up_to.iter_mut().zip(&self.shards).for_each(|(given, windows)| {
            given.clear();
            windows.given().write(given);
        });
        stored.marks.clear();
        self.marks.write(&mut stored.marks);
        stored.read.clone_from(&self.read);
        stored.given.clone_from(&self.given);
    }

    fn crash(&mut self) {
        let stored = std::mem::take(&mut self.stored);
        let bare = Case { missing: Vec::new(), ..self.case.clone() };
        self.shards = Run::new(&bare, self.shards.len(), self.mode).shards;
        for ((windows, chunks), given) in self.shards.iter_mut().zip(&stored.chunks).zip(&stored.given_up_to) {
            let chunks =
                chunks.iter().map(|((place, number), chunk)| (StatePlace::from_bytes(*place).unwrap(), *number, chunk));
            windows.restore(chunks, GivenUpTo::read(given).unwrap()).unwrap();
        }
        self.marks = Run::new(self.case, 1, self.mode).marks;
        self.marks.restore(&stored.marks).unwrap();
        self.read.clone_from(&stored.read);
        self.given.clone_from(&stored.given);
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
        let (mut more, finished) = (false, &mut self.given.finished);
        for (windows, results) in self.shards.iter_mut().zip(&mut self.given.results) {
            let give = |result: WindowResult<'_>| {
                assert!(result.is_final);
                results.push(text_of(&result));
            };
            let closing = windows.close(watermark, self.case.at_most, give, |count| {
                *finished.entry((count.end.millis(), count.start.millis())).or_default() += count.events;
            });
            more |= closing == Closing::More;
        }
        more
    }

    /// Gives at most so many early results of each shard; true when there may be more.
    fn update(&mut self, at_most: usize) -> bool {
        let (mut more, is_exact) = (false, self.mode == Mode::Updates);
        for (windows, results) in self.shards.iter_mut().zip(&self.given.results) {
            let finals: BTreeSet<_> = results.iter().map(|(end, key, start, _)| (*end, key.clone(), *start)).collect();
            let mut last = None;
            let closing = windows.updates(at_most, |result| {
                let (end, key, start, text) = text_of(&result);
                assert!(text.ends_with(r#","final":false}"#));
                assert!(last.as_ref().is_none_or(|last| *last < (end, key.clone(), start)), "order");
                last = Some((end, key.clone(), start));
                let place = (end, key, start);
                assert!(!finals.contains(&place), "{place:?} is closed");
                let before = self.given.updates.insert(place, text.clone());
                assert!(!is_exact || before.as_ref() != Some(&text), "{text} has not changed");
            });
            more |= closing == Closing::More;
        }
        more
    }

    /// Closes what is due, gives all early results, and looks whether the last of them is what the records that were read
    /// make, for every window that is open.
    fn check(&mut self) {
        while self.close_due() {}
        while self.update(if self.mode == Mode::Updates { usize::MAX } else { self.case.at_most }) {}
        let results = self.given.results.iter().flatten();
        let finals: BTreeSet<_> = results.map(|(end, key, start, _)| (*end, key.clone(), *start)).collect();
        for (end, key, start, count) in self.check_counts() {
            let place = (end, key, start);
            if !finals.contains(&place) {
                let update = self.given.updates.get(&place);
                assert_eq!(update.map(|text| count_of(text)), Some(count), "the early result of {place:?}");
            }
        }
    }

    /// Looks whether the counts of the windows, open or finished, are those that the records that were read make.
    fn check_counts(&self) -> Vec<Row> {
        let read = self.case.partitions.iter().zip(&self.read).map(|(events, read)| events[..*read].to_vec());
        let rows = reference(&Case { partitions: read.collect(), ..self.case.clone() });
        let (mut wanted, mut found) = (BTreeMap::<_, u64>::new(), self.given.finished.clone());
        for (end, _, start, count) in &rows {
            *wanted.entry((*end, *start)).or_default() += count;
        }
        for windows in &self.shards {
            let recent = windows.recent(usize::MAX);
            assert!(recent.is_sorted_by(|one, next| one.end >= next.end), "{recent:?}");
            assert_eq!(windows.recent(2), recent[..recent.len().min(2)]);
            for count in recent {
                *found.entry((count.end.millis(), count.start.millis())).or_default() += count.events;
            }
        }
        assert_eq!(found, wanted);
        rows
    }
}

fn text_of(result: &WindowResult<'_>) -> Text {
    let mut text = Vec::new();
    result.write(true, &mut text);
    let key = String::from_utf8(result.key.to_vec()).unwrap();
    (result.end.millis(), key, result.start.millis(), String::from_utf8(text).unwrap())
}

/// Returns the count that a result says.
pub fn count_of(text: &str) -> u64 {
    text.split_once("\"count\":").unwrap().1.split(',').next().unwrap().parse().unwrap()
}

/// Reads the partitions in turns as the case says, and closes what is due behind each batch. With crashes, commits after
/// some of the steps, and breaks off after others.
pub fn run(case: &Case, shards: usize, batch: usize, mode: Mode) -> Vec<Text> {
    let mut run = Run::new(case, shards, mode);
    let mut turns = case.turns.iter().cycle();
    // A crash takes back what was read since the commit; at some time there are no more of them.
    let mut faults = case.faults.iter().filter(|_| mode == Mode::Crashes);
    let mut fault = |run: &mut Run<'_>| match faults.next() {
        Some(0) => run.crash(),
        Some(1 | 2) => run.commit(),
        Some(3) => drop(run.update(case.at_most)),
        Some(4) => run.check(),
        _ => {}
    };
    for number in 1.. {
        if !run.step(*turns.next().unwrap()) {
            break;
        }
        if number % batch == 0 {
            while run.close_due() {
                if mode == Mode::Updates {
                    run.check_counts();
                }
                fault(&mut run);
            }
            if mode == Mode::Updates {
                run.check();
            }
        }
        fault(&mut run);
    }
    while run.close(at(1_000_000)) {
        run.commit();
        if mode == Mode::Crashes {
            run.crash();
        }
    }
    run.commit();
    for ((windows, results), chunks) in run.shards.iter().zip(&run.given.results).zip(&run.stored.chunks) {
        assert_eq!(windows.newest_end(), None, "a window is left");
        let order: Vec<_> = results.iter().map(|(end, key, ..)| (*end, key.clone())).collect();
        assert!(order.is_sorted(), "{order:?}");
        assert!(chunks.is_empty(), "the rows of a window are left");
    }
    let mut all = run.given.results.concat();
    all.sort();
    all
}
