use crate::error::{Error, ErrorKind, Result};

/// A time of an event: milliseconds since 1970, rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(i64);

impl EventTime {
    /// Before all times.
    pub const MIN: Self = Self(-Self::LIMIT);
    /// After all times.
    pub const MAX: Self = Self(Self::LIMIT);

    /// Far beyond the years 1 to 9999; the bounds of a window around it are still times in microseconds.
    const LIMIT: i64 = 9_000_000_000_000_000;

    /// Returns the time so many milliseconds after 1970; `None` for one that no window could have bounds for.
    #[must_use]
    pub fn new(millis: i64) -> Option<Self> {
        (-Self::LIMIT < millis && millis < Self::LIMIT).then_some(Self(millis))
    }

    /// Returns the bound of a window, which may lie a little beyond the times of records.
    pub(super) fn of_bound(millis: i64) -> Option<Self> {
        (millis.unsigned_abs() <= Self::LIMIT.unsigned_abs() + 2 * MAX_WINDOW_MILLIS.unsigned_abs())
            .then_some(Self(millis))
    }

    /// Returns the milliseconds since 1970.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Returns the time that many milliseconds later.
    pub(super) fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Returns the milliseconds from `earlier` on.
    pub(super) fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// Returns the last multiple of `millis` that is not later.
    pub(super) fn floor(self, millis: i64) -> Self {
        Self(self.0 - self.0.rem_euclid(millis))
    }
}

/// The longest window, session gap and lateness: ten years.
pub const MAX_WINDOW_MILLIS: i64 = 10 * 366 * 24 * 3600 * 1000;

/// The most windows that one record is in, and the most panes of a window: a window is made of them when it closes.
pub const MAX_PANES: i64 = 1440;

/// How time is cut into windows. They are `[start, end)`, and aligned to 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowSpec {
    /// One after the other, each of `size` milliseconds. Use [`WindowSpec::tumbling`].
    Tumbling {
        /// Milliseconds.
        size: i64,
    },
    /// Of `size` milliseconds, and one begins every `slide`. Use [`WindowSpec::sliding`].
    Sliding {
        /// Milliseconds.
        size: i64,
        /// Milliseconds from the start of one to the start of the next.
        slide: i64,
    },
    /// By key: records that are less than `gap` milliseconds apart are in one. It ends `gap` after its last record. Use
    /// [`WindowSpec::session`].
    Session {
        /// Milliseconds.
        gap: i64,
    },
}

/// The place in the windows that a record has: what its partition's watermark has left open for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Admission {
    pub(super) time: EventTime,
    /// The end of the first window that it is in. Of sessions, whose windows depend on their records, the time itself.
    pub(super) first_end: EventTime,
}

impl WindowSpec {
    /// Returns windows of `size` milliseconds, one after the other.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`]: the size is out of range.
    pub fn tumbling(size: i64) -> Result<Self> {
        Ok(Self::Tumbling { size: in_range("duration", size)? })
    }

    /// Returns windows of `size` milliseconds that begin every `slide`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`]: one is out of range, the slide is longer than the window, or a window would be made
    /// of more than [`MAX_PANES`] panes.
    pub fn sliding(size: i64, slide: i64) -> Result<Self> {
        let (size, slide) = (in_range("duration", size)?, in_range("slide", slide)?);
        if slide > size {
            return Err(invalid(format!(
                "slide: {slide} is more than the duration, {size}: records would be left out"
            )));
        }
        if size / divisor(size, slide) > MAX_PANES {
            return Err(invalid(format!(
                "slide: windows of {size} every {slide} are made of {} parts, which is more than {MAX_PANES}; take a \
                 slide that divides the duration into fewer",
                size / divisor(size, slide)
            )));
        }
        Ok(Self::Sliding { size, slide })
    }

    /// Returns windows of records that are less than `gap` milliseconds apart.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`]: the gap is out of range.
    pub fn session(gap: i64) -> Result<Self> {
        Ok(Self::Session { gap: in_range("gap", gap)? })
    }

    /// Returns the windows that a record may still enter when its partition has reached `watermark`; `None` when it is
    /// late for all of them.
    #[must_use]
    pub fn admit(self, time: EventTime, watermark: EventTime) -> Option<Admission> {
        match self {
            Self::Session { gap } => (time.plus(gap) > watermark).then_some(Admission { time, first_end: time }),
            Self::Tumbling { size } | Self::Sliding { size, .. } => {
                let slide = self.slide();
                // Windows end at starts plus size; the first that holds the record ends behind it.
                let first = time.plus(-size).floor(slide).plus(slide + size);
                let open = watermark.plus(-size).floor(slide).plus(slide + size);
                let last = self.last_end(time);
                let first_end = if watermark <= EventTime::MIN { first } else { first.max(open) };
                (first_end <= last).then_some(Admission { time, first_end })
            }
        }
    }

    /// Returns the milliseconds of a window, or of the gap behind a session's last record.
    pub(super) fn size(self) -> i64 {
        match self {
            Self::Tumbling { size } | Self::Sliding { size, .. } => size,
            Self::Session { gap } => gap,
        }
    }

    /// Returns the milliseconds from one window's start to the next.
    pub(super) fn slide(self) -> i64 {
        match self {
            Self::Tumbling { size } => size,
            Self::Sliding { slide, .. } => slide,
            Self::Session { gap } => gap,
        }
    }

    /// Returns the milliseconds of the longest parts of which all windows are made.
    pub(super) fn pane(self) -> i64 {
        match self {
            Self::Tumbling { size } => size,
            Self::Sliding { size, slide } => divisor(size, slide),
            Self::Session { gap } => gap,
        }
    }

    /// Returns the start of the pane that a time is in.
    pub(super) fn pane_of(self, time: EventTime) -> EventTime {
        time.floor(self.pane())
    }

    /// Returns the end of the last window that a time is in.
    pub(super) fn last_end(self, time: EventTime) -> EventTime {
        time.floor(self.slide()).plus(self.size())
    }
}

fn in_range(what: &str, millis: i64) -> Result<i64> {
    if (1..=MAX_WINDOW_MILLIS).contains(&millis) {
        return Ok(millis);
    }
    Err(invalid(format!("{what}: {millis} is not 1 to {MAX_WINDOW_MILLIS} milliseconds")))
}

fn invalid(detail: String) -> Error {
    Error::new(ErrorKind::InvalidRequest, detail)
}

fn divisor(one: i64, other: i64) -> i64 {
    if other == 0 { one } else { divisor(other, one % other) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> EventTime {
        EventTime::new(millis).unwrap()
    }

    #[test]
    fn bounds() {
        assert!(WindowSpec::tumbling(0).is_err());
        assert!(WindowSpec::tumbling(MAX_WINDOW_MILLIS + 1).is_err());
        assert!(WindowSpec::sliding(10, 11).is_err());
        assert!(WindowSpec::sliding(1440, 1).is_ok());
        assert!(WindowSpec::sliding(1441, 1).is_err());
        assert!(WindowSpec::sliding(1000, 999).is_ok());
        assert!(WindowSpec::session(-1).is_err());
        assert_eq!(EventTime::new(i64::MAX), None);
        assert_eq!(EventTime::new(i64::MIN), None);
    }

    #[test]
    fn negative_times_are_floored() {
        let tumbling = WindowSpec::tumbling(10).unwrap();
        for (time, end) in [(-1, 0), (-10, 0), (-11, -10), (0, 10), (9, 10), (10, 20)] {
            assert_eq!(tumbling.admit(at(time), EventTime::MIN).unwrap().first_end, at(end), "{time}");
        }
    }

    proptest! {
        #[test]
        fn a_record_enters_the_windows_that_end_behind_the_watermark(
            time in -500_i64..500, watermark in prop::option::of(-500_i64..500), size in 1_i64..40, slide in 1_i64..40
        ) {
            let spec = WindowSpec::sliding(size.max(slide), slide).unwrap();
            let size = size.max(slide);
            let open: Vec<i64> = (-1000..1000_i64)
                .filter(|start| start.rem_euclid(slide) == 0 && *start <= time && time < start + size)
                .map(|start| start + size)
                .filter(|end| watermark.is_none_or(|watermark| *end > watermark))
                .collect();
            let found = spec.admit(at(time), watermark.map_or(EventTime::MIN, at));
            prop_assert_eq!(found.map(|admission| admission.first_end.millis()), open.first().copied());
            if let Some(last) = open.last() {
                prop_assert_eq!(spec.last_end(at(time)).millis(), *last);
            }
        }
    }
}
