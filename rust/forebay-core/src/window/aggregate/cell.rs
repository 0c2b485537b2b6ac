use std::cmp::Ordering;

use super::super::codec::{Reader, put, put_bytes, put_signed};
use super::super::number::Number;
use super::super::spec::EventTime;
use super::aggregates::Aggregation;
use super::distinct::Distinct;
use super::quantiles::Quantiles;
use super::sum::ExactSum;
use super::top::Top;

/// The longest value that `first` and `last` keep.
pub const MAX_KEPT_VALUE_BYTES: usize = 4096;

/// What is known of one field, or of the records, of one key in one window. Each but a [`Top`] that had to forget is the
/// same for every order in which the records come, and for every way in which parts are merged. 16 bytes, so that a count
/// takes no more.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Count(u64),
    Sum(Box<ExactSum>),
    Least(Option<Box<Number>>),
    Most(Option<Box<Number>>),
    Distinct(Box<Distinct>),
    Quantiles(Box<Quantiles>),
    First(Option<Box<Kept>>),
    Last(Option<Box<Kept>>),
    Top(Box<Top>),
}

/// The place of a record among all of its source, by event time first.
pub(crate) type Place = (EventTime, u32, u64);

/// A value as it was sent, and its record's place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    place: Place,
    value: Box<[u8]>,
}

impl Cell {
    pub(super) fn count(&mut self) {
        if let Self::Count(count) = self {
            *count += 1;
        }
    }

    /// Adds a number to a cell that looks at numbers.
    pub(super) fn add_number(&mut self, number: Number) {
        match self {
            Self::Sum(sum) => sum.add(number),
            Self::Least(found) => keep_number(found, number, Ordering::Less),
            Self::Most(found) => keep_number(found, number, Ordering::Greater),
            Self::Quantiles(quantiles) => quantiles.add(number.to_f64()),
            Self::Count(_) | Self::Distinct(_) | Self::First(_) | Self::Last(_) | Self::Top(_) => {}
        }
    }

    /// Adds a value by its canonical text.
    pub(super) fn add_canonical(&mut self, value: &[u8]) {
        if let Self::Distinct(distinct) = self {
            distinct.add(value);
        } else if let Self::Top(top) = self {
            top.add(value);
        }
    }

    /// Keeps a value if it is the first or the last one.
    pub(super) fn add_value(&mut self, place: Place, value: &[u8]) {
        let order = if matches!(self, Self::First(_)) { Ordering::Less } else { Ordering::Greater };
        if let Self::First(kept) | Self::Last(kept) = self
            && kept.as_ref().is_none_or(|kept| place.cmp(&kept.place) == order)
        {
            *kept = Some(Box::new(Kept { place, value: value.into() }));
        }
    }

    /// Adds all that another cell of the same kind has.
    pub(crate) fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Count(count), Self::Count(other)) => *count += other,
            (Self::Sum(sum), Self::Sum(other)) => sum.merge(other),
            (Self::Distinct(distinct), Self::Distinct(other)) => distinct.merge(other),
            (Self::Quantiles(quantiles), Self::Quantiles(other)) => quantiles.merge(other),
            (Self::Top(top), Self::Top(other)) => top.merge(other),
            (cell, Self::Least(Some(number)) | Self::Most(Some(number))) => cell.add_number(**number),
            (cell, Self::First(Some(kept)) | Self::Last(Some(kept))) => cell.add_value(kept.place, &kept.value),
            // Nothing was added to the other one; the kinds are those of one plan.
            (_, _) => {}
        }
    }

    /// Appends the result of an aggregation that reads this kind of cell as JSON; `null` where there was no value.
    pub(super) fn write(&self, aggregation: Aggregation, out: &mut Vec<u8>) {
        match self {
            Self::Count(count) => write_whole(*count, out),
            Self::Distinct(distinct) => out.extend_from_slice(distinct.count().to_string().as_bytes()),
            Self::Sum(sum) if sum.count == 0 => out.extend_from_slice(b"null"),
            Self::Sum(sum) if aggregation == Aggregation::Avg => sum.write_mean(out),
            Self::Sum(sum) => sum.write(out),
            Self::Quantiles(quantiles) => quantiles.write(aggregation.percent(), out),
            Self::Top(top) => top.write(out),
            Self::Least(Some(number)) | Self::Most(Some(number)) => number.write(out),
            Self::First(Some(kept)) | Self::Last(Some(kept)) => out.extend_from_slice(&kept.value),
            Self::Least(None) | Self::Most(None) | Self::First(None) | Self::Last(None) => {
                out.extend_from_slice(b"null");
            }
        }
    }

    /// Appends it as the state's rows have it; its kind is the plan's.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Count(count) => put(out, *count),
            Self::Sum(sum) => sum.encode(out),
            Self::Distinct(distinct) => distinct.encode(out),
            Self::Quantiles(quantiles) => quantiles.encode(out),
            Self::Top(top) => top.encode(out),
            Self::Least(found) | Self::Most(found) => {
                out.push(u8::from(found.is_some()));
                if let Some(number) = found {
                    number.encode(out);
                }
            }
            Self::First(kept) | Self::Last(kept) => {
                out.push(u8::from(kept.is_some()));
                if let Some(kept) = kept {
                    let (time, partition, offset) = kept.place;
                    put_signed(out, time.millis());
                    put(out, u64::from(partition));
                    put(out, offset);
                    put_bytes(out, &kept.value);
                }
            }
        }
    }

    /// Reads a cell of the same kind into this one. `None`, and the cell is of no use, at bytes that are none.
    pub(super) fn decode(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        match self {
            Self::Count(count) => *count = reader.number()?,
            Self::Sum(sum) => **sum = ExactSum::decode(reader)?,
            Self::Distinct(distinct) => **distinct = Distinct::decode(reader)?,
            Self::Quantiles(quantiles) => **quantiles = Quantiles::decode(reader)?,
            Self::Top(top) => **top = Top::decode(reader)?,
            Self::Least(found) | Self::Most(found) => {
                *found = if reader.array()? == [0] { None } else { Some(Box::new(Number::decode(reader)?)) };
            }
            Self::First(kept) | Self::Last(kept) => {
                *kept = if reader.array()? == [0] { None } else { Some(Box::new(Kept::decode(reader)?)) };
            }
        }
        Some(())
    }

    /// Returns the bytes that it takes beside its own.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Sum(sum) => size_of::<ExactSum>() + sum.heap_bytes(),
            Self::Least(Some(_)) | Self::Most(Some(_)) => size_of::<Number>(),
            Self::Distinct(distinct) => size_of::<Distinct>() + distinct.heap_bytes(),
            Self::Quantiles(quantiles) => size_of::<Quantiles>() + quantiles.heap_bytes(),
            Self::Top(top) => size_of::<Top>() + top.heap_bytes(),
            Self::First(Some(kept)) | Self::Last(Some(kept)) => size_of::<Kept>() + kept.value.len(),
            Self::Count(_) | Self::Least(None) | Self::Most(None) | Self::First(None) | Self::Last(None) => 0,
        }
    }
}

impl Kept {
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let time = EventTime::of_bound(reader.signed()?)?;
        let place = (time, u32::try_from(reader.number()?).ok()?, reader.number()?);
        Some(Self { place, value: reader.bytes()?.into() })
    }
}

fn write_whole(number: u64, out: &mut Vec<u8>) {
    let (mut digits, mut at, mut rest) = ([0; 20], 20, number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn keep_number(found: &mut Option<Box<Number>>, number: Number, wanted: Ordering) {
    match found {
        Some(found) if number.order(**found) == wanted => **found = number,
        Some(_) => {}
        None => *found = Some(Box::new(number)),
    }
}
