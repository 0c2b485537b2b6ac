//! Functions in a processor: what they make of records, and what is left when they fail, hang, or the machine dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forebay_core::function::{CallTicket, FunctionOptions};
use forebay_core::processor::Processors;
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Engine, ErrorKind, NewRecord, Options, PartitionId, StreamChange};
use serde_json::{Value, json};

use crate::common;
use crate::world::*;

/// The result for one value, or why there is none.
pub type Function = fn(&str, &Value) -> Result<Value, String>;

/// Has functions of this process answered by a thread, which ends with the engine.
fn answer(processors: &Arc<Processors>, function: Function) {
    let processors = Arc::clone(processors);
    std::thread::spawn(move || {
        while let Ok(taken) = processors.local_calls().take(Duration::from_secs(60)) {
            let Some((ticket, body)) = taken else { continue };
            processors.local_calls().answer(ticket, &answered(&body, function));
        }
    });
}

fn answered(body: &[u8], function: Function) -> Vec<u8> {
    let (name, values) = call(body);
    let (mut failures, mut results) = (Vec::new(), Vec::new());
    for (index, value) in values.iter().enumerate() {
        results.push(function(&name, value).unwrap_or_else(|why| {
            failures.push(json!([index, why]));
            Value::Null
        }));
    }
    let failures = serde_json::to_vec(&failures).unwrap();
    let length = u32::try_from(failures.len()).unwrap().to_le_bytes();
    [&length[..], &failures, &serde_json::to_vec(&results).unwrap()].concat()
}

fn call(body: &[u8]) -> (String, Vec<Value>) {
    let number = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().unwrap()) as usize;
    let behind = 4 + number(0);
    let values: Vec<Value> = serde_json::from_slice(&body[behind + 4..]).unwrap();
    assert_eq!(number(behind), values.len());
    (String::from_utf8(body[4..behind].to_vec()).unwrap(), values)
}

fn try_open(storage: &Faulty, names: &[&str]) -> Engine {
    let local = names.iter().map(|name| (*name).to_owned()).collect();
    let functions = FunctionOptions { local, ..FunctionOptions::default() };
    common::open(storage, &Options { functions, ..options() }).unwrap()
}

pub fn open_with(storage: &Faulty, function: Function) -> Engine {
    let engine = try_open(storage, &["double", "odd"]);
    answer(engine.processors(), function);
    engine
}

pub fn begin_with(storage: &Faulty, function: Function) -> Engine {
    let engine = open_with(storage, function);
    engine.create_stream(SOURCE, PARTITIONS).unwrap();
    engine
}

/// `double` has each record twice with its amount doubled; `odd` drops users with even numbers, and fails for user 5.
fn double_and_odd(name: &str, value: &Value) -> Result<Value, String> {
    let user: u32 = value["userId"].as_str().unwrap()[1..].parse().unwrap();
    match name {
        "double" => {
            let mut other = value.clone();
            other["amount"] = (value["amount"].as_i64().unwrap() * 2).into();
            Ok(json!([value, other]))
        }
        "odd" if user == 5 => Err("five".to_owned()),
        "odd" => Ok(if user % 2 == 1 { value.clone() } else { Value::Null }),
        other => Err(format!("there is no {other}")),
    }
}

const MAPPED: &str = r#"[{"type":"filter","predicate":"value.amount > 500"},{"type":"map","function":"double"},
    {"type":"filter","predicate":"value.amount > 1000"},{"type":"map","function":"odd"}]"#;

/// The records that [`MAPPED`] makes of the source's, and the users whose records fail.
fn mapped(events: &[Event]) -> (Vec<(u32, i64, i64)>, Vec<u32>) {
    let (mut made, mut failed) = (Vec::new(), Vec::new());
    for event in events.iter().filter(|event| event.amount > 500) {
        for amount in [event.amount, event.amount * 2].into_iter().filter(|amount| *amount > 1000) {
            match event.user {
                5 => failed.push(event.user),
                user if user % 2 == 1 => made.push((event.partition, event.millis, amount)),
                _ => {}
            }
        }
    }
    (made, failed)
}

fn made(engine: &Engine) -> Vec<(u32, i64, i64)> {
    let amount = |read: &Read| serde_json::from_str::<Value>(&read.value).unwrap()["amount"].as_i64().unwrap();
    read(engine, SINK).iter().map(|read| (read.partition, read.millis, amount(read))).collect()
}

fn events(count: u32) -> Vec<Event> {
    let amount = |number: u32| i64::from(number / 6 % 3) * 400 + 300;
    (0..count).map(|number| Event::new(number % 2, number % 6, amount(number), i64::from(number))).collect()
}

#[test]
fn functions_drop_change_multiply_and_fail_record_by_record() {
    let storage = Faulty::new(1);
    let engine = begin_with(&storage, double_and_odd);
    create(&engine, &definition("p", MAPPED, "{}"));
    send(&engine, &events(500));
    wait_caught_up(&engine, "p");
    let (wanted, failed) = mapped(&stored(&engine));
    assert!(wanted.len() > 100 && failed.len() > 20);
    assert_eq!(made(&engine), wanted);
    let letters = read(&engine, "p.dead-letter");
    assert_eq!(letters.len(), failed.len());
    let first = &letters[0];
    assert!(first.value.starts_with(r#"{"userId":"u5","amount":700,"#), "as the source has it: {first:?}");
    assert_eq!(first.key.as_deref(), Some("u5"));
    assert!(first.headers.contains(r#""h":"1","forebay-error":"five","forebay-operation":"operations[3]""#));
    let metrics = metrics(&engine, "p");
    assert_eq!(metrics["metrics"]["deadLetters"], failed.len());
    assert_eq!(metrics["degraded"], "operations[3]: five");
}

#[test]
fn mapped_records_are_windowed_by_the_time_of_their_source() {
    let storage = Faulty::new(1);
    let engine = begin_with(&storage, double_and_odd);
    let windowed = MAPPED.replace(
        r#""odd"}]"#,
        r#""odd"},{"type":"window","windowType":"tumbling","duration":100},
        {"type":"aggregate","aggregation":"sum","field":"amount","groupBy":"userId"}]"#,
    );
    create(&engine, &definition("p", &windowed, BY_RECORDS));
    send(&engine, &events(500));
    send(&engine, &[Event::last(0), Event::last(1)]);
    wait_caught_up(&engine, "p");
    let value = |read: &Read| serde_json::from_str::<Value>(&read.value).unwrap();
    let sum: i64 = read(&engine, SINK).iter().map(|read| value(read)["sum"].as_i64().unwrap()).sum();
    let wanted = mapped(&stored(&engine)).0;
    assert_eq!(sum, wanted.iter().map(|(_, _, amount)| amount).sum::<i64>());
    assert_eq!(read(&engine, SINK).len(), 5 * 2, "five windows of two users");
}

#[test]
fn every_record_is_mapped_once_whenever_the_machine_dies() {
    for power_loss in [false, true] {
        for changes in (0..).step_by(3) {
            let storage = Faulty::new(changes);
            let engine = begin_with(&storage, double_and_odd);
            create(&engine, &definition("p", MAPPED, r#"{"checkpointInterval":10}"#));
            storage.halt_after(changes);
            let whole = try_send(&engine, &events(40)).is_ok();
            storage.halt();
            let left = if power_loss { storage.crash() } else { storage.kill() };
            drop(engine);
            let engine = open_with(&left, double_and_odd);
            send(&engine, &events(80)[40..]);
            wait_caught_up(&engine, "p");
            assert_eq!(made(&engine), mapped(&stored(&engine)).0, "after {changes} changes, {power_loss}");
            assert_eq!(read(&engine, "p.dead-letter").len(), mapped(&stored(&engine)).1.len());
            if whole {
                assert!(changes > 20, "only {changes} changes were met");
                break;
            }
        }
    }
}

#[test]
fn what_a_function_has_is_read_again_after_a_pause() {
    let storage = Faulty::new(1);
    let engine = try_open(&storage, &["double", "odd"]);
    engine.create_stream(SOURCE, PARTITIONS).unwrap();
    create(&engine, &definition("p", MAPPED, "{}"));
    send(&engine, &events(100));
    let taken = engine.processors().local_calls().take(common::PATIENCE).unwrap();
    let (ticket, body) = taken.expect("a call");
    let paused: Value = serde_json::from_slice(&engine.processors().pause("p").unwrap()).unwrap();
    assert_eq!(paused["status"], "paused");
    engine.processors().local_calls().answer(ticket, &answered(&body, double_and_odd));
    assert_eq!(made(&engine), []);
    engine.processors().resume("p").unwrap();
    answer(engine.processors(), double_and_odd);
    wait_caught_up(&engine, "p");
    assert_eq!(made(&engine), mapped(&stored(&engine)).0);
    engine.processors().local_calls().answer(CallTicket(1), b"nobody waits for this");
}

#[test]
fn a_processor_goes_on_when_an_answer_makes_no_sense_and_later_ones_do() {
    static SOUND: AtomicBool = AtomicBool::new(false);
    let storage = Faulty::new(1);
    let engine = try_open(&storage, &["double", "odd"]);
    engine.create_stream(SOURCE, PARTITIONS).unwrap();
    let processors = Arc::clone(engine.processors());
    std::thread::spawn(move || {
        while let Ok(Some((ticket, body))) = processors.local_calls().take(common::PATIENCE) {
            let sound = SOUND.load(Ordering::Relaxed);
            let body = if sound { answered(&body, double_and_odd) } else { b"\x02\0\0\0[]{}".to_vec() };
            processors.local_calls().answer(ticket, &body);
        }
    });
    create(&engine, &definition("p", MAPPED, "{}"));
    send(&engine, &events(100));
    wait(&engine, "p", "why it waits", |metrics| {
        metrics["blockedBy"].as_str().is_some_and(|why| why.contains("a function's answer: the results are no array"))
    });
    SOUND.store(true, Ordering::Relaxed);
    wait_caught_up(&engine, "p");
    assert_eq!(made(&engine), mapped(&stored(&engine)).0);
    assert_eq!(read(&engine, "p.dead-letter").len(), mapped(&stored(&engine)).1.len());
}

#[test]
fn results_that_do_not_fit_a_step_are_made_of_fewer_records_and_one_that_never_fits_is_put_aside() {
    fn grow(_name: &str, value: &Value) -> Result<Value, String> {
        let text = |count: usize| json!({ "userId": value["userId"], "text": "x".repeat(count) });
        Ok(match value["amount"].as_i64() {
            Some(1) => text(70_000),
            Some(2) => json!([text(60_000), text(60_000), text(60_000), text(60_000), text(60_000)]),
            _ => text(60_000),
        })
    }
    let storage = Faulty::new(1);
    let engine = begin_with(&storage, grow);
    let operations = r#"[{"type":"map","function":"double"}]"#;
    // A step of these options holds 256 KiB of what a function makes.
    let change = StreamChange { max_record_bytes: Some(65_000), ..StreamChange::default() };
    engine.create_stream_with(SINK, PARTITIONS, change).unwrap();
    create(&engine, &definition("p", operations, "{}"));
    let events: Vec<_> = (0..60)
        .map(|number| Event::new(0, number, i64::from(number == 30) + 2 * i64::from(number == 40), number.into()))
        .collect();
    send(&engine, &events);
    wait_caught_up(&engine, "p");
    let users: Vec<_> = read(&engine, SINK).iter().map(|read| read.key.clone().unwrap()).collect();
    let wanted: Vec<_> =
        (0..60).filter(|number| ![30, 40].contains(number)).map(|number| format!("u{number}")).collect();
    assert_eq!(users, wanted);
    let letters = read(&engine, "p.dead-letter");
    assert_eq!(letters.len(), 2);
    assert!(letters[0].headers.contains("a result has 70026 bytes"), "{}", letters[0].headers);
    assert!(letters[1].headers.contains("its results have 300130 bytes"), "{}", letters[1].headers);
}

#[test]
fn a_function_that_there_is_not_is_refused_by_its_operation() {
    let storage = Faulty::new(1);
    let engine = begin_with(&storage, double_and_odd);
    let operations = r#"[{"type":"filter","predicate":"true"},{"type":"map","function":"treble"}]"#;
    let error = engine.processors().create(&definition("p", operations, "{}")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert_eq!(error.detail(), r#"operations[1].function: there is no function "treble": there are double, odd"#);
    let error = engine.processors().preview(&definition("p", operations, "{}"), 10).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
}

#[test]
fn a_function_that_is_gone_after_a_restart_is_waited_for() {
    let storage = Faulty::new(1);
    let engine = begin_with(&storage, double_and_odd);
    create(&engine, &definition("p", MAPPED, "{}"));
    drop(engine);
    let engine = try_open(&storage, &["odd"]);
    send(&engine, &events(100));
    wait(&engine, "p", "why it waits", |metrics| {
        metrics["blockedBy"] == r#"there is no function "double": there are odd"#
    });
    assert_eq!(description(&engine, "p")["status"], "running");
    drop(engine);
    let engine = open_with(&storage, double_and_odd);
    wait_caught_up(&engine, "p");
    assert_eq!(made(&engine), mapped(&stored(&engine)).0);
}

#[test]
fn a_preview_shows_what_functions_make() {
    let storage = Faulty::new(1);
    let engine = begin_with(&storage, double_and_odd);
    send(&engine, &events(60));
    let preview = engine.processors().preview(&definition("p", MAPPED, "{}"), 60).unwrap();
    let preview: Value = serde_json::from_slice(&preview).unwrap();
    let (wanted, failed) = mapped(&stored(&engine));
    assert_eq!(preview["results"].as_array().unwrap().len(), wanted.len(), "{preview}");
    assert_eq!(preview["failures"], json!([{ "operation": "operations[3]", "error": "five", "count": failed.len() }]));
    assert_eq!(read(&engine, "p.dead-letter"), []);
}

#[test]
fn users_are_joined_by_the_newest_row_of_their_key() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    let join = r#"[{"type":"map","function":"enrichWithUserData"},{"type":"filter","predicate":"value.user.vip"}]"#;
    engine.create_stream("users", 2).unwrap();
    let row = |user: u32, value: &str| {
        let record = NewRecord {
            key: Some(format!("u{user}").into_bytes()),
            value: value.as_bytes().to_vec(),
            headers: Vec::new(),
            timestamp: None,
        };
        engine.append("users", &[record], Some(PartitionId(user % 2))).unwrap();
    };
    for user in 0..6 {
        row(user, r#"{"vip":false}"#);
    }
    row(3, r#"{"vip":true,"name":"Cy"}"#);
    create(&engine, &definition("p", join, "{}"));
    send(&engine, &events(60));
    wait_caught_up(&engine, "p");
    let sink = read(&engine, SINK);
    assert_eq!(sink.len(), 10);
    assert!(sink[0].value.ends_with(r#","user":{"vip":true,"name":"Cy"}}"#), "{:?}", sink[0]);
    assert!(metrics(&engine, "p")["metrics"]["stateBytes"].as_u64() > Some(6 * 13));
    // A row that comes later is for records that come later.
    row(4, r#"{"vip":true}"#);
    send(&engine, &events(6));
    wait_caught_up(&engine, "p");
    assert_eq!(read(&engine, SINK).len(), 12);
    drop(engine);
    let engine = open(&storage);
    send(&engine, &events(6));
    wait_caught_up(&engine, "p");
    assert_eq!(read(&engine, SINK).len(), 14, "the table is read again");
}

#[test]
fn users_whose_record_retention_has_deleted_are_gone_also_after_a_restart() {
    let storage = Faulty::new(1);
    storage.set_capacity(Some(common::NO_ROOM_TO_MERGE));
    let soon = common::sealing_soon();
    let mut engine = common::open(&storage, &soon).unwrap();
    engine.create_stream(SOURCE, PARTITIONS).unwrap();
    engine.create_stream("users", 1).unwrap();
    let put = |engine: &Engine, user: u32, plan: &str| {
        let value = format!(r#"{{"plan":"{plan}"}}"#).into_bytes();
        let key = Some(format!("u{user}").into_bytes());
        engine.append("users", &[NewRecord { key, value, headers: Vec::new(), timestamp: None }], None).unwrap();
    };
    create(&engine, &definition("p", r#"[{"type":"map","function":"enrichWithUserData"}]"#, "{}"));
    (0..4).for_each(|user| put(&engine, user, "old"));
    // Of each user in turn, what is put into the values of as many records.
    let mut sent = 0;
    let mut joined = |engine: &Engine| -> Vec<Value> {
        let events: Vec<_> = (0..4).map(|user| Event::new(0, user, 1, i64::from(sent + user))).collect();
        send(engine, &events);
        wait_caught_up(engine, "p");
        let sink = read(engine, SINK);
        sent += 4;
        assert_eq!(sink.len(), sent as usize);
        let plan = |read: &Read| serde_json::from_str::<Value>(&read.value).unwrap()["user"]["plan"].clone();
        sink[sink.len() - 4..].iter().map(plan).collect()
    };
    assert_eq!(joined(&engine), ["old", "old", "old", "old"]);
    common::wait_sealed(&engine);
    engine.alter_stream("users", StreamChange { retention_bytes: Some(1), ..StreamChange::default() }).unwrap();
    // What is newer stays: of user 1 the newest record, and the one of user 2 is another's.
    put(&engine, 1, "new");
    put(&engine, 7, "new");
    common::wait_sealed(&engine);
    common::until("retention", || engine.stream_report("users").unwrap().partitions[0].1.0 == 4);
    let left = [Value::Null, "new".into(), Value::Null, Value::Null];
    assert_eq!(joined(&engine), left);
    drop(engine);
    engine = common::open(&storage, &soon).unwrap();
    assert_eq!(joined(&engine), left);
}

/// Fails for each record until it is told otherwise.
static MENDED: AtomicBool = AtomicBool::new(false);

fn mended_later(_name: &str, value: &Value) -> Result<Value, String> {
    if MENDED.load(Ordering::Relaxed) { Ok(value.clone()) } else { Err("not yet".to_owned()) }
}

#[test]
fn dead_letters_are_replayed_once_whenever_the_machine_dies() {
    let operations = r#"[{"type":"map","function":"odd"}]"#;
    for power_loss in [false, true] {
        for changes in (0..).step_by(2) {
            MENDED.store(false, Ordering::Relaxed);
            let storage = Faulty::new(changes);
            let engine = begin_with(&storage, mended_later);
            create(&engine, &definition("p", operations, r#"{"checkpointInterval":10}"#));
            send(&engine, &events(30));
            wait(&engine, "p", "letters", |metrics| metrics["metrics"]["deadLetters"] == 30);
            MENDED.store(true, Ordering::Relaxed);
            storage.halt_after(changes);
            let asked = engine.processors().replay_dead_letters("p", Some(forebay_core::Offset(19)));
            let whole = asked.is_ok() && wait_for_results(&engine, 20);
            storage.halt();
            let left = if power_loss { storage.crash() } else { storage.kill() };
            drop(engine);
            let engine = open_with(&left, mended_later);
            engine.processors().replay_dead_letters("p", None).unwrap();
            assert!(wait_for_results(&engine, 30), "after {changes} changes, {power_loss}");
            let mut found: Vec<_> = made(&engine).iter().map(|(_, millis, _)| *millis).collect();
            found.sort_unstable();
            assert_eq!(found, (0..30).collect::<Vec<_>>(), "after {changes} changes, {power_loss}");
            if whole {
                break;
            }
        }
    }
}

/// Waits until the sink has so many records; false when the storage has halted before.
fn wait_for_results(engine: &Engine, count: usize) -> bool {
    let deadline = std::time::Instant::now() + common::PATIENCE;
    while read(engine, SINK).len() < count {
        if !metrics(engine, "p")["blockedBy"].is_null() {
            return false;
        }
        assert!(std::time::Instant::now() < deadline, "{count} results did not come: {}", metrics(engine, "p"));
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

#[test]
fn a_replay_that_is_asked_for_while_a_function_has_letters_loses_none() {
    let storage = Faulty::new(1);
    let engine = try_open(&storage, &["odd"]);
    engine.create_stream(SOURCE, PARTITIONS).unwrap();
    let calls = || engine.processors().local_calls().take(common::PATIENCE).unwrap();
    create(&engine, &definition("p", r#"[{"type":"map","function":"odd"}]"#, "{}"));
    send(&engine, &events(20));
    while metrics(&engine, "p")["metrics"]["deadLetters"] != 20 {
        let taken = engine.processors().local_calls().take(Duration::from_millis(10)).unwrap();
        if let Some((ticket, body)) = taken {
            engine.processors().local_calls().answer(ticket, &answered(&body, |_, _| Err("not yet".to_owned())));
        }
    }
    assert_eq!(engine.processors().replay_dead_letters("p", None).unwrap(), br#"{"replaying":20}"#);
    let (ticket, body) = calls().expect("the first replay");
    assert_eq!(engine.processors().replay_dead_letters("p", None).unwrap(), br#"{"replaying":20}"#);
    engine.processors().local_calls().answer(ticket, &answered(&body, |_, value| Ok(value.clone())));
    answer(engine.processors(), |_, value| Ok(value.clone()));
    assert!(wait_for_results(&engine, 20));
    let mut found: Vec<_> = made(&engine).iter().map(|(_, millis, _)| *millis).collect();
    found.sort_unstable();
    assert_eq!(found, (0..20).collect::<Vec<_>>());
}

#[test]
fn dead_letters_that_wait_keep_a_processor_its_name() {
    let storage = Faulty::new(1);
    let engine = begin_with(&storage, |_, _| Err("never".to_owned()));
    let operations = r#"[{"type":"map","function":"odd"}]"#;
    create(&engine, &definition("p", operations, "{}"));
    send(&engine, &events(3));
    wait(&engine, "p", "letters", |metrics| metrics["metrics"]["deadLetters"] == 3);
    let next = |name: &str| {
        let json = String::from_utf8(definition(name, operations, "{}")).unwrap();
        json.replace(r#""offset":"earliest""#, r#""from":"p""#).into_bytes()
    };
    let refused = engine.processors().create(&next("q")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.detail().contains("it has 3 dead letters"), "{refused}");
    create(&engine, &next("p"));
    engine.processors().drop_dead_letters("p", None).unwrap();
    assert_eq!(create(&engine, &next("q"))["name"], "q");
}
