use forebay_core::Timestamp;
use forebay_core::time::{TimestampError, format_micros, format_millis, parse_timestamp};
use proptest::prelude::*;
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, UtcOffset};

const FIRST: i64 = -62_135_596_800_000_000;
const LAST: i64 = 253_402_300_799_999_999;

#[test]
fn accepted_forms() {
    let table = [
        ("2024-05-31T15:30:45Z", "2024-05-31T15:30:45.000000Z"),
        ("2024-05-31T15:30:45.123Z", "2024-05-31T15:30:45.123000Z"),
        ("2024-05-31t15:30:45.123z", "2024-05-31T15:30:45.123000Z"),
        ("2024-05-31T15:30:45", "2024-05-31T15:30:45.000000Z"),
        ("2024-05-31 15:30:45.123456+00", "2024-05-31T15:30:45.123456Z"),
        ("2024-05-31 15:30:45,5", "2024-05-31T15:30:45.500000Z"),
        ("2024-05-31T15:30:45.123456789Z", "2024-05-31T15:30:45.123456Z"),
        ("2024-05-31T15:30:45.999999999Z", "2024-05-31T15:30:45.999999Z"),
        ("2024-05-31T15:30:45.0000019+02:00", "2024-05-31T13:30:45.000001Z"),
        ("2024-05-31T15:30:45-0730", "2024-05-31T23:00:45.000000Z"),
        ("2024-05-31T15:30:45+23:59", "2024-05-30T15:31:45.000000Z"),
        ("2024-05-31T15:30:45-00:00", "2024-05-31T15:30:45.000000Z"),
        ("2024-05-31T15:30", "2024-05-31T15:30:00.000000Z"),
        ("2024-05-31 15:30Z", "2024-05-31T15:30:00.000000Z"),
        ("2024-05-31T15:30+01", "2024-05-31T14:30:00.000000Z"),
        ("2024-05-31", "2024-05-31T00:00:00.000000Z"),
        ("20240531", "2024-05-31T00:00:00.000000Z"),
        ("20240531T153045Z", "2024-05-31T15:30:45.000000Z"),
        ("20240531t153045,25-01", "2024-05-31T16:30:45.250000Z"),
        ("20240531 1530", "2024-05-31T15:30:00.000000Z"),
        ("20240531T1530+0200", "2024-05-31T13:30:00.000000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"),
        ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500000Z"),
        ("2024-05-31T15:30:60+01:00", "2024-05-31T14:31:00.000000Z"),
        ("20240228T235960", "2024-02-29T00:00:00.000000Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z"),
        ("2000-02-29", "2000-02-29T00:00:00.000000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
    ];
    for (text, expected) in table {
        let timestamp = parse_timestamp(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(format_micros(timestamp), expected, "{text}");
    }
}

#[test]
fn refused_forms() {
    use TimestampError::{Day, Empty, Form, Fraction, Hour, Minute, Month, Range, Second, Space, Year, Zone};
    let table = [
        ("", Empty),
        (" 2024-05-31", Space),
        ("2024-05-31T15:30:45Z ", Space),
        ("2024-05-31T15:30:45Z\n", Space),
        ("0000-01-01T00:00:00Z", Year),
        ("2024-00-10T00:00:00Z", Month),
        ("2024-13-10", Month),
        ("2024-05-00T00:00:00Z", Day),
        ("2024-05-32T00:00:00Z", Day),
        ("2024-06-31T00:00:00Z", Day),
        ("2023-02-29T00:00:00Z", Day),
        ("1900-02-29T00:00:00Z", Day),
        ("20230229", Day),
        ("2024-05-31T24:00:00Z", Hour),
        ("2024-05-31T15:60:00Z", Minute),
        ("2024-05-31T15:30:61Z", Second),
        ("2024-05-31T15:30:45.Z", Fraction),
        ("2024-05-31T15:30:45,", Fraction),
        ("2024-05-31T15:30:45.1234567890Z", Fraction),
        ("2024-05-31T15:30:45+24:00", Zone),
        ("2024-05-31T15:30:45+01:60", Zone),
        ("2024-05-31T15:30:45+1", Zone),
        ("2024-05-31T15:30:45+010", Zone),
        ("2024-05-31T15:30:45+01:", Zone),
        ("2024-05-31T15:30:45+01:000", Zone),
        ("2024-05-31T15:30:45+0100Z", Zone),
        ("0001-01-01T00:00:00+00:01", Range),
        ("9999-12-31T23:59:59-00:01", Range),
        ("9999-12-31T23:59:60Z", Range),
        ("yesterday", Form),
        ("1717169445", Form),
        ("1717169445123", Form),
        ("2024", Form),
        ("2024-05", Form),
        ("24-05-31", Form),
        ("2024-5-31", Form),
        ("2024/05/31", Form),
        ("2024-05-31T", Form),
        ("2024-05-31T15", Form),
        ("2024-05-31T15Z", Form),
        ("2024-05-31Z", Form),
        ("2024-05-31T153045Z", Form),
        ("20240531T15:30:45Z", Form),
        ("2024-0531", Form),
        ("2024-05-31T15:30.5Z", Form),
        ("2024-05-31T15:30:45 +01:00", Form),
        ("2024-05-31T15:30:45 UTC", Form),
        ("2024-05-31T15:30:45ZZ", Form),
        ("2024-05-31T15:30:45.5x", Form),
        ("2024-05-31  15:30:45", Form),
        ("2024-05-31_15:30:45", Form),
        ("2024-W22-5", Form),
        ("2024-152", Form),
        ("+2024-05-31T15:30:45Z", Form),
        ("2024-05-31T15:30:4", Form),
        ("2024-05-31T15:30:", Form),
        ("2024-05-31T1५:30:45Z", Form),
        ("2024-05-31T15:30:45\u{2212}01:00", Form),
        ("2024-05-31T15:30:45Z\0", Form),
    ];
    for (text, expected) in table {
        assert_eq!(parse_timestamp(text.as_bytes()), Err(expected), "{text:?}");
    }
}

#[test]
fn every_day_of_the_calendar_agrees_with_time() {
    let mut date = Date::MIN.max(time::macros::date!(0001 - 01 - 01));
    let last = time::macros::date!(9999 - 12 - 31);
    loop {
        let text = format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day());
        let seconds = date.midnight().assume_utc().unix_timestamp();
        assert_eq!(parse_timestamp(text.as_bytes()), Ok(Timestamp(seconds * 1_000_000)), "{text}");
        assert_eq!(format_micros(Timestamp(seconds * 1_000_000)), format!("{text}T00:00:00.000000Z"));
        if date == last {
            return;
        }
        date = date.next_day().unwrap();
    }
}

#[test]
fn milliseconds_are_rounded_down_also_before_1970() {
    assert_eq!(format_millis(Timestamp(1_999)), "1970-01-01T00:00:00.001Z");
    assert_eq!(format_millis(Timestamp(-1)), "1969-12-31T23:59:59.999Z");
    assert_eq!(format_millis(Timestamp(-1_001)), "1969-12-31T23:59:59.998Z");
}

#[test]
fn moments_that_rfc_3339_cannot_write_take_the_expanded_form() {
    assert_eq!(format_micros(Timestamp(LAST + 1)), "+010000-01-01T00:00:00.000000Z");
    assert_eq!(format_micros(Timestamp(i64::MAX)), "+294247-01-10T04:00:54.775807Z");
    assert_eq!(format_micros(Timestamp(i64::MIN)), "-290308-12-21T19:59:05.224192Z");
}

#[test]
fn one_changed_byte_never_loosens_rfc_3339() {
    let good = b"2024-05-31T15:30:45.123Z";
    for (index, byte) in (0..good.len()).flat_map(|index| (0..=u8::MAX).map(move |byte| (index, byte))) {
        let mut text = *good;
        text[index] = byte;
        // Where RFC 3339, or `time`'s reading of it, is narrower or wider than the contract.
        let comma = index == 19 && byte == b',';
        let no_zone = index == 23 && byte.is_ascii_digit();
        let (separator, leap_second) = (index == 10, index == 17 && byte == b'6');
        let ours = parse_timestamp(&text).map(|timestamp| i128::from(timestamp.0) * 1000);
        let reference = std::str::from_utf8(&text).ok().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        if separator {
            assert_eq!(ours.is_ok(), matches!(byte, b'T' | b't' | b' '), "{}", text.escape_ascii());
        } else if !comma && !no_zone && !leap_second {
            assert_eq!(ours.ok(), reference.map(OffsetDateTime::unix_timestamp_nanos), "{}", text.escape_ascii());
        }
    }
}

fn zones() -> impl Strategy<Value = (String, i64)> {
    let offset = (any::<bool>(), 0..24_i64, 0..60_i64, 0..3_u8).prop_map(|(west, hours, minutes, form)| {
        let sign = if west { '-' } else { '+' };
        let (text, minutes) = match form {
            0 => (format!("{sign}{hours:02}"), 0),
            1 => (format!("{sign}{hours:02}{minutes:02}"), minutes),
            _ => (format!("{sign}{hours:02}:{minutes:02}"), minutes),
        };
        (text, if west { -(hours * 60 + minutes) } else { hours * 60 + minutes })
    });
    prop_oneof![Just((String::new(), 0)), Just(("Z".into(), 0)), Just(("z".into(), 0)), offset]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_is_written_reads_back(micros in FIRST..=LAST) {
        let timestamp = Timestamp(micros);
        prop_assert_eq!(parse_timestamp(format_micros(timestamp).as_bytes()), Ok(timestamp));
        let millis = parse_timestamp(format_millis(timestamp).as_bytes());
        prop_assert_eq!(millis, Ok(Timestamp(micros.div_euclid(1000) * 1000)));
        let reference = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).unwrap();
        let read = OffsetDateTime::parse(&format_micros(timestamp), &Rfc3339).unwrap();
        prop_assert_eq!(read, reference);
    }

    #[test]
    fn all_forms_agree_with_time(
        seconds in FIRST / 1_000_000..=LAST / 1_000_000,
        digits in "[0-9]{0,9}",
        mark in prop_oneof![Just('.'), Just(',')],
        between in prop_oneof![Just('T'), Just('t'), Just(' ')],
        extended: bool,
        (zone, minutes_east) in zones(),
    ) {
        let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let offset = UtcOffset::from_whole_seconds(i32::try_from(minutes_east * 60).unwrap()).unwrap();
        let Some(local) = moment.checked_to_offset(offset) else { return Ok(()) };
        prop_assume!((1..=9999).contains(&local.year()));
        let (dash, colon) = if extended { ("-", ":") } else { ("", "") };
        let (year, month, day) = (local.year(), u8::from(local.month()), local.day());
        let (hour, minute, second) = (local.hour(), local.minute(), local.second());
        let fraction = if digits.is_empty() { String::new() } else { format!("{mark}{digits}") };
        let text = format!(
            "{year:04}{dash}{month:02}{dash}{day:02}{between}{hour:02}{colon}{minute:02}{colon}{second:02}{fraction}{zone}"
        );
        let micros: i64 = format!("{digits:0<6}")[..6].parse().unwrap();
        prop_assert_eq!(parse_timestamp(text.as_bytes()), Ok(Timestamp(seconds * 1_000_000 + micros)), "{}", text);
    }

    #[test]
    fn arbitrary_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = parse_timestamp(&text);
    }
}
