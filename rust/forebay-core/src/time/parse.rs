use super::civil::{MICROS_PER_SECOND, days_from_civil, days_in_month};
use super::error::TimestampError;
use crate::ids::Timestamp;

/// 0001-01-01T00:00:00Z.
const FIRST: i64 = -62_135_596_800 * MICROS_PER_SECOND;
/// 9999-12-31T23:59:59.999999Z.
const LAST: i64 = 253_402_300_800 * MICROS_PER_SECOND - 1;
/// More digits than nanoseconds need are taken for a mistake, not for precision.
const MAX_FRACTION_DIGITS: usize = 9;
const FRACTION_DIGITS_KEPT: usize = 6;

/// A date and a time of day as written, before any check of the values against each other.
#[derive(Clone, Copy, Default)]
struct Civil {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
}

/// Reads a timestamp in RFC 3339, ISO 8601 (calendar dates, basic and extended) or SQL form.
///
/// Date: `YYYY-MM-DD` or `YYYYMMDD`. Time, optional: after `T`, `t` or one space, `hh:mm[:ss]` with an extended date,
/// `hhmm[ss]` with a basic one; after the seconds a fraction of 1 to 9 digits behind a dot or a comma, truncated to
/// microseconds. Zone, optional, after a time: `Z`, `z`, `±hh`, `±hhmm`, `±hh:mm`; without one the time is UTC.
/// `:60` is taken for a leap second at the end of any minute and folds into the next second.
///
/// # Errors
/// Everything else, also a moment that in UTC lies outside of the years 0001 to 9999.
pub fn parse_timestamp(text: &[u8]) -> Result<Timestamp, TimestampError> {
    let Some((civil, tail)) = common_head(text) else { return parse_any(text) };
    match tail {
        [b'Z'] => resolve(civil, 0, 0),
        [b'.', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'Z'] => {
            let millis = u32::from(a - b'0') * 100 + u32::from(b - b'0') * 10 + u32::from(c - b'0');
            resolve(civil, millis * 1000, 0)
        }
        _ => fraction_and_zone(civil, tail),
    }
}

/// Returns a moment as milliseconds since 1970 UTC; `None` outside of the years 0001 to 9999.
#[must_use]
pub(crate) fn from_millis(millis: i64) -> Option<Timestamp> {
    let micros = millis.checked_mul(1000)?;
    (FIRST..=LAST).contains(&micros).then_some(Timestamp(micros))
}

/// Returns the nineteen bytes `YYYY-MM-DDThh:mm:ss` that nearly every sender's timestamps begin with, read a word at a
/// time.
#[inline]
fn common_head(text: &[u8]) -> Option<(Civil, &[u8])> {
    let (head, tail) = text.split_first_chunk::<19>()?;
    let date = decimal_word::<{ mask(*b"    -  -") }>(*head.first_chunk()?, *b"0000-00-")?;
    let time = decimal_word::<{ mask(*b"  :  :  ") }>(*head.last_chunk()?, *b"00:00:00")?;
    let [.., day_tens, day_ones, b'T' | b't' | b' ', _, _, _, _, _, _, _, _] = *head else { return None };
    let (day_tens, day_ones) = (day_tens.wrapping_sub(b'0'), day_ones.wrapping_sub(b'0'));
    if day_tens > 9 || day_ones > 9 {
        return None;
    }
    let at = |word: u64, index: u32| (word >> (8 * index)) as u8;
    let pair = |word: u64, index: u32| u32::from(at(word, index)) * 10 + u32::from(at(word, index + 1));
    let civil = Civil {
        year: pair(date, 0) * 100 + pair(date, 2),
        month: pair(date, 5),
        day: u32::from(day_tens) * 10 + u32::from(day_ones),
        hour: pair(time, 0),
        minute: pair(time, 3),
        second: pair(time, 6),
    };
    Some((civil, tail))
}

/// 0xff where the pattern has a separator, 0 where it has a space.
const fn mask(pattern: [u8; 8]) -> u64 {
    let mut bytes = pattern;
    let mut index = 0;
    while index < bytes.len() {
        bytes[index] = if bytes[index] == b' ' { 0 } else { 0xff };
        index += 1;
    }
    u64::from_le_bytes(bytes)
}

/// Returns the values of the digits of `word`, a byte each, when it has digits and separators exactly where `pattern`
/// has.
#[inline]
fn decimal_word<const SEPARATORS: u64>(word: [u8; 8], pattern: [u8; 8]) -> Option<u64> {
    let values = u64::from_le_bytes(word) ^ u64::from_le_bytes(pattern);
    // A byte over 9 reaches its top bit by adding 0x76. One that carries into its neighbour has its own top bit set
    // already, so no wrong word gets by.
    let over_nine = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    (over_nine == 0 && values & SEPARATORS == 0).then_some(values)
}

fn parse_any(text: &[u8]) -> Result<Timestamp, TimestampError> {
    match text {
        [] => return Err(TimestampError::Empty),
        [b' ' | b'\t' | b'\r' | b'\n', ..] | [.., b' ' | b'\t' | b'\r' | b'\n'] => {
            return Err(TimestampError::Space);
        }
        _ => {}
    }
    let mut civil = Civil::default();
    let extended = text.get(4) == Some(&b'-');
    let (century, rest) = two_digits(text)?;
    let (year, rest) = two_digits(rest)?;
    let (month, rest) = two_digits(separator(rest, extended, b'-')?)?;
    let (day, rest) = two_digits(separator(rest, extended, b'-')?)?;
    (civil.year, civil.month, civil.day) = (century * 100 + year, month, day);
    let rest = match rest {
        [] => return resolve(civil, 0, 0),
        [b'T' | b't' | b' ', rest @ ..] => rest,
        _ => return Err(TimestampError::Form),
    };
    let (hour, rest) = two_digits(rest)?;
    let (minute, rest) = two_digits(separator(rest, extended, b':')?)?;
    (civil.hour, civil.minute) = (hour, minute);
    let has_seconds = if extended { rest.first() == Some(&b':') } else { rest.first().is_some_and(u8::is_ascii_digit) };
    if !has_seconds {
        // A fraction of a minute is ISO 8601 too, but no logger writes it, and reading it as seconds would be wrong.
        return resolve(civil, 0, zone(rest)?);
    }
    let (second, rest) = two_digits(separator(rest, extended, b':')?)?;
    civil.second = second;
    fraction_and_zone(civil, rest)
}

fn two_digits(text: &[u8]) -> Result<(u32, &[u8]), TimestampError> {
    match text {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] => {
            Ok((u32::from(tens - b'0') * 10 + u32::from(ones - b'0'), rest))
        }
        _ => Err(TimestampError::Form),
    }
}

/// Returns what follows `sign` in the extended form; in the basic form nothing stands between the parts.
fn separator(text: &[u8], extended: bool, sign: u8) -> Result<&[u8], TimestampError> {
    if !extended {
        return Ok(text);
    }
    match text {
        [first, rest @ ..] if *first == sign => Ok(rest),
        _ => Err(TimestampError::Form),
    }
}

fn fraction_and_zone(civil: Civil, text: &[u8]) -> Result<Timestamp, TimestampError> {
    let [b'.' | b',', rest @ ..] = text else { return resolve(civil, 0, zone(text)?) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > MAX_FRACTION_DIGITS {
        return Err(TimestampError::Fraction);
    }
    let (fraction, rest) = rest.split_at(digits);
    let kept = fraction.iter().chain(std::iter::repeat(&b'0')).take(FRACTION_DIGITS_KEPT);
    let micros = kept.fold(0, |micros, digit| micros * 10 + u32::from(digit - b'0'));
    resolve(civil, micros, zone(rest)?)
}

/// Minutes east of UTC. RFC 3339's `-00:00` ("offset unknown") is UTC as well.
fn zone(text: &[u8]) -> Result<i64, TimestampError> {
    let (sign, rest) = match text {
        [] | [b'Z' | b'z'] => return Ok(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        [.., b' ' | b'\t' | b'\r' | b'\n'] => return Err(TimestampError::Space),
        _ => return Err(TimestampError::Form),
    };
    let (hours, rest) = two_digits(rest).map_err(|_| TimestampError::Zone)?;
    let (minutes, rest) = match rest {
        [] => (0, rest),
        [b':', rest @ ..] | rest => two_digits(rest).map_err(|_| TimestampError::Zone)?,
    };
    if hours > 23 || minutes > 59 || !rest.is_empty() {
        return Err(TimestampError::Zone);
    }
    Ok(sign * i64::from(hours * 60 + minutes))
}

#[inline]
fn resolve(civil: Civil, micros: u32, minutes_east: i64) -> Result<Timestamp, TimestampError> {
    let Civil { year, month, day, hour, minute, second } = civil;
    // Days up to the 28th exist in every month: the table of months is needed for the others only.
    let plausible = year != 0 && month.wrapping_sub(1) < 12 && day != 0 && hour < 24 && minute < 60 && second < 61;
    if !plausible || (day > 28 && day > days_in_month(year, month)) {
        return Err(refusal(civil));
    }
    let minutes = i64::from(hour * 60 + minute) - minutes_east;
    let seconds = days_from_civil(year, month, day) * 86_400 + minutes * 60 + i64::from(second);
    let moment = seconds * MICROS_PER_SECOND + i64::from(micros);
    if (FIRST..=LAST).contains(&moment) { Ok(Timestamp(moment)) } else { Err(TimestampError::Range) }
}

#[cold]
fn refusal(civil: Civil) -> TimestampError {
    match civil {
        Civil { year: 0, .. } => TimestampError::Year,
        Civil { month: 0 | 13.., .. } => TimestampError::Month,
        Civil { year, month, day, .. } if day == 0 || day > days_in_month(year, month) => TimestampError::Day,
        Civil { hour: 24.., .. } => TimestampError::Hour,
        Civil { minute: 60.., .. } => TimestampError::Minute,
        _ => TimestampError::Second,
    }
}
