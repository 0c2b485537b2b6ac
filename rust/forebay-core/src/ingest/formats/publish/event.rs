//! One published event.

use std::borrow::Cow;

use crate::ids::{PartitionId, Timestamp};
use crate::ingest::fields::read_time;
use crate::ingest::integer::integer;
use crate::ingest::list::read_object;
use crate::ingest::problem::{FirstProblem, Problem, shown};
use crate::json::{JsonError, Scanner};
use crate::record::{Event, MAX_HEADER_BYTES, MAX_KEY_BYTES};
use crate::stream::Stream;

/// The rules that an event is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'s> {
    /// Where it goes.
    pub stream: &'s Stream,
    /// Its time when it has none of its own.
    pub arrival: Timestamp,
    /// The largest value.
    pub max_value_bytes: u64,
}

/// An event and the partition that it asks for: by number or by key. `None` leaves it to the batch.
pub(super) type Addressed<'a> = (Event<'a>, Option<PartitionId>);

type Read<T> = Result<T, JsonError>;

#[derive(Default)]
struct PublishFields<'a> {
    value: Option<&'a [u8]>,
    key: Option<Cow<'a, [u8]>>,
    headers: &'a [u8],
    partition_key: Option<Cow<'a, [u8]>>,
    partition: Option<PartitionId>,
    timestamp: Option<Timestamp>,
    seen: u8,
    problem: FirstProblem,
}

const FIELDS: [&str; 6] = ["key", "value", "headers", "partitionKey", "partition", "timestamp"];

impl<'a> PublishFields<'a> {
    fn note(&mut self, field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) {
        self.problem.note(Problem::new(field, reason));
    }

    fn read(&mut self, name: &[u8], scanner: &mut Scanner<'a>, rules: Rules<'_>) -> Read<()> {
        let Some(index) = FIELDS.iter().position(|field| field.as_bytes() == name) else {
            scanner.skip_value()?;
            // A field that is misspelt must not pass for one that is missing.
            let known = FIELDS.join(", ");
            self.note(shown(name), format!("there is no such field; known are {known}"));
            return Ok(());
        };
        if self.seen & (1 << index) != 0 {
            scanner.skip_value()?;
            self.note(FIELDS[index], "given more than once");
            return Ok(());
        }
        self.seen |= 1 << index;
        if index != 1 && scanner.peek() == Some(b'n') {
            // Senders write null for what they do not have.
            return scanner.skip_value().map(drop);
        }
        match index {
            0 => self.key = self.key_at("key", scanner)?,
            1 => self.value = Some(scanner.skip_value()?),
            2 => self.read_headers(scanner)?,
            3 => self.partition_key = self.key_at("partitionKey", scanner)?,
            4 => self.read_partition(scanner, rules.stream)?,
            _ => self.read_timestamp(scanner)?,
        }
        Ok(())
    }

    fn key_at(&mut self, field: &'static str, scanner: &mut Scanner<'a>) -> Read<Option<Cow<'a, [u8]>>> {
        if scanner.peek() != Some(b'"') {
            scanner.skip_value()?;
            self.note(field, "must be a string");
            return Ok(None);
        }
        let key = scanner.read_string()?.unescape();
        self.problem.check_length(field, key.len(), MAX_KEY_BYTES);
        Ok(Some(key))
    }

    fn read_headers(&mut self, scanner: &mut Scanner<'a>) -> Read<()> {
        if scanner.peek() != Some(b'{') {
            scanner.skip_value()?;
            self.note("headers", "must be an object of strings");
            return Ok(());
        }
        let start = scanner.position();
        let mut some = false;
        scanner.open_object()?;
        while let Some(name) = scanner.next_key()? {
            some = true;
            if scanner.peek() == Some(b'"') {
                scanner.read_string()?;
            } else {
                scanner.skip_value()?;
                self.note(format!("headers.{}", shown(&name.unescape())), "must be a string");
            }
        }
        let headers = scanner.since(start);
        if headers.len() > MAX_HEADER_BYTES {
            self.note("headers", format!("have {} bytes, more than the limit of {MAX_HEADER_BYTES}", headers.len()));
        }
        if some {
            self.headers = headers;
        }
        Ok(())
    }

    fn read_partition(&mut self, scanner: &mut Scanner<'a>, stream: &Stream) -> Read<()> {
        let number = integer(scanner.skip_value()?).and_then(|number| u32::try_from(number).ok()).map(PartitionId);
        match number.filter(|partition| stream.partition(*partition).is_some()) {
            Some(partition) => self.partition = Some(partition),
            None => {
                let last = stream.partitions().len() - 1;
                self.note("partition", format!("must be a whole number from 0 to {last}"));
            }
        }
        Ok(())
    }

    fn read_timestamp(&mut self, scanner: &mut Scanner<'a>) -> Read<()> {
        match read_time(scanner)? {
            Ok(timestamp) => self.timestamp = Some(timestamp),
            Err(reason) => self.note("timestamp", reason),
        }
        Ok(())
    }

    fn finish(mut self, rules: Rules<'_>) -> Result<Addressed<'a>, Box<Problem>> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        let Some(value) = self.value else { return Err(Problem::new("value", "missing")) };
        if value.len() as u64 > rules.max_value_bytes {
            return Err(Problem::too_large("value", value.len(), &format!("{} of its stream", rules.max_value_bytes)));
        }
        let by = self.partition_key.as_ref().or(self.key.as_ref());
        let partition = self.partition.or_else(|| by.map(|key| rules.stream.partition_of(key)));
        let timestamp = self.timestamp.unwrap_or(rules.arrival);
        let event =
            Event { value: Cow::Borrowed(value), key: self.key, headers: Cow::Borrowed(self.headers), timestamp };
        Ok((event, partition))
    }
}

/// Reads one event to its end.
pub(super) fn read<'a>(scanner: &mut Scanner<'a>, rules: Rules<'_>) -> Read<Result<Addressed<'a>, Box<Problem>>> {
    let mut fields = PublishFields::default();
    let span = read_object(scanner, |name, _, scanner| fields.read(name, scanner, rules))?;
    Ok(span.and_then(|_| fields.finish(rules)))
}
