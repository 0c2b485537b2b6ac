use std::fmt;

/// The reason why a text is not a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampError {
    /// The text is empty.
    Empty,
    /// White space before or after.
    Space,
    /// The text has none of the accepted forms.
    Form,
    /// Year 0000.
    Year,
    /// A month that is not 01 to 12.
    Month,
    /// A day that the month does not have.
    Day,
    /// An hour that is not 00 to 23.
    Hour,
    /// A minute that is not 00 to 59.
    Minute,
    /// A second that is not 00 to 60.
    Second,
    /// No digit, or more than nine, after the decimal sign.
    Fraction,
    /// A zone in another form, or out of range.
    Zone,
    /// The moment falls before year 0001 or after year 9999 in UTC.
    Range,
}

impl fmt::Display for TimestampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "must not be empty",
            Self::Space => "must not begin or end with white space",
            Self::Form => "is not an RFC 3339, ISO 8601 or SQL date and time such as 2024-05-31T15:30:45.123Z",
            Self::Year => "the year must be 0001 to 9999",
            Self::Month => "the month must be 01 to 12",
            Self::Day => "that month has no such day",
            Self::Hour => "the hour must be 00 to 23",
            Self::Minute => "the minute must be 00 to 59",
            Self::Second => "the second must be 00 to 59, or 60 for a leap second",
            Self::Fraction => "the fraction of a second must have 1 to 9 digits",
            Self::Zone => "the zone must be Z, ±hh, ±hhmm or ±hh:mm, at most 23:59",
            Self::Range => "the moment in UTC must lie in the years 0001 to 9999",
        })
    }
}

impl std::error::Error for TimestampError {}
