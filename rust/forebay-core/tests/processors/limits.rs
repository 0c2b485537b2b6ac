//! Memory, disks and numbers that end.

use forebay_core::storage::faulty::Faulty;
use forebay_core::{NewRecord, Options, PartitionId, Timestamp};

use crate::common;
use crate::reference;
use crate::world::*;

#[test]
fn at_the_bound_of_its_state_it_pauses_and_goes_on_without_loss() {
    let storage = Faulty::new(1);
    let little = Options { processor_state_bytes: 1 << 20, ..options() };
    let engine = common::open(&storage, &little).unwrap();
    engine.create_stream(SOURCE, PARTITIONS).unwrap();
    create(&engine, &definition("p", COUNT, BY_RECORDS));
    let mut user = 0;
    while description(&engine, "p")["status"] == "running" {
        let events: Vec<_> = (0..500).map(|number| Event::new(0, user + number, 5000, 10)).collect();
        user += 500;
        assert!(user < 100_000, "there is no bound");
        send(&engine, &events);
    }
    let description = description(&engine, "p");
    assert_eq!(description["status"], "paused");
    assert!(description["reason"].as_str().unwrap().contains("processor_state_bytes"));
    assert_eq!(engine.processors().resume("p").unwrap_err().kind(), forebay_core::ErrorKind::Conflict);
    drop(engine);
    let engine = open(&storage);
    engine.processors().resume("p").unwrap();
    send(&engine, &[Event::last(0), Event::last(1)]);
    // They are more than one step takes.
    wait(&engine, "p", "every result", |metrics| metrics["metrics"]["results"] == user);
    assert_eq!(reference::given(&read(&engine, SINK)).len(), user as usize);
}

#[test]
fn a_full_disk_is_waited_for() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    create(&engine, &definition("p", COUNT, BY_RECORDS));
    let used: u64 = storage.files().iter().map(|(_, bytes)| bytes).sum();
    storage.set_capacity(Some(used));
    let mut sent = 0;
    let filled = loop {
        let events: Vec<_> =
            (0..50).map(|number| Event::new(number % 2, sent + number, 5000, i64::from(sent))).collect();
        if try_send(&engine, &events).is_err() {
            break sent;
        }
        sent += 50;
        assert!(sent < 1_000_000, "the disk is never full");
    };
    assert!(filled > 0);
    storage.set_capacity(None);
    common::until("writing", || try_send(&engine, &[Event::last(0), Event::last(1)]).is_ok());
    wait_caught_up(&engine, "p");
    assert_eq!(reference::given(&read(&engine, SINK)), reference::counts(&stored(&engine), PARTITIONS));
}

#[test]
fn hundreds_read_one_stream() {
    const COUNT_OF_PROCESSORS: usize = 300;
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    for number in 0..COUNT_OF_PROCESSORS {
        create(&engine, &definition(&format!("p{number}"), COUNT, BY_RECORDS));
    }
    let stream = engine.stream_report(SOURCE).unwrap();
    assert_eq!(stream.partitions.len(), PARTITIONS as usize);
    send(&engine, &[Event::new(0, 1, 5000, 10), Event::new(1, 1, 5000, 20), Event::last(0), Event::last(1)]);
    for number in 0..COUNT_OF_PROCESSORS {
        wait_caught_up(&engine, &format!("p{number}"));
    }
    let sink = read(&engine, SINK);
    assert_eq!(sink.len(), COUNT_OF_PROCESSORS);
    assert!(sink.iter().all(|read| read.value.ends_with(r#""key":"u1","count":2}"#)));
}

#[test]
fn what_retention_has_deleted_is_said() {
    let storage = Faulty::new(1);
    let engine = common::open(&storage, &common::sealing_soon()).unwrap();
    engine.create_stream(SOURCE, PARTITIONS).unwrap();
    create(&engine, &definition("p", COPY, "{}"));
    engine.processors().pause("p").unwrap();
    let events: Vec<_> = (0..100).map(|number| Event::new(0, number, 5000, 10)).collect();
    send(&engine, &events);
    common::wait_sealed(&engine);
    let shorter = forebay_core::StreamChange { retention_bytes: Some(1), ..Default::default() };
    engine.alter_stream(SOURCE, shorter).unwrap();
    send(&engine, &[Event::new(0, 1000, 5000, 20)]);
    common::wait_sealed(&engine);
    common::until("retention", || engine.stream_report(SOURCE).unwrap().partitions[0].1.0 > 0);
    let start = engine.stream_report(SOURCE).unwrap().partitions[0].1.0;
    engine.processors().resume("p").unwrap();
    wait_caught_up(&engine, "p");
    let found = metrics(&engine, "p");
    let lost = found["metrics"]["recordsLost"].as_u64().unwrap();
    assert!(lost >= start, "{lost} of {start}: {found}");
    assert_eq!(read(&engine, SINK).len() as u64 + lost, 101);
}

#[test]
fn a_turn_of_which_every_record_is_a_dead_letter_fits_a_commit() {
    let storage = Faulty::new(1);
    let engine = begin(&storage);
    let tiny = NewRecord { key: None, value: b"1".to_vec(), headers: Vec::new(), timestamp: Some(Timestamp(0)) };
    for _ in 0..10 {
        engine.append(SOURCE, &vec![tiny.clone(); 2_000], Some(PartitionId(0))).unwrap();
    }
    create(&engine, &definition("p", COPY, r#"{"timestampField":"when"}"#));
    wait_caught_up(&engine, "p");
    assert_eq!(description(&engine, "p")["status"], "running");
    assert_eq!(read(&engine, "p.dead-letter").len(), 20_000);
}

/// Has retention delete [`LOST`] records of the first partition before they are read, while windows are open. Returns
/// those that were read before.
fn overtaken(engine: &forebay_core::Engine) -> Vec<Event> {
    engine.create_stream(SOURCE, PARTITIONS).unwrap();
    // Any record moves time: by the clock it is still the beginning of 1970.
    let config = r#"{"checkpointInterval":10,"idleTimeout":3600000,"maxFuture":0}"#;
    create(engine, &definition("p", COUNT, config));
    let read_before = vec![Event::new(0, 1, 5000, 110), Event::new(1, 2, 5000, 120)];
    send(engine, &read_before);
    wait_caught_up(engine, "p");
    engine.processors().pause("p").unwrap();
    let lost: Vec<_> = (0..LOST).map(|number| Event::new(0, number, 5000, 130)).collect();
    send(engine, &lost);
    common::wait_sealed(engine);
    let shorter = forebay_core::StreamChange { retention_bytes: Some(1), ..Default::default() };
    engine.alter_stream(SOURCE, shorter).unwrap();
    send(engine, &[Event::new(0, 3, 5000, 140)]);
    common::wait_sealed(engine);
    common::until("retention", || engine.stream_report(SOURCE).unwrap().partitions[0].1.0 == 1 + u64::from(LOST));
    read_before
}

const LOST: u32 = 100;

#[test]
fn windows_that_lack_what_retention_has_deleted_say_so() {
    let storage = Faulty::new(1);
    storage.set_capacity(Some(common::NO_ROOM_TO_MERGE));
    // What is lost was not of the future: by this clock, nothing of it is later than the window that ends at 300.
    storage.stop_clocks();
    storage.set_wall_clock(250_000 - Timestamp::now().0);
    let engine = common::open(&storage, &common::sealing_soon()).unwrap();
    let mut known = overtaken(&engine);
    engine.processors().resume("p").unwrap();
    wait_caught_up(&engine, "p");
    assert_eq!(metrics(&engine, "p")["metrics"]["recordsLost"], LOST);
    assert_eq!(description(&engine, "p")["status"], "running");
    drop(engine);
    let engine = common::open(&storage, &common::sealing_soon()).unwrap();
    let after = [Event::new(0, 4, 5000, 210), Event::new(1, 5, 5000, 320), Event::last(0), Event::last(1)];
    send(&engine, &after);
    wait_caught_up(&engine, "p");
    known.push(Event::new(0, 3, 5000, 140));
    known.extend(after);
    let sink = read(&engine, SINK);
    assert_eq!(reference::given(&sink), reference::counts(&known, PARTITIONS), "what was not lost counts");
    let says = |read: &Read| (read.millis + 1, read.value.contains(r#""incomplete":true"#));
    let mut ends: Vec<_> = sink.iter().map(says).collect();
    ends.sort_unstable();
    ends.dedup();
    assert_eq!(ends, [(200, true), (300, true), (400, false)]);
    assert_eq!(metrics(&engine, "p")["metrics"]["recordsLost"], LOST, "they are counted once");
}
