//! Windows against a reference that knows all records at once: whatever the interleaving of the partitions, the batches
//! and the number of shards, the results are the same, byte for byte, and in order.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use forebay_core::window::{
    Aggregate, Aggregates, Aggregation, Closing, EventTime, GivenUpTo, Sample, StateChange, StatePlace,
    WatermarkOptions, Watermarks, WindowSpec, Windows, group_key,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Event {
    time: i64,
    key: u8,
    value: i16,
}

/// The records of each partition, in their order, and in which order the partitions are read.
#[derive(Clone, Debug)]
struct Case {
    spec: WindowSpec,
    lateness: i64,
    partitions: Vec<Vec<Event>>,
    turns: Vec<usize>,
    /// After how many records windows are closed.
    batch: usize,
    /// The most results of a call.
    at_most: usize,
    shards: usize,
    /// After each step: 0 is a crash, 1 and 2 are commits.
    faults: Vec<u8>,
}

fn at(millis: i64) -> EventTime {
    EventTime::new(millis).unwrap()
}

fn plan() -> Arc<Aggregates> {
    let of = |aggregation, field: Option<&str>| Aggregate { aggregation, field: field.map(str::to_owned) };
    let field = Some("value");
    Arc::new(
        Aggregates::new(&[
            of(Aggregation::Count, None),
            of(Aggregation::Sum, field),
            of(Aggregation::Min, field),
            of(Aggregation::Max, field),
            of(Aggregation::Avg, field),
            of(Aggregation::CountDistinct, field),
            of(Aggregation::First, field),
            of(Aggregation::Last, field),
            of(Aggregation::P50, field),
        ])
        .unwrap(),
    )
}

type Row = (i64, String, i64, u64);

/// (end, key, start, count) of every window, by hand.
fn reference(case: &Case) -> Vec<Row> {
    let mut admitted: Vec<(&Event, Option<i64>)> = Vec::new();
    for events in &case.partitions {
        let mut own: Option<i64> = None;
        for event in events {
            admitted.push((event, own));
            own = own.max(Some(event.time - case.lateness));
        }
    }
    let is_open = |end: i64, own: Option<i64>| own.is_none_or(|own| end > own);
    let mut rows = BTreeMap::new();
    match case.spec {
        WindowSpec::Tumbling { size } => count_windows(&admitted, size, size, is_open, &mut rows),
        WindowSpec::Sliding { size, slide } => count_windows(&admitted, size, slide, is_open, &mut rows),
        WindowSpec::Session { gap } => {
            for key in admitted.iter().map(|(event, _)| event.key).collect::<BTreeSet<_>>() {
                let of_key =
                    |(event, own): &&(&Event, Option<i64>)| event.key == key && is_open(event.time + gap, *own);
                let mut times: Vec<i64> = admitted.iter().filter(of_key).map(|(event, _)| event.time).collect();
                times.sort_unstable();
                for session in times.chunk_by(|one, next| next - one < gap) {
                    let (first, last) = (session[0], session[session.len() - 1]);
                    rows.insert((last + gap, key.to_string(), first), session.len() as u64);
                }
            }
        }
    }
    rows.into_iter().map(|((end, key, start), count)| (end, key, start, count)).collect()
}

fn count_windows(
    admitted: &[(&Event, Option<i64>)],
    size: i64,
    slide: i64,
    is_open: impl Fn(i64, Option<i64>) -> bool,
    rows: &mut BTreeMap<(i64, String, i64), u64>,
) {
    for (event, own) in admitted {
        let first = (event.time - size).div_euclid(slide) * slide + slide;
        for start in (first..=event.time).step_by(slide as usize).filter(|start| is_open(start + size, *own)) {
            *rows.entry((start + size, event.key.to_string(), start)).or_default() += 1;
        }
    }
}

/// Everything that a commit holds.
#[derive(Clone, Default)]
struct Stored {
    chunks: Vec<BTreeMap<StatePlace, Vec<Vec<u8>>>>,
    given: Vec<GivenUpTo>,
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
            stored: Stored { chunks: vec![BTreeMap::new(); shards], ..Stored::default() },
        };
        run.commit();
        run
    }

    fn commit(&mut self) {
        let stored = &mut self.stored;
        for (windows, chunks) in self.shards.iter_mut().zip(&mut stored.chunks) {
            windows.changes(|change| match change {
                StateChange::Append(place, chunk) => chunks.entry(place).or_default().push(chunk),
                StateChange::Replace(place, chunk) => drop(chunks.insert(place, vec![chunk])),
                StateChange::Remove(place) => assert!(chunks.remove(&place).is_some(), "it was never written"),
            });
        }
        stored.given = self.shards.iter().map(|windows| windows.given().clone()).collect();
        stored.marks.clear();
        self.marks.encode(&mut stored.marks);
        stored.read.clone_from(&self.read);
        stored.results.clone_from(&self.results);
    }

    fn crash(&mut self) {
        let stored = std::mem::take(&mut self.stored);
        *self = Self::new(self.case, self.shards.len());
        for ((windows, chunks), given) in self.shards.iter_mut().zip(&stored.chunks).zip(&stored.given) {
            let chunks = chunks.iter().flat_map(|(place, chunks)| chunks.iter().map(|chunk| (*place, &chunk[..])));
            windows.restore(chunks, given.clone()).unwrap();
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
fn run(case: &Case, shards: usize, batch: usize, crashes: bool) -> Vec<(i64, String, i64, String)> {
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
        assert!(chunks.keys().len() <= 1, "the rows of a window are left");
    }
    let mut all = run.results.concat();
    all.sort();
    all
}

fn spec() -> impl Strategy<Value = WindowSpec> {
    prop_oneof![
        (1_i64..30).prop_map(|size| WindowSpec::tumbling(size).unwrap()),
        (1_i64..30, 1_i64..30).prop_map(|(one, other)| WindowSpec::sliding(one.max(other), one.min(other)).unwrap()),
        (1_i64..30).prop_map(|gap| WindowSpec::session(gap).unwrap()),
    ]
}

/// Times go forward on the whole, with steps back, repetitions and jumps, from before 1970 on.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let step = prop_oneof![4 => 0_i64..5, 3 => -12_i64..0, 1 => 0_i64..60];
    prop::collection::vec((step, 0_u8..5, any::<i16>()), 0..60).prop_map(|steps| {
        let mut time = -100;
        let mut events = Vec::with_capacity(steps.len());
        for (step, key, value) in steps {
            time += step;
            events.push(Event { time, key, value });
        }
        events
    })
}

fn case() -> impl Strategy<Value = Case> {
    (
        (spec(), prop_oneof![Just(0_i64), 0_i64..20], prop::collection::vec(events(), 1..4)),
        (prop::collection::vec(0_usize..60, 1..40), 1_usize..20, 1_usize..6, 1_usize..5),
        prop::collection::vec(0_u8..8, 0..200),
    )
        .prop_map(|((spec, lateness, partitions), (turns, batch, at_most, shards), faults)| Case {
            spec,
            lateness,
            partitions,
            turns,
            batch,
            at_most,
            shards,
            faults,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_records_alone_decide(case in case()) {
        let found = run(&case, case.shards, case.batch, false);
        let counts: Vec<Row> = found
            .iter()
            .map(|(end, key, start, text)| {
                let count = text.split_once("\"count\":").unwrap().1.split(',').next().unwrap();
                (*end, key.clone(), *start, count.parse().unwrap())
            })
            .collect();
        prop_assert_eq!(counts, reference(&case));
        let one_by_one = Case { turns: vec![0], ..case.clone() };
        prop_assert_eq!(run(&one_by_one, 1, 1, false), found.clone());
        prop_assert_eq!(run(&case, case.shards, case.batch, true), found);
    }
}

#[test]
fn a_result_as_it_is_written() {
    let spec = WindowSpec::tumbling(300_000).unwrap();
    let plan = Arc::new(Aggregates::new(&[Aggregate { aggregation: Aggregation::Count, field: None }]).unwrap());
    let mut windows = Windows::new(spec, plan);
    let time = at(1_736_935_199_999);
    let sample = Sample { time, partition: 0, offset: 0, values: &[] };
    windows.add(spec.admit(time, EventTime::MIN).unwrap(), b"\"user-123\"", &sample);
    assert!(windows.bytes() > 0);
    assert_eq!(windows.newest_end(), Some(at(1_736_935_200_000)));
    let mut text = Vec::new();
    assert_eq!(windows.close(at(1_736_935_199_999), 10, |_| panic!("it is open")), Closing::Done);
    assert_eq!(windows.close(at(1_736_935_200_000), 10, |result| result.write(&mut text)), Closing::Done);
    assert_eq!(
        String::from_utf8(text).unwrap(),
        r#"{"windowStart":"2025-01-15T09:55:00.000Z","windowEnd":"2025-01-15T10:00:00.000Z","key":"user-123","count":1}"#
    );
    assert_eq!(windows.bytes(), 0);
}
