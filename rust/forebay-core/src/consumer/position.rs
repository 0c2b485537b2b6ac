//! The position where a read of one partition begins.

use crate::error::{Error, ErrorKind, Result};
use crate::ids::Offset;
use crate::stream::Partition;

/// The position that the reader asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// The group's committed position; where it began for partitions without one, at the start if it begins now.
    #[default]
    Committed,
    /// The first record that is kept.
    Earliest,
    /// The end: what comes from now on.
    Latest,
    /// This offset, of one partition.
    At(Offset),
}

/// The way to go on from a position that is not there any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReset {
    /// Refuse, telling the valid range.
    #[default]
    Error,
    /// Go on with the first record that is kept.
    Earliest,
    /// Go on at the end.
    Latest,
}

/// A position, and whether it follows the start when retention moves that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) offset: Offset,
    pub(crate) floats: bool,
}

/// Returns where to read on. `known` is the group's position, committed or where it began, and `resume` how far the
/// same reader has got before.
///
/// # Errors
/// `None` in place of a position that is outside of the partition, unless `on_reset` says where to go.
pub(crate) fn resolve(
    log: &Partition,
    start_at: StartAt,
    known: Option<Position>,
    resume: Option<Offset>,
    on_reset: OnReset,
) -> std::result::Result<Position, Outside> {
    // The bounds are read in this order, since both only grow.
    let (start, end) = (log.start(), log.committed());
    let earliest = Position { offset: start, floats: true };
    let fixed = |offset| Position { offset, floats: false };
    let wanted = match (start_at, resume) {
        (StartAt::Committed, Some(offset)) if known.is_none_or(|known| known.offset <= offset) => fixed(offset),
        (StartAt::Committed, _) => match known {
            Some(known) if !known.floats || known.offset >= start => known,
            Some(_) | None => earliest,
        },
        (StartAt::Earliest | StartAt::Latest | StartAt::At(_), Some(offset)) => fixed(offset),
        (StartAt::Earliest, None) => earliest,
        (StartAt::Latest, None) => fixed(end),
        (StartAt::At(offset), None) => fixed(offset),
    };
    if start <= wanted.offset && wanted.offset <= end {
        return Ok(wanted);
    }
    match on_reset {
        OnReset::Error => Err(Outside { offset: wanted.offset, start, end }),
        OnReset::Earliest => Ok(earliest),
        OnReset::Latest => Ok(fixed(end)),
    }
}

/// A position that is not in its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outside {
    offset: Offset,
    start: Offset,
    end: Offset,
}

impl Outside {
    /// Returns the refusal that tells the valid range.
    pub(crate) fn error(self, stream: &str, partition: impl std::fmt::Display) -> Error {
        let Self { offset, start, end } = self;
        let detail = format!(
            "offset {offset} is outside of partition {partition} of stream {stream:?}: valid are {start} to {end}"
        );
        Error::new(ErrorKind::InvalidOffset, detail)
    }
}

/// Checks an offset that is to be committed: from start to end, both included.
///
/// # Errors
/// `InvalidOffset` that tells the valid range.
pub(crate) fn check_inside(log: &Partition, offset: Offset, stream: &str, partition: u32) -> Result<()> {
    resolve(log, StartAt::At(offset), None, None, OnReset::Error)
        .map(drop)
        .map_err(|outside| outside.error(stream, partition))
}
