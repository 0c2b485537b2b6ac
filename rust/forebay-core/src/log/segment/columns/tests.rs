//! Whatever the records are, they come back byte for byte; whatever the bytes are, reading them does not panic.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use proptest::prelude::*;

use super::*;
use crate::ids::Timestamp;
use crate::log::segment::block::Compressor;
use crate::record::{Records, encode_record};
use crate::stream::Compression;
use crate::time::format_millis;

/// A record's key, headers, value and time.
type Parts = (Option<Vec<u8>>, &'static str, String, i64);

fn encoded(records: &[Parts]) -> Vec<u8> {
    let mut raw = Vec::new();
    for (key, headers, value, time) in records {
        let head = (Timestamp(*time), key.as_deref(), headers.as_bytes());
        encode_record(head, |out| out.extend_from_slice(value.as_bytes()), &mut raw);
    }
    raw
}

/// Writes a block and reads it back, whole and in parts; returns its bytes if it was written as columns.
fn round_trip(raw: &[u8]) -> Option<Vec<u8>> {
    let mut writer = ColumnWriter::default();
    let written = writer.write(raw, &mut Compressor::new(), Compression::Zstd)?.to_vec();
    assert!(super::records(&written, Records::new(raw).count(), raw.len()).unwrap() == raw, "the records differ");
    // Memory that another block has used.
    let again = writer.write(raw, &mut Compressor::new(), Compression::Zstd)?;
    assert!(again == written, "a block depends on the one before it");
    let (directory, body) = Directory::split(&written).unwrap();
    assert_eq!(Directory::head(&written), Some((directory.len(), crc32c::crc32c(directory))));
    let directory = Directory::read(directory.to_vec()).unwrap();
    assert_eq!(directory.body_bytes as usize, body.len());
    let mut is_sound = true;
    directory.each_section(&mut |section| is_sound &= section.matches(section.of(body)));
    assert!(is_sound);
    let ends: Vec<usize> = std::iter::once(0)
        .chain(Records::new(raw).scan(0, |at, (_, stored)| {
            *at += stored.len();
            Some(*at)
        }))
        .collect();
    let rows = directory.rows;
    for (from, to) in [(0, 1), (1, rows), (rows / 3, rows / 2), (rows - 1, rows), (rows / 2, rows / 2)] {
        let mut part = Vec::new();
        write_rows(&directory, body, from..to, &mut part).unwrap();
        assert!(part == raw[ends[from]..ends[to]], "rows {from} to {to}");
    }
    Some(written)
}

fn log_line(n: u64) -> Parts {
    let time = 1_764_850_530_000_000 + n as i64 * 17_000;
    let mix = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (user, status) = (mix % 100_000, [200, 404, 500][(mix >> 40) as usize % 3]);
    let level = ["info", "warn", "error"][(mix >> 20) as usize % 3];
    let project = format!("project-{}", mix >> 50 & 7);
    let message = match mix >> 30 & 3 {
        0 => format!("GET /api/v1/users/{user} {status} in {}.{:02}ms", mix % 90, mix % 97),
        1 => format!("connection from 10.{}.{}.{} timed out", mix % 256, mix >> 8 & 255, mix >> 16 & 255),
        2 => format!("request req_{:08x} took {} ms\\n\\tat db-pool", mix >> 32, mix % 3000),
        _ => "cache miss for key \\\"größe\\\"".to_owned(),
    };
    let extra = if mix >> 13 & 7 == 0 { format!(",\"tags\":[\"a{}\",{}]", mix % 3, mix % 5) } else { String::new() };
    let value = format!(
        "{{\"project_id\":\"{project}\",\"timestamp\":\"{}\",\"level\":\"{level}\",\"service\":\"svc-{}\",\"message\":\
         \"{message}\",\"metadata\":{{\"user_id\":{user},\"status\":{status},\"trace\":\"{:016x}{:016x}\",\"ok\":{},\
         \"ratio\":{}.{},\"who\":\"usr{}\"{extra}}}}}",
        format_millis(Timestamp(time)),
        mix >> 45 & 3,
        mix.rotate_left(17),
        mix.rotate_left(31),
        mix & 1 == 0,
        mix % 7,
        mix % 1000,
        mix % 5000,
    );
    (Some(project.into_bytes()), "", value, time)
}

#[test]
fn logs_come_back_and_take_a_tenth() {
    let records: Vec<Parts> = (0..5000).map(log_line).collect();
    let raw = encoded(&records);
    let written = round_trip(&raw).unwrap();
    let (_, body) = Directory::split(&written).unwrap();
    assert!(written.len() < raw.len() / 5, "{} of {}", written.len(), raw.len());
    assert!(written.len() - body.len() < 8192, "the directory has {} bytes", written.len() - body.len());
}

#[test]
fn what_has_little_in_common_is_kept_as_rows() {
    let keys = |n: usize| n.is_multiple_of(2).then(|| b"k".to_vec());
    let mixed: Vec<Parts> = (0..1000).map(|n| (keys(n), "", "{\"a\":1}".to_owned(), 0)).collect();
    let shapes: Vec<Parts> = (0..1000).map(|n| (None, "", format!("{{\"a{n}\":1}}"), 0)).collect();
    let twice: Vec<Parts> = (0..1000).map(|_| (None, "", "{\"a\":1,\"a\":2}".to_owned(), 0)).collect();
    let few: Vec<Parts> = (0..MIN_COLUMN_ROWS as u64 - 1).map(log_line).collect();
    for records in [mixed, shapes, twice, few, Vec::new()] {
        assert!(round_trip(&encoded(&records)).is_none());
    }
    let mut cut = encoded(&(0..1000).map(log_line).collect::<Vec<_>>());
    cut.pop();
    assert!(ColumnWriter::default().write(&cut, &mut Compressor::new(), Compression::Zstd).is_none());
}

#[test]
fn messages_without_templates_are_compressed() {
    let word = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u32;
    let text =
        |n: u64| (0..9).map(|i| format!("w{}x", char::from(b'a' + (word(n * 9 + i) % 26) as u8))).collect::<String>();
    let records: Vec<Parts> = (0..6000).map(|n| (None, "", format!("{{\"message\":\"{}\"}}", text(n)), 5)).collect();
    let raw = encoded(&records);
    let written = round_trip(&raw).unwrap();
    assert!(written.len() < raw.len() / 2, "{} of {}", written.len(), raw.len());
}

#[test]
fn times_at_the_ends_of_time_come_back() {
    let times = [i64::MIN, i64::MAX, 0, -1, 1_000_000, i64::MIN / 2, i64::MAX - 999];
    let records: Vec<Parts> = (0..700).map(|n| (None, "", "{}".to_owned(), times[n % times.len()])).collect();
    round_trip(&encoded(&records)).unwrap();
    let records: Vec<Parts> = (0..700).map(|n| (None, "", "{}".to_owned(), n * 1_000_000 - 3_000_000)).collect();
    assert!(round_trip(&encoded(&records)).unwrap().len() < 1000);
}

/// Flips each bit of a directory, and bytes of the body: whatever is read then, reading ends.
#[test]
fn damaged_bytes_are_told_or_read_as_something_else() {
    let raw = encoded(&(0..600).map(log_line).collect::<Vec<_>>());
    let written = round_trip(&raw).unwrap();
    let (directory, _) = Directory::split(&written).unwrap();
    let end = HEADER_BYTES + directory.len();
    let places = (0..end).chain((end..written.len()).step_by(97));
    for at in places {
        let mut damaged = written.clone();
        damaged[at] ^= 1 << (at % 8);
        let _either = super::records(&damaged, 600, raw.len());
    }
    for cut in (0..written.len()).step_by(53) {
        let _either = super::records(&written[..cut], 600, raw.len());
    }
}

fn any_scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (0..300_u32).prop_map(|n| n.to_string()),
        (any::<i32>(), 0..1000_u32).prop_map(|(n, m)| format!("{n}.{m}")),
        Just("1e5".to_owned()),
        Just("-0".to_owned()),
        Just("true".to_owned()),
        Just("null".to_owned()),
        "[a-zA-Z0-9 ._:/-]{0,24}".prop_map(|text| format!("\"{text}\"")),
        "[0-9a-f]{8}".prop_map(|text| format!("\"{text}\"")),
        "\\PC{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just("\"a\\u0041\\n5\"".to_owned()),
        (0..100_u32).prop_map(|n| format!("\"user {n:04} from 10.0.0.{n}\"")),
    ]
}

fn any_value() -> impl Strategy<Value = String> {
    let leaf = any_scalar();
    prop_oneof![
        3 => (any_scalar(), any_scalar()).prop_map(|(a, b)| format!("{{\"message\":{a},\"metadata\":{{\"x\":{b}}}}}")),
        1 => any_scalar().prop_map(|a| format!("{{ \"level\" : {a} }}")),
        1 => proptest::collection::vec(leaf, 0..4).prop_map(|all| format!("[{}]", all.join(", "))),
        1 => any_scalar(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_records_come_back(
        kinds in proptest::collection::vec((any_value(), any::<i64>()), 1..12),
        order in proptest::collection::vec(any::<proptest::sample::Index>(), 300..700),
        has_keys in any::<bool>(),
    ) {
        let key = |n: usize| has_keys.then(|| format!("k{}", n % 5).into_bytes());
        let record = |(n, index): (usize, &proptest::sample::Index)| {
            let (value, time) = index.get(&kinds);
            (key(n), if n.is_multiple_of(3) { "{\"h\":\"x\"}" } else { "" }, value.clone(), *time)
        };
        let records: Vec<Parts> = order.iter().enumerate().map(record).collect();
        let _either = round_trip(&encoded(&records));
    }

    #[test]
    fn any_texts_of_one_shape_come_back(texts in proptest::collection::vec(any_scalar(), 300..600)) {
        let strings: Vec<Parts> = texts.iter().map(|text| {
            let text = if text.starts_with('"') { text.clone() } else { format!("\"{text}\"") };
            (None, "", format!("{{\"message\":{text}}}"), 1)
        }).collect();
        prop_assert!(round_trip(&encoded(&strings)).is_some());
    }
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    let raw = encoded(&(0..12_000).map(log_line).collect::<Vec<_>>());
    let (mut writer, mut compressor) = (ColumnWriter::default(), Compressor::new());
    let rounds = 40;
    let begun = std::time::Instant::now();
    let mut stored = 0;
    for _ in 0..rounds {
        stored = writer.write(&raw, &mut compressor, Compression::Zstd).unwrap().len();
    }
    let each = |begun: std::time::Instant| begun.elapsed().as_nanos() as f64 / f64::from(rounds) / 12_000.0;
    eprintln!(
        "columns: {:.0} ns a row, {:.1} of {:.1} bytes",
        each(begun),
        stored as f64 / 12e3,
        raw.len() as f64 / 12e3
    );
    let written = writer.write(&raw, &mut compressor, Compression::Zstd).unwrap().to_vec();
    let begun = std::time::Instant::now();
    for _ in 0..rounds {
        assert!(super::records(&written, 12_000, raw.len()).is_some());
    }
    eprintln!("read back: {:.0} ns a row", each(begun));
    let begun = std::time::Instant::now();
    for _ in 0..rounds {
        stored = raw.chunks(128 * 1024).map(|block| compressor.compress(block, Compression::Zstd).1.len()).sum();
    }
    eprintln!("rows: {:.0} ns a row, {:.1} bytes", each(begun), stored as f64 / 12e3);
}
