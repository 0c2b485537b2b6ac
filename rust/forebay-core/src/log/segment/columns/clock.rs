//! Times as senders write them, told by the time of their record.

use crate::ids::Timestamp;
use crate::time::{format_micros, parse_timestamp};

/// A way of writing times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeFormat {
    /// Digits behind the point: 0, 3 or 6.
    digits: u8,
    /// Stands between the date and the time.
    separator: u8,
    /// The place of what follows in [`SUFFIXES`].
    suffix: u8,
}

const SUFFIXES: [&[u8]; 4] = [b"Z", b"", b"+00:00", b"+0000"];
/// The length of `2024-05-31T15:30:45`.
const SECONDS_BYTES: usize = 19;
/// The place of the `T`.
const SEPARATOR_AT: usize = 10;

impl TimeFormat {
    /// Returns the format of a text that is that time.
    pub(super) fn of(text: &[u8], time: Timestamp) -> Option<Self> {
        parse_timestamp(text).ok().filter(|parsed| *parsed == time)?;
        let separator = *text.get(SEPARATOR_AT)?;
        let fraction = text.get(SECONDS_BYTES..).and_then(|rest| rest.strip_prefix(b"."));
        let digits = fraction.map_or(0, |rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
        let rest = fraction.map_or(text.get(SECONDS_BYTES..), |rest| rest.get(digits..))?;
        let suffix = SUFFIXES.iter().position(|suffix| *suffix == rest)?;
        let format = Self { digits: u8::try_from(digits).ok()?, separator, suffix: suffix as u8 };
        (matches!(digits, 0 | 3 | 6) && format.text(&mut DayText::default(), time) == text).then_some(format)
    }

    pub(super) fn bytes(self) -> [u8; 3] {
        [self.digits, self.separator, self.suffix]
    }

    pub(super) fn from_bytes([digits, separator, suffix]: [u8; 3]) -> Option<Self> {
        let is_known = matches!(digits, 0 | 3 | 6) && usize::from(suffix) < SUFFIXES.len();
        is_known.then_some(Self { digits, separator, suffix })
    }

    fn text(self, day: &mut DayText, time: Timestamp) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(day, time, &mut out);
        out
    }

    /// Appends the text of a time.
    #[inline]
    pub(super) fn write(self, day: &mut DayText, time: Timestamp, out: &mut Vec<u8>) {
        let (days, micros) = (time.0.div_euclid(MICROS_PER_DAY), time.0.rem_euclid(MICROS_PER_DAY));
        if day.of != Some(days) {
            day.enter(days);
        }
        out.extend_from_slice(&day.date);
        let (second, micro) = ((micros / 1_000_000) as u32, (micros % 1_000_000) as u32);
        let [h0, h1] = pair(second / 3600);
        let [m0, m1] = pair(second / 60 % 60);
        let [s0, s1] = pair(second % 60);
        out.extend_from_slice(&[self.separator, h0, h1, b':', m0, m1, b':', s0, s1]);
        if self.digits > 0 {
            let [f0, f1] = pair(micro / 10_000);
            let [f2, f3] = pair(micro / 100 % 100);
            let [f4, f5] = pair(micro % 100);
            let digits = [b'.', f0, f1, f2, f3, f4, f5];
            out.extend_from_slice(digits.get(..=usize::from(self.digits)).unwrap_or_default());
        }
        out.extend_from_slice(SUFFIXES.get(usize::from(self.suffix)).copied().unwrap_or_default());
    }
}

const MICROS_PER_DAY: i64 = 86_400_000_000;

#[inline(always)]
fn pair(number: u32) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

/// The date of the day that the last time was on: most times of a block are on one day.
#[derive(Clone, Debug, Default)]
pub(super) struct DayText {
    of: Option<i64>,
    date: Vec<u8>,
}

impl DayText {
    #[cold]
    fn enter(&mut self, days: i64) {
        let text = format_micros(Timestamp(days.saturating_mul(MICROS_PER_DAY)));
        let date = text.split('T').next().unwrap_or_default();
        (self.of, self.date) = (Some(days), date.as_bytes().to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_as_they_were_written() {
        for text in [
            "2025-12-04T12:15:30Z",
            "2025-12-04T12:15:30.123Z",
            "2025-12-04 12:15:30.000001",
            "1969-12-31T23:59:59.999+00:00",
            "0001-01-01T00:00:00Z",
        ] {
            let time = parse_timestamp(text.as_bytes()).unwrap_or(Timestamp(0));
            let format = TimeFormat::of(text.as_bytes(), time);
            let back = format.map(|format| format.text(&mut DayText::default(), time));
            assert_eq!(back.as_deref(), Some(text.as_bytes()), "{text}");
            assert_eq!(format.and_then(|format| TimeFormat::from_bytes(format.bytes())), format);
            assert_eq!(TimeFormat::of(text.as_bytes(), Timestamp(time.0 + 1)), None);
        }
        for text in ["2025-12-04T12:15:30.12Z", "2025-12-04T12:15:30+01:00", "1764850530", "", "2025-12-04"] {
            let time = parse_timestamp(text.as_bytes()).unwrap_or(Timestamp(0));
            assert_eq!(TimeFormat::of(text.as_bytes(), time), None, "{text}");
        }
    }
}
