//! The proleptic Gregorian calendar, after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const SECONDS_PER_DAY: i64 = 86_400;

const DAYS_IN_MONTH: [u8; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/// Days in 400 years, after which the calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_SHIFT: i64 = 719_468;

const fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Returns the number of days of `month` (1–12) in `year`; 0 when there is no such month.
pub(super) fn days_in_month(year: u32, month: u32) -> u32 {
    if month == 2 && is_leap(year) {
        return 29;
    }
    let days = DAYS_IN_MONTH.get(month.wrapping_sub(1) as usize).copied().unwrap_or(0);
    u32::from(days)
}

/// Days from 1970-01-01 to a date that exists, in the years 0 to 9999.
pub(super) fn days_from_civil(year: u32, month: u32, day: u32) -> i64 {
    // March is month 0: the leap day then ends the year, and (153 m + 2) / 5 gives the days before month m.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.wrapping_sub(1), month + 9) };
    let century = year / 100;
    let days = year * 1461 / 4 - century + century / 4 + (153 * month + 2) / 5 + day - 1;
    i64::from(days) - EPOCH_SHIFT
}

/// Returns the year, month and day that is `days` after 1970-01-01.
pub(super) fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let days = days + EPOCH_SHIFT;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, u8::try_from(month).unwrap_or(0), u8::try_from(day).unwrap_or(0))
}
