//! Reading as a group.

use std::time::Instant;

use forebay_core::consumer::{Consume, MAX_ANSWER_BYTES, MAX_FILTERED_RECORDS, OnReset, StartAt};
use forebay_core::{ErrorKind, Filter, NewRecord, Offset, PartitionId, Retention, StreamId, Timestamp};

use crate::common;
use crate::world::*;

#[test]
fn it_repeats_until_a_commit() {
    let (_storage, engine) = with_stream(1);
    append(&engine, 0, 5);
    let first = consume(&engine);
    assert_eq!(places(&first), (0..5).map(|offset| (0, offset)).collect::<Vec<_>>());
    assert_eq!(places(&consume(&engine)), places(&first));
    commit(&engine, &[(0, 3)]).unwrap();
    assert_eq!(places(&consume(&engine)), [(0, 3), (0, 4)]);
    commit(&engine, &[(0, 5)]).unwrap();
    assert_eq!(consume(&engine).count(), 0);
    append(&engine, 0, 1);
    assert_eq!(places(&consume(&engine)), [(0, 5)]);
}

#[test]
fn auto_commit_moves_on_and_never_back() {
    let (_storage, engine) = with_stream(2);
    append(&engine, 0, 3);
    append(&engine, 1, 1);
    let auto = Consume { auto_commit: true, limit: 2, ..plain(Instant::now()) };
    assert_eq!(engine.groups().consume(&auto).unwrap().count(), 2);
    assert_eq!(committed(&engine), [(0, 1), (1, 1)]);
    let again = Consume { start_at: StartAt::Earliest, ..auto.clone() };
    assert_eq!(engine.groups().consume(&again).unwrap().count(), 2);
    assert_eq!(committed(&engine), [(0, 1), (1, 1)]);
    assert_eq!(places(&engine.groups().consume(&auto).unwrap()), [(0, 1), (0, 2)]);
    assert_eq!(committed(&engine), [(0, 3), (1, 1)]);
}

#[test]
fn offsets_are_chosen_and_out_of_range_tells_the_range() {
    let (_storage, engine) = with_stream(2);
    append(&engine, 0, 10);
    let at = |start_at, partition, on_reset| {
        let partition = Some(PartitionId(partition));
        engine.groups().consume(&Consume { start_at, partition, on_reset, ..plain(Instant::now()) })
    };
    assert_eq!(places(&at(StartAt::At(Offset(8)), 0, OnReset::Error).unwrap()), [(0, 8), (0, 9)]);
    assert_eq!(next(&at(StartAt::Latest, 0, OnReset::Error).unwrap()), [10]);
    assert_eq!(at(StartAt::At(Offset(10)), 0, OnReset::Error).unwrap().count(), 0);
    let beyond = at(StartAt::At(Offset(11)), 0, OnReset::Error).unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::InvalidOffset);
    assert!(beyond.detail().contains("valid are 0 to 10"), "{beyond}");
    assert_eq!(at(StartAt::At(Offset(11)), 0, OnReset::Earliest).unwrap().count(), 10);
    assert_eq!(next(&at(StartAt::At(Offset(11)), 0, OnReset::Latest).unwrap()), [10]);
    assert_eq!(kind(at(StartAt::Earliest, 2, OnReset::Error)), ErrorKind::InvalidRequest);
    let without = Consume { start_at: StartAt::At(Offset(1)), ..plain(Instant::now()) };
    assert_eq!(kind(engine.groups().consume(&without)), ErrorKind::InvalidOffset);
    let unknown = Consume { stream: "nothing", group: "other", ..plain(Instant::now()) };
    assert_eq!(kind(engine.groups().consume(&unknown)), ErrorKind::StreamNotFound);
    assert_eq!(kind(engine.groups().report("other", Instant::now())), ErrorKind::ConsumerGroupNotFound);
}

#[test]
fn a_busy_partition_does_not_starve_the_others() {
    let (_storage, engine) = with_stream(3);
    append(&engine, 0, 500);
    append(&engine, 1, 2);
    append(&engine, 2, 30);
    let counts = |limit| {
        let fetched = engine.groups().consume(&Consume { limit, ..plain(Instant::now()) }).unwrap();
        assert!(fetched.count() == limit, "the limit is used up");
        next(&fetched)
    };
    assert_eq!(counts(100), [68, 2, 30]);
    assert_eq!(counts(20), [9, 2, 9]);
    let mut turns: Vec<_> = (0..3).map(|_| counts(1)).collect();
    turns.sort();
    assert_eq!(turns, [[0, 0, 1], [0, 1, 0], [1, 0, 0]], "each gets its turn");
}

#[test]
fn an_answer_is_bounded_in_bytes() {
    const RECORDS: usize = 120;
    let (_storage, engine) = with_stream(2);
    let value = format!("\"{}\"", "x".repeat(100_000)).into_bytes();
    let record = NewRecord { key: None, value, headers: Vec::new(), timestamp: None };
    for batch in 0..RECORDS / 2 {
        let partition = Some(PartitionId(u32::try_from(batch % 2).unwrap()));
        let records = [record.clone(), record.clone()];
        common::until("room", || match engine.append(STREAM, &records, partition) {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Saturated, "{error}");
                false
            }
        });
    }
    let call = Consume { limit: 10_000, ..plain(Instant::now()) };
    let first = engine.groups().consume(&call).unwrap();
    let bytes: usize = first.batches.iter().map(forebay_core::RecordBatch::bytes).sum();
    assert!(bytes <= MAX_ANSWER_BYTES && bytes > MAX_ANSWER_BYTES * 9 / 10, "{bytes}");
    assert!(next(&first).iter().all(|next| *next > 30), "both had their share: {:?}", next(&first));
    let resume: Vec<_> = first.reached.iter().map(|reached| (reached.partition, reached.next)).collect();
    let rest = engine.groups().consume(&Consume { resume: &resume, ..call }).unwrap();
    assert_eq!(first.count() + rest.count(), RECORDS);
}

#[test]
fn below_the_start_after_retention() {
    let storage = forebay_core::storage::faulty::Faulty::new(1);
    let options = forebay_core::Options {
        logs_retention: Retention { age: None, bytes: Some(1) },
        logs_partitions: 1,
        ..common::sealing_soon()
    };
    let engine = common::open(&storage, &options).unwrap();
    let logs = Consume { stream: forebay_core::LOGS, ..plain(Instant::now()) };
    let drain = |batch| {
        let body = common::drain(&common::Mark::batch(batch, 10, 10));
        engine.ingest(forebay_core::Request::new(&forebay_core::ingest::route::DRAIN, body)).unwrap();
    };
    drain(0);
    engine.groups().consume(&Consume { auto_commit: true, limit: 1, ..logs.clone() }).unwrap();
    let start = || engine.stream_report(forebay_core::LOGS).unwrap().partitions[0].1.0;
    // The last segment stays: without it there would be less than a byte.
    common::wait_sealed(&engine);
    drain(1);
    common::until("retention", || start() == 10);
    let gone = engine.groups().consume(&logs).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::InvalidOffset);
    assert!(gone.detail().contains("offset 1 ") && gone.detail().contains("valid are "), "{gone}");
    let latest = engine.groups().consume(&Consume { on_reset: OnReset::Latest, ..logs.clone() }).unwrap();
    assert_eq!(next(&latest), [20]);
    let fresh = Consume { group: "fresh", ..logs };
    assert!(next(&engine.groups().consume(&fresh).unwrap())[0] >= 10);
}

#[test]
fn resuming_goes_on_without_a_commit() {
    let (_storage, engine) = with_stream(2);
    append(&engine, 0, 4);
    append(&engine, 1, 1);
    let resume = [(PartitionId(0), Offset(3)), (PartitionId(1), Offset(1))];
    let resumed = Consume { resume: &resume, ..plain(Instant::now()) };
    assert_eq!(places(&engine.groups().consume(&resumed).unwrap()), [(0, 3)]);
    commit(&engine, &[(0, 4)]).unwrap();
    assert_eq!(engine.groups().consume(&resumed).unwrap().count(), 0, "what is committed is not read again");
    let latest = Consume { start_at: StartAt::Latest, ..resumed };
    assert_eq!(places(&engine.groups().consume(&latest).unwrap()), [(0, 3)]);
}

#[test]
fn offsets_move_past_what_a_filter_leaves_out() {
    let (_storage, engine) = with_stream(2);
    append(&engine, 0, 95);
    append(&engine, 1, 5);
    let tenths = Filter::new("offset % 10 == 0 && value == offset").unwrap();
    let call = Consume { filter: Some(&tenths), ..plain(Instant::now()) };
    let all = engine.groups().consume(&call).unwrap();
    assert_eq!(
        places(&all),
        [(0, 0), (0, 10), (0, 20), (0, 30), (0, 40), (0, 50), (0, 60), (0, 70), (0, 80), (0, 90), (1, 0)]
    );
    assert_eq!(next(&all), [95, 5]);
    let some = engine.groups().consume(&Consume { limit: 4, ..call.clone() }).unwrap();
    assert_eq!(some.count(), 3, "{:?}", places(&some));
    assert_eq!(next(&some), [11, 5], "what matched and was not given comes next time");
    let auto = Consume { auto_commit: true, start_at: StartAt::Latest, ..call.clone() };
    assert_eq!(engine.groups().consume(&auto).unwrap().count(), 0);
    assert_eq!(committed(&engine), [], "nothing was read, nothing is committed");
    commit(&engine, &[(0, 91), (1, 1)]).unwrap();
    let auto = Consume { auto_commit: true, ..call };
    assert_eq!(engine.groups().consume(&auto).unwrap().count(), 0);
    assert_eq!(committed(&engine), [(0, 95), (1, 5)], "what was left out is done with");
}

#[test]
fn a_filter_that_matches_nothing_ends_its_call() {
    const RECORDS: u64 = 2 * MAX_FILTERED_RECORDS as u64 + 10;
    let nothing = Filter::new("offset < 0").unwrap();
    let storage = forebay_core::storage::faulty::Faulty::new(1);
    let options = forebay_core::Options { ring_bytes: 64 << 20, journal_file_bytes: 16 << 20, ..common::small() };
    let engine = common::open(&storage, &options).unwrap();
    engine.create_stream(STREAM, 1).unwrap();
    for from in (0..RECORDS).step_by(10_000) {
        append(&engine, 0, 10_000.min(RECORDS - from));
    }
    let (mut resume, mut calls) = (Vec::new(), 0);
    loop {
        let call = Consume { filter: Some(&nothing), resume: &resume, ..plain(Instant::now()) };
        let fetched = engine.groups().consume(&call).unwrap();
        assert_eq!(fetched.count(), 0);
        calls += 1;
        if next(&fetched) == [RECORDS] {
            break;
        }
        resume = fetched.reached.iter().map(|reached| (reached.partition, reached.next)).collect();
    }
    assert!(calls >= 3, "{calls}");
}

#[test]
fn the_answer_has_the_contracts_shape() {
    let (_storage, engine) = with_stream(2);
    let record = NewRecord {
        key: Some(b"user-\"1\"".to_vec()),
        value: b"{\"a\": [1,\n2]}".to_vec(),
        headers: br#"{"h":"x"}"#.to_vec(),
        timestamp: Some(Timestamp(1_736_937_000_123_456)),
    };
    engine
        .append(STREAM, &[record.clone(), NewRecord { key: None, headers: Vec::new(), ..record }], Some(PartitionId(1)))
        .unwrap();
    append(&engine, 0, 3);
    let fetched =
        engine.groups().consume(&Consume { partition: Some(PartitionId(1)), ..plain(Instant::now()) }).unwrap();
    let StreamId(id) = fetched.stream.id();
    let wanted = format!(
        r#"{{"events":[{{"eventId":"evt_{id}_1_0","partition":1,"offset":0,"timestamp":"2025-01-15T10:30:00.123Z","key":"user-\"1\"","headers":{{"h":"x"}},"value":{{"a":[1,2]}}}},{{"eventId":"evt_{id}_1_1","partition":1,"offset":1,"timestamp":"2025-01-15T10:30:00.123Z","key":null,"value":{{"a":[1,2]}}}}],"metadata":{{"consumerGroup":"billing","lag":0,"nextOffset":2,"nextOffsets":{{"1":2}},"lags":{{"1":0}},"recordsLost":0}}}}"#
    );
    assert_eq!(json(&fetched), serde_json::from_str::<serde_json::Value>(&wanted).unwrap());
    let both = engine.groups().consume(&Consume { limit: 1, ..plain(Instant::now()) }).unwrap();
    let metadata = &json(&both)["metadata"];
    assert_eq!(metadata["lag"], 4);
    assert_eq!(metadata["nextOffset"], 1);
}
