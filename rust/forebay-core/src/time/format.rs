use super::civil::{MICROS_PER_SECOND, SECONDS_PER_DAY, civil_from_days};
use crate::ids::Timestamp;

/// The length of `2024-05-31T15:30:45.123456Z`.
const RFC3339_MICROS_LEN: usize = 27;

/// RFC 3339 in UTC with six fractional digits: `2024-05-31T15:30:45.123456Z`.
///
/// Years outside of 0000 to 9999, which RFC 3339 cannot write, take ISO 8601's expanded form: a sign and six digits.
#[must_use]
pub fn format_micros(timestamp: Timestamp) -> String {
    let mut text = whole_seconds(timestamp);
    push_digits(&mut text, timestamp.0.rem_euclid(MICROS_PER_SECOND), 6);
    text.push('Z');
    text
}

/// RFC 3339 in UTC with three fractional digits, rounded down: `2024-05-31T15:30:45.123Z`.
///
/// Years outside of 0000 to 9999 as in [`format_micros`].
#[must_use]
pub fn format_millis(timestamp: Timestamp) -> String {
    if let Some(text) = four_digit_year(timestamp) {
        return text.iter().copied().map(char::from).collect();
    }
    let mut text = whole_seconds(timestamp);
    push_digits(&mut text, timestamp.0.rem_euclid(MICROS_PER_SECOND) / 1000, 3);
    text.push('Z');
    text
}

/// Appends what [`format_millis`] returns.
pub(crate) fn write_millis(timestamp: Timestamp, out: &mut Vec<u8>) {
    match four_digit_year(timestamp) {
        Some(text) => out.extend_from_slice(&text),
        None => out.extend_from_slice(format_millis(timestamp).as_bytes()),
    }
}

/// Returns what [`format_millis`] does for the years 0000 to 9999: texts of one length need no buffer that grows.
fn four_digit_year(timestamp: Timestamp) -> Option<[u8; 24]> {
    let (seconds, micros) = (timestamp.0.div_euclid(MICROS_PER_SECOND), timestamp.0.rem_euclid(MICROS_PER_SECOND));
    let (days, second) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY) as u32);
    let (year, month, day) = civil_from_days(days);
    let year = u32::try_from(year).ok().filter(|year| *year <= 9999)?;
    let (millis, digit) = (micros as u32 / 1000, |value: u32| b'0' + (value % 10) as u8);
    let pair = |value: u32| [digit(value / 10), digit(value)];
    let ([y0, y1], [y2, y3]) = (pair(year / 100), pair(year));
    let ([m0, m1], [d0, d1]) = (pair(month.into()), pair(day.into()));
    let ([h0, h1], [n0, n1], [s0, s1]) = (pair(second / 3600), pair(second / 60 % 60), pair(second % 60));
    let (f0, [f1, f2]) = (digit(millis / 100), pair(millis));
    Some([y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1, b'.', f0, f1, f2, b'Z'])
}

fn whole_seconds(timestamp: Timestamp) -> String {
    let seconds = timestamp.0.div_euclid(MICROS_PER_SECOND);
    let second_of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
    let mut text = String::with_capacity(RFC3339_MICROS_LEN);
    if (0..=9999).contains(&year) {
        push_digits(&mut text, year, 4);
    } else {
        text.push(if year < 0 { '-' } else { '+' });
        push_digits(&mut text, year.abs(), 6);
    }
    let parts = [
        ('-', i64::from(month)),
        ('-', i64::from(day)),
        ('T', second_of_day / 3600),
        (':', second_of_day / 60 % 60),
        (':', second_of_day % 60),
    ];
    for (separator, value) in parts {
        text.push(separator);
        push_digits(&mut text, value, 2);
    }
    text.push('.');
    text
}

/// The last `width` decimal digits of a value that is not negative.
fn push_digits(text: &mut String, value: i64, width: u32) {
    for power in (0..width).rev() {
        let digit = value / 10_i64.pow(power) % 10;
        text.push(char::from(b'0' + u8::try_from(digit).unwrap_or(0)));
    }
}
