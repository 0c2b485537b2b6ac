//! Cases: their operations, and how they are made.

use std::time::Duration;

use forebay_core::storage::faulty::{Cause, Effect, Operation};
use forebay_core::{Durability, OnInvalid, PartitionId, Retention, StreamReport};
use proptest::prelude::*;

use crate::common::ledger::After;

/// How an engine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order.
    Close,
    /// In order, and then the power fails.
    ClosePowerLoss,
    /// The process dies; what it wrote is still in the page cache.
    Kill,
    /// The machine dies.
    PowerLoss,
}

impl Ending {
    pub fn after(self) -> After {
        match self {
            Ending::Close | Ending::Kill => After::Restart,
            // A log that is closed in order is synced, at every level.
            Ending::ClosePowerLoss => After::Restart,
            Ending::PowerLoss => After::PowerLoss,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Target {
    Logs,
    Other(u8, Option<u8>),
}

impl Target {
    pub fn partition(self, streams: &[StreamReport]) -> Option<PartitionId> {
        let Target::Other(index, Some(partition)) = self else { return None };
        let others: Vec<_> = streams.iter().filter(|stream| stream.name.starts_with('s')).collect();
        let name = format!("s{}", usize::from(index) % others.len().max(1));
        let stream = others.iter().find(|stream| stream.name == name)?;
        Some(PartitionId(u32::from(partition) % u32::try_from(stream.partitions.len()).unwrap()))
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub records: u8,
    pub padding: u16,
}

/// The parts of a batch with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Events {
    Valid,
    /// Every second one is put aside, on a stream of its own.
    HalfInvalid,
}

impl Events {
    pub fn on_invalid(self) -> OnInvalid {
        match self {
            Events::Valid => OnInvalid::Refuse,
            Events::HalfInvalid => OnInvalid::Quarantine,
        }
    }
}

/// Where a failure is injected.
#[derive(Clone, Copy, Debug)]
pub enum Weakness {
    JournalWrite(Effect),
    JournalSync(Effect),
    Spare(Operation),
    Segment(Operation),
    State(Operation),
}

#[derive(Clone, Debug)]
pub enum Op {
    Append {
        target: Target,
        size: Size,
        keyed: bool,
    },
    Burst {
        threads: u8,
        batches: u8,
        size: Size,
    },
    /// More than half a journal file.
    Fill,
    Create {
        partitions: u16,
    },
    Read {
        target: Target,
        from: u8,
        records: u16,
        bytes: u16,
    },
    /// With an idempotency key.
    Keyed {
        threads: u8,
        again: bool,
        events: Events,
    },
    Seal,
    Check,
    Restart(Ending),
    HaltAfter {
        changes: u8,
        ending: Ending,
    },
    RecoverInPieces {
        steps: Vec<(u8, Ending)>,
        ending: Ending,
    },
    Weaken {
        weakness: Weakness,
        cause: Cause,
        nth: u8,
        size: Size,
    },
    FullDisk {
        spare: u32,
    },
    /// Somebody sets the wall clock, by so many hours.
    SetClock {
        hours: i16,
    },
}

/// How much is kept of the drain's stream.
#[derive(Clone, Copy, Debug)]
pub enum Kept {
    All,
    Bytes(u32),
    Millis(u16),
}

impl Kept {
    pub fn options(self) -> Retention {
        match self {
            Kept::All => Retention { age: None, bytes: None },
            Kept::Bytes(bytes) => Retention { age: None, bytes: Some(bytes.into()) },
            Kept::Millis(millis) => Retention { age: Some(Duration::from_millis(millis.into())), bytes: None },
        }
    }
}

pub trait Deletes {
    fn deletes(&self) -> bool;
}

impl Deletes for Retention {
    fn deletes(&self) -> bool {
        self.age.is_some() || self.bytes.is_some()
    }
}

#[derive(Clone, Debug)]
pub struct Case {
    pub seed: u64,
    pub durability: Durability,
    pub seals_soon: bool,
    pub retention: Kept,
    pub ops: Vec<Op>,
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        1 => Just(Ending::Close),
        1 => Just(Ending::ClosePowerLoss),
        2 => Just(Ending::Kill),
        4 => Just(Ending::PowerLoss),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![Just(Target::Logs), (0..4_u8, prop::option::of(0..4_u8)).prop_map(|(s, p)| Target::Other(s, p))]
}

/// Few, or as many as there can be: what costs something for each partition shows in the latter.
fn partitions() -> impl Strategy<Value = u16> {
    prop_oneof![9 => 1..4_u16, 1 => Just(1024)]
}

fn events() -> impl Strategy<Value = Events> {
    prop_oneof![Just(Events::Valid), Just(Events::HalfInvalid)]
}

fn size() -> impl Strategy<Value = Size> {
    prop_oneof![
        4 => (1..5_u8, 0..50_u16),
        3 => (1..40_u8, 0..600_u16),
        1 => (1..40_u8, 0..9000_u16),
    ]
    .prop_map(|(records, padding)| Size { records, padding })
}

fn weakness() -> impl Strategy<Value = Weakness> {
    let effect = || prop_oneof![Just(Effect::Nothing), Just(Effect::Partial), Just(Effect::Later)];
    let file = || {
        use Operation::{Create, Rename, Sync, SyncDirectory, Write};
        prop::sample::select(vec![Create, Rename, Sync, SyncDirectory, Write])
    };
    prop_oneof![
        3 => effect().prop_map(Weakness::JournalWrite),
        3 => effect().prop_map(Weakness::JournalSync),
        1 => file().prop_map(Weakness::Spare),
        1 => file().prop_map(Weakness::Segment),
        1 => file().prop_map(Weakness::State),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let pieces = || prop::collection::vec((0..40_u8, ending()), 1..4);
    prop_oneof![
        12 => (target(), size(), any::<bool>()).prop_map(|(target, size, keyed)| Op::Append { target, size, keyed }),
        6 => (1..4_u8, 1..5_u8, size()).prop_map(|(threads, batches, size)| Op::Burst { threads, batches, size }),
        4 => Just(Op::Fill),
        2 => partitions().prop_map(|partitions| Op::Create { partitions }),
        4 => (target(), any::<u8>(), 0..600_u16, any::<u16>())
            .prop_map(|(target, from, records, bytes)| Op::Read { target, from, records, bytes }),
        5 => (1..4_u8, any::<bool>(), events())
            .prop_map(|(threads, again, events)| Op::Keyed { threads, again, events }),
        4 => Just(Op::Seal),
        2 => Just(Op::Check),
        6 => ending().prop_map(Op::Restart),
        4 => (0..60_u8, ending()).prop_map(|(changes, ending)| Op::HaltAfter { changes, ending }),
        4 => (pieces(), ending()).prop_map(|(steps, ending)| Op::RecoverInPieces { steps, ending }),
        4 => (weakness(), prop::sample::select(Cause::ALL.to_vec()), 0..6_u8, size())
            .prop_map(|(weakness, cause, nth, size)| Op::Weaken { weakness, cause, nth, size }),
        1 => (0..3_000_000_u32).prop_map(|spare| Op::FullDisk { spare }),
        3 => prop::sample::select(vec![-200, -1, 1, 200, 9000]).prop_map(|hours| Op::SetClock { hours }),
    ]
}

pub fn case() -> impl Strategy<Value = Case> {
    let durability = prop_oneof![
        3 => Just(Durability::Fsync),
        1 => Just(Durability::Interval),
        1 => Just(Durability::Memory),
    ];
    let retention = prop_oneof![
        4 => Just(Kept::All),
        1 => (1..200_000_u32).prop_map(Kept::Bytes),
        1 => (1..2000_u16).prop_map(Kept::Millis),
    ];
    let ops = prop::collection::vec(op(), 1..30);
    (any::<u64>(), durability, any::<bool>(), retention, ops).prop_map(
        |(seed, durability, seals_soon, retention, ops)| Case { seed, durability, seals_soon, retention, ops },
    )
}
