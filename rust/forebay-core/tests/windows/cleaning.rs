//! What the state takes on the disk, and what one step writes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_core::window::{
    Aggregate, Aggregates, Aggregation, Closing, EventTime, GivenUpTo, MAX_CHUNK_BYTES, Sample, StateChange,
    StatePlace, WindowResult, WindowSpec, Windows,
};
use proptest::prelude::*;

use crate::case::at;

/// What a chunk's row costs a table. Chunks that are no longer than that are to be put together, too.
const CHUNK_OVERHEAD: usize = 256;

/// The oldest chunk is there until all of its live rows are written again, and a place of few bytes is not cleaned.
const SLACK: usize = MAX_CHUNK_BYTES + 3 * 4096;

/// Which keys the records of a step have.
#[derive(Clone, Copy, Debug)]
enum Keys {
    /// Any.
    All,
    /// Mostly a hundredth of them: the others' rows grow old where they are, and live.
    Few,
    /// One after the other.
    InTurn,
    /// A single one.
    One,
}

#[derive(Clone, Debug)]
struct Load {
    spec: WindowSpec,
    keys: Keys,
    count: u64,
    /// Records of a step.
    step: u64,
    steps: u64,
    /// How far the time goes on with a step.
    pace: i64,
    seed: u64,
}

fn count_plan() -> Arc<Aggregates> {
    let of = |aggregation, field: Option<&str>| Aggregate { aggregation, field: field.map(str::to_owned) };
    Arc::new(Aggregates::new(&[of(Aggregation::Count, None), of(Aggregation::Last, Some("value"))]).unwrap())
}

/// Windows, and the table that their chunks are in.
struct Disk {
    windows: Windows,
    chunks: BTreeMap<(StatePlace, u32), Vec<u8>>,
    /// Bytes of the last step.
    written: usize,
}

impl Disk {
    fn new(spec: WindowSpec) -> Self {
        Self { windows: Windows::new(spec, count_plan()), chunks: BTreeMap::new(), written: 0 }
    }

    fn write(&mut self) {
        self.written = 0;
        self.windows.changes(|change| match change {
            StateChange::Put { place, number, chunk } => {
                assert!(chunk.len() <= MAX_CHUNK_BYTES);
                self.written += chunk.len();
                let key = (place, number);
                assert!(self.chunks.last_key_value().is_none_or(|(last, _)| last.0 != place || last.1 < number));
                assert!(self.chunks.insert(key, chunk).is_none());
            }
            StateChange::Remove { place, number } => assert!(self.chunks.remove(&(place, number)).is_some()),
        });
    }

    fn total(&self) -> usize {
        self.chunks.values().map(|chunk| chunk.len() + CHUNK_OVERHEAD).sum()
    }

    /// The windows as a restart finds them.
    fn restored(&self, spec: WindowSpec) -> Windows {
        let mut windows = Windows::new(spec, count_plan());
        let chunks = self.chunks.iter().map(|((place, number), chunk)| (*place, *number, chunk));
        windows.restore(chunks, self.windows.given().clone()).unwrap();
        windows
    }
}

fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

fn add(windows: &mut Windows, spec: WindowSpec, time: i64, key: u64, offset: u64) {
    let (time, key, value) = (at(time), format!("\"user-{key}\""), format!("{}", offset % 1000));
    let sample = Sample { time, partition: 0, offset, values: &[Some(value.as_bytes())] };
    windows.add(spec.admit(time, EventTime::MIN).unwrap(), key.as_bytes(), &sample);
}

fn close_all(windows: &mut Windows) -> Vec<String> {
    let mut results = Vec::new();
    let write = |result: WindowResult<'_>| {
        let mut text = Vec::new();
        result.write(false, &mut text);
        results.push(String::from_utf8(text).unwrap());
    };
    let closing = windows.close(at(1 << 50), usize::MAX, write, |_| ());
    assert_eq!(closing, Closing::Done);
    results
}

/// Returns what the live rows take: what is written of windows of which nothing is written yet.
fn live(twin: &Windows) -> usize {
    let mut bytes = 0;
    twin.clone().changes(|change| match change {
        StateChange::Put { chunk, .. } => bytes += chunk.len(),
        StateChange::Remove { .. } => panic!("nothing was written"),
    });
    bytes
}

fn load() -> impl Strategy<Value = Load> {
    let spec = prop_oneof![
        Just(WindowSpec::tumbling(1_000_000).unwrap()),
        Just(WindowSpec::sliding(1_000, 500).unwrap()),
        Just(WindowSpec::session(100).unwrap()),
        Just(WindowSpec::session(1_000_000).unwrap()),
    ];
    let keys = prop_oneof![Just(Keys::All), Just(Keys::Few), Just(Keys::InTurn), Just(Keys::One)];
    let steps = prop_oneof![Just((1200_u64, 10_u64)), Just((300, 100)), Just((60, 1000))];
    (spec, keys, prop_oneof![Just(50_u64), Just(3_000), Just(20_000)], steps, 0_i64..20, any::<u64>())
        .prop_map(|(spec, keys, count, (steps, step), pace, seed)| Load { spec, keys, count, step, steps, pace, seed })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_disk_has_at_most_three_times_what_is_live(load in load()) {
        let (spec, mut seed, mut offset) = (load.spec, load.seed, 0);
        let (mut disk, mut twin) = (Disk::new(spec), Windows::new(spec, count_plan()));
        // Everything is there once, so that there is something to clean up behind.
        let first = (0..load.count).map(|key| (0, key));
        first.for_each(|(time, key)| [&mut disk.windows, &mut twin].into_iter().for_each(|one| add(one, spec, time, key, 0)));
        for step in 0..load.steps {
            let time = step as i64 * load.pace;
            for _ in 0..load.step {
                offset += 1;
                let any = random(&mut seed);
                let key = match load.keys {
                    Keys::All => any % load.count,
                    Keys::Few if any.is_multiple_of(100) => random(&mut seed) % load.count,
                    Keys::Few => any % load.count.div_ceil(100),
                    Keys::InTurn => offset % load.count,
                    Keys::One => 0,
                };
                [&mut disk.windows, &mut twin].into_iter().for_each(|one| add(one, spec, time, key, offset));
            }
            for one in [&mut disk.windows, &mut twin] {
                prop_assert_eq!(one.close(at(time - 200), usize::MAX, |_| (), |_| ()), Closing::Done);
            }
            let expected = disk.windows.unwritten_bytes();
            disk.write();
            prop_assert!(disk.written <= expected + CHUNK_OVERHEAD, "{} of {expected}", disk.written);
            // A short value takes several times as much in memory, and what is cleaned may have no live rows.
            prop_assert!(expected <= 12 * disk.written + 4096, "{expected} of {}", disk.written);
            prop_assert_eq!(disk.windows.unwritten_bytes(), 0);
            if step % 30 == 0 {
                let live = live(&twin);
                prop_assert!(disk.total() <= 3 * live + disk.written + SLACK, "{} of {live}", disk.total());
            }
            if step % 300 == 40 {
                // Cleaning goes on where it was.
                disk.windows = disk.restored(spec);
            }
        }
        let wanted = close_all(&mut twin);
        prop_assert_eq!(close_all(&mut disk.restored(spec)), wanted.clone());
        prop_assert_eq!(close_all(&mut disk.windows), wanted);
        while !disk.chunks.is_empty() {
            let before = disk.chunks.len();
            disk.write();
            prop_assert!(disk.chunks.len() < before && disk.written == 0);
        }
    }
}

/// A million keys would take longer, and show no more.
const MANY_KEYS: u64 = 300_000;

fn many_keys(spec: WindowSpec) {
    let mut disk = Disk::new(spec);
    for key in 0..MANY_KEYS {
        add(&mut disk.windows, spec, 0, key, key);
    }
    disk.write();
    let (all, mut most, mut removed) = (disk.written, 0, 0);
    assert!(disk.chunks.len() >= all / MAX_CHUNK_BYTES, "one chunk would be {all} bytes");
    let mut seed = 1;
    for step in 0..3000 {
        for _ in 0..300 {
            add(&mut disk.windows, spec, 0, random(&mut seed) % MANY_KEYS, step);
        }
        let chunks = disk.chunks.len();
        disk.write();
        most = most.max(disk.written);
        removed += usize::from(disk.chunks.len() <= chunks);
    }
    let row = all / MANY_KEYS as usize + 1;
    assert!(most <= 2 * 300 * (row + 4) + CHUNK_OVERHEAD, "{most} bytes in one step");
    assert!(removed > 0, "nothing was cleaned up");
    assert!(disk.total() <= 3 * all + SLACK, "{} of {all}", disk.total());
}

#[test]
fn a_step_is_bounded_by_what_has_changed_however_many_keys_there_are() {
    many_keys(WindowSpec::tumbling(1000).unwrap());
    many_keys(WindowSpec::session(1000).unwrap());
}

#[test]
fn a_step_removes_a_bounded_number_of_chunks_and_a_restart_knows_the_others() {
    let spec = WindowSpec::tumbling(1000).unwrap();
    let mut disk = Disk::new(spec);
    for key in 0..100_000 {
        add(&mut disk.windows, spec, 0, key, 0);
    }
    disk.write();
    for key in 0..6000 {
        add(&mut disk.windows, spec, 0, key, 1);
        disk.write();
    }
    assert!(disk.chunks.len() > 6000);
    add(&mut disk.windows, spec, 1000, 7, 2);
    assert_eq!(disk.windows.close(at(1000), usize::MAX, |_| (), |_| ()), Closing::Done);
    let before = disk.chunks.len();
    disk.write();
    assert_eq!(before - disk.chunks.len(), 4095, "4096 less the one of the next window");
    let mut restored = disk.restored(spec);
    assert_eq!(close_all(&mut restored.clone()).len(), 1, "the first window is over");
    std::mem::swap(&mut disk.windows, &mut restored);
    disk.write();
    assert_eq!(disk.chunks.len(), 1);
    assert_eq!(close_all(&mut disk.restored(spec)).len(), 1);
}

#[test]
fn the_row_of_one_key_may_be_longer_than_a_chunk() {
    let spec = WindowSpec::session(1).unwrap();
    let (mut windows, mut chunks) = (Windows::new(spec, count_plan()), Vec::new());
    let value = format!("\"{}\"", "x".repeat(4000));
    for time in 0..100 {
        let sample = Sample { time: at(10 * time), partition: 0, offset: 0, values: &[Some(value.as_bytes())] };
        windows.add(spec.admit(sample.time, EventTime::MIN).unwrap(), b"1", &sample);
        windows.add(spec.admit(at(0), EventTime::MIN).unwrap(), b"2", &Sample { time: at(0), ..sample });
    }
    windows.changes(|change| match change {
        StateChange::Put { place, number, chunk } => chunks.push((place, number, chunk)),
        StateChange::Remove { .. } => panic!("there is nothing yet"),
    });
    let lengths: Vec<usize> = chunks.iter().map(|(.., chunk)| chunk.len()).collect();
    assert!(matches!(lengths[..], [400_000..410_000, 4000..5000]), "{lengths:?}");
    let mut restored = Windows::new(spec, count_plan());
    restored.restore(chunks.into_iter(), GivenUpTo::default()).unwrap();
    assert_eq!(close_all(&mut restored), close_all(&mut windows));
}

#[test]
fn chunks_that_are_damaged_or_not_in_order_are_refused() {
    for spec in [WindowSpec::tumbling(1000).unwrap(), WindowSpec::session(1000).unwrap()] {
        let mut disk = Disk::new(spec);
        for offset in 0..2 {
            add(&mut disk.windows, spec, 0, 1, offset);
            disk.write();
        }
        let chunks: Vec<_> =
            disk.chunks.iter().map(|((place, number), chunk)| (*place, *number, chunk.clone())).collect();
        let refuses = |chunks: Vec<(StatePlace, u32, Vec<u8>)>| {
            Windows::new(spec, count_plan()).restore(chunks.into_iter(), GivenUpTo::default()).is_err()
        };
        assert!(!refuses(chunks.clone()));
        assert!(refuses(chunks.iter().rev().cloned().collect()), "the older row would count");
        let (place, number, chunk) = chunks[0].clone();
        for cut in 1..chunk.len() - 1 {
            let is_whole = cut == 3;
            assert_eq!(refuses(vec![(place, number, chunk[..cut].to_vec())]), !is_whole, "{cut} of {chunk:?}");
        }
        let later = [&[2], &chunk[1..]].concat();
        assert!(refuses(vec![(place, number, later)]), "it is of a later release");
    }
}
