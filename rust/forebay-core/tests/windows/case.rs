use std::sync::Arc;

use forebay_core::window::{Aggregate, Aggregates, Aggregation, EventTime, WindowSpec};
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub struct Event {
    pub time: i64,
    pub key: u8,
    pub value: i16,
}

/// The records of each partition, in their order, and in which order the partitions are read.
#[derive(Clone, Debug)]
pub struct Case {
    pub spec: WindowSpec,
    pub lateness: i64,
    pub partitions: Vec<Vec<Event>>,
    pub turns: Vec<usize>,
    /// After how many records windows are closed.
    pub batch: usize,
    /// The most results of a call.
    pub at_most: usize,
    pub shards: usize,
    /// After each step: 0 is a crash, 1 and 2 are commits, 3 gives some early results and 4 all of them.
    pub faults: Vec<u8>,
    /// Spans of which records are missing.
    pub missing: Vec<(i64, i64)>,
}

pub fn at(millis: i64) -> EventTime {
    EventTime::new(millis).unwrap()
}

pub fn plan() -> Arc<Aggregates> {
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
            of(Aggregation::Top, field),
        ])
        .unwrap(),
    )
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

pub fn case() -> impl Strategy<Value = Case> {
    (
        (spec(), prop_oneof![Just(0_i64), 0_i64..20], prop::collection::vec(events(), 1..4)),
        (prop::collection::vec(0_usize..60, 1..40), 1_usize..20, 1_usize..6, 1_usize..5),
        (prop::collection::vec(0_u8..8, 0..200), prop::collection::vec((-120_i64..200, 1_i64..20), 0..3)),
    )
        .prop_map(|((spec, lateness, partitions), (turns, batch, at_most, shards), (faults, missing))| Case {
            spec,
            lateness,
            partitions,
            turns,
            batch,
            at_most,
            shards,
            faults,
            missing: missing.into_iter().map(|(from, length)| (from, from + length)).collect(),
        })
}
