//! Without room on the disk: windows that are to be written wait, and what fits still goes before them.

use std::collections::{BTreeMap, BTreeSet};

use forebay_core::storage::faulty::{Fault, Faulty, Operation};
use forebay_core::{Engine, NewRecord, Options, PartitionId};
use serde_json::Value;

use crate::common;
use crate::world::{
    Event, PARTITIONS, Read, SINK, SOURCE, create, definition, description, metrics, read, send, send_many, stored,
    try_send, wait, wait_caught_up,
};

const SEVERAL: &str = r#"[{"type":"filter","predicate":"value.amount > 1000"},
    {"type":"window","windowType":"tumbling","duration":100},
    {"type":"aggregate","groupBy":"userId","aggregations":[{"aggregation":"count"},
        {"aggregation":"sum","field":"amount"},{"aggregation":"max","field":"amount"},
        {"aggregation":"count_distinct","field":"amount"},{"aggregation":"first","field":"amount"}]}]"#;
/// No record is late, and no window closes, before the last records.
const OPEN: &str = r#"{"checkpointInterval":10,"allowedLateness":10000,"idleTimeout":3600000}"#;
const OTHER: &str = "other";
const USERS: u32 = 16_000;
/// What the windows take at least when the disk is full.
const STATE_BYTES: u64 = 10_000_000;
/// The pages at the end of a journal file that are no room for records.
const RESERVED_BYTES: u64 = 64 * 4096;
/// Room for a record, and for markers that the log writes by itself meanwhile.
const ROOM_FOR_ONE: u64 = 3 * 4096;

/// Count, sum, largest, different ones and the first of the amounts.
type Amounts = (u64, i64, i64, usize, i64);

fn round(number: u32) -> impl Iterator<Item = Event> {
    // In the windows that end at 100, 200 and so on, and each round has another amount for each user.
    (0..USERS).map(move |user| {
        let amount = 900 + i64::from(user * 7 % 300 + number * 13);
        Event::new(user % 2, user, amount, i64::from(user % 5) * 100 + i64::from(number))
    })
}

fn send_round(engine: &Engine, number: u32) {
    for partition in 0..PARTITIONS {
        send_many(engine, partition, round(number).filter(|event| event.partition == partition));
    }
}

fn wanted(events: &[Event]) -> BTreeMap<(i64, String), Amounts> {
    let mut amounts: BTreeMap<(i64, String), Vec<i64>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.amount > 1000) {
        let end = event.millis.div_euclid(100) * 100 + 100;
        amounts.entry((end, format!("u{}", event.user))).or_default().push(event.amount);
    }
    let summed = |all: Vec<i64>| {
        let different = all.iter().collect::<BTreeSet<_>>().len();
        (all.len() as u64, all.iter().sum(), *all.iter().max().unwrap(), different, all[0])
    };
    amounts.into_iter().map(|(key, all)| (key, summed(all))).collect()
}

fn given(engine: &Engine) -> BTreeMap<(i64, String), Amounts> {
    // That each is there once, and in its order.
    let sink = read(engine, SINK);
    crate::reference::given(&sink);
    let amounts = |read: Read| {
        let value: Value = serde_json::from_str(&read.value).unwrap();
        let number = |name: &str| value[name].as_f64().map(|number| number as i64).unwrap();
        let counts = (value["count"].as_u64().unwrap(), number("sum_amount"), number("max_amount"));
        let different = number("count_distinct_amount") as usize;
        ((read.millis + 1, read.key.unwrap()), (counts.0, counts.1, counts.2, different, number("first_amount")))
    };
    sink.into_iter().map(amounts).collect()
}

fn state_bytes(engine: &Engine) -> u64 {
    metrics(engine, "p")["metrics"]["stateBytes"].as_u64().unwrap()
}

/// The bytes that records may still take of the journal file that is written to.
fn room_left(storage: &Faulty) -> u64 {
    let journals = storage.files().into_iter().filter(|(path, _)| path.to_string_lossy().ends_with(".journal"));
    let newest = journals
        .filter_map(|(path, bytes)| common::frames(storage, &path).pop().map(|frame| (frame.sequence, bytes, frame)))
        .max_by_key(|(sequence, _, frame)| (*sequence, frame.position));
    newest.map_or(0, |(_, bytes, frame)| {
        bytes.saturating_sub(RESERVED_BYTES + frame.position + frame.bytes.next_multiple_of(4096))
    })
}

fn append_other(engine: &Engine) -> forebay_core::Result<()> {
    let record = NewRecord { key: None, value: b"{}".to_vec(), headers: Vec::new(), timestamp: None };
    engine.append(OTHER, &[record], Some(PartitionId(0))).map(drop)
}

fn options() -> Options {
    Options { processor_state_bytes: 1 << 30, ring_bytes: 64 << 20, ..common::sealing_soon() }
}

fn begin(storage: &Faulty) -> Engine {
    let engine = common::open(storage, &options()).unwrap();
    engine.create_stream(SOURCE, PARTITIONS).unwrap();
    engine.create_stream(OTHER, 1).unwrap();
    create(&engine, &definition("p", SEVERAL, OPEN));
    engine
}

/// Leaves the disk no more than it has now; returns how much that is.
fn no_more_room(storage: &Faulty, engine: &Engine) -> u64 {
    common::wait_sealed(engine);
    let used = storage.files().iter().map(|(_, bytes)| bytes).sum();
    storage.set_capacity(Some(used));
    used
}

fn is_blocked(metrics: &Value) -> bool {
    metrics["blockedBy"].as_str().is_some_and(|why| why.contains("cannot make the next journal file"))
}

/// Has a processor with many megabytes of open windows, which cannot write what has changed in them.
fn blocked(storage: &Faulty) -> Engine {
    let engine = begin(storage);
    let mut rounds = 0;
    while state_bytes(&engine) < STATE_BYTES {
        assert!(rounds < 40, "{} bytes of state after {rounds} rounds", state_bytes(&engine));
        send_round(&engine, rounds);
        rounds += 1;
        wait_caught_up(&engine, "p");
    }
    engine.processors().pause("p").unwrap();
    for more in 0..4 {
        send_round(&engine, rounds + more);
    }
    let mut room = no_more_room(storage, &engine);
    engine.processors().resume("p").unwrap();
    loop {
        wait(&engine, "p", "why it waits", is_blocked);
        if room_left(storage) >= ROOM_FOR_ONE {
            return engine;
        }
        // The last step that fitted has filled the file to its end: the next one has to meet a file with room.
        room += options().journal_file_bytes;
        storage.set_capacity(Some(room));
        wait(&engine, "p", "another file", |metrics| metrics["blockedBy"].is_null());
    }
}

/// Checks every result, once there is room.
fn check(engine: &Engine, what: &str) {
    common::until("writing", || try_send(engine, &[Event::last(0), Event::last(1)]).is_ok());
    let events: Vec<_> = stored(engine).into_iter().filter(|event| event.millis < 1_000_000).collect();
    let wanted = wanted(&events);
    assert!(wanted.len() > 1000);
    wait_caught_up(engine, "p");
    // The records that close windows are read before the last results are written: these are more than one step takes.
    wait(engine, "p", "every result", |metrics| metrics["metrics"]["results"] == wanted.len());
    assert!(given(engine) == wanted, "results differ: {what}");
    assert_eq!(metrics(engine, "p")["blockedBy"], Value::Null);
}

#[test]
fn megabytes_of_windows_wait_for_room_and_lose_and_double_nothing() {
    let storage = Faulty::new(1);
    let engine = blocked(&storage);
    assert_eq!(description(&engine, "p")["status"], "running");
    assert!(state_bytes(&engine) >= STATE_BYTES);
    // What is small fits the file that the step is too large for.
    let mut others = 0;
    while room_left(&storage) >= ROOM_FOR_ONE {
        let told = |error| panic!("{others} others, {} left: {error}", room_left(&storage));
        append_other(&engine).unwrap_or_else(told);
        others += 1;
    }
    assert!(others > 0, "there was no room for anybody");
    let dead = storage.kill();
    storage.set_capacity(None);
    wait_caught_up(&engine, "p");
    let later = storage.kill();
    check(&engine, "the same process");
    drop(engine);
    for (left, what) in [(dead, "it died without room"), (later, "it died later")] {
        left.set_capacity(None);
        let engine = common::open(&left, &options()).unwrap();
        assert_eq!(read(&engine, OTHER).len(), others, "what was acknowledged is there");
        check(&engine, what);
    }
}

#[test]
fn a_close_for_which_there_is_no_room_goes_on_where_it_stood() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    send_round(&engine, 20);
    wait_caught_up(&engine, "p");
    engine.processors().pause("p").unwrap();
    send(&engine, &[Event::last(0), Event::last(1)]);
    // The journal goes on in the file that is ready, if there is one, and in no other: there are more results than that.
    let full = [Operation::Create, Operation::Rename]
        .map(|making| storage.inject(Fault::next(making).on("journal/").no_space().always()));
    engine.processors().resume("p").unwrap();
    wait(&engine, "p", "why it waits", is_blocked);
    let results = metrics(&engine, "p")["metrics"]["results"].as_u64().unwrap();
    assert!(0 < results && results < USERS.into(), "{results} results");
    let dead = storage.kill();
    full.into_iter().for_each(|fault| storage.clear(fault));
    check(&engine, "the same process");
    drop(engine);
    check(&common::open(&dead, &options()).unwrap(), "it died without room");
}
