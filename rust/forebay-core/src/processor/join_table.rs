//! The join `enrichWithUserData`: a record and the row that its user has in a stream of users.

use std::collections::HashMap;
use std::sync::Arc;

use super::environment::Environment;
use crate::error::{ErrorKind, Result};
use crate::function::Answer;
use crate::ids::{Offset, PartitionId};
use crate::json::{JsonStr, PathSet, Spans};
use crate::log::read::{Limits, Visited};
use crate::stream::Stream;

/// The name by which a map has it.
pub(super) const JOIN: &str = "enrichWithUserData";
/// The stream of the rows, each under the key of its record.
const STREAM: &str = "users";
/// The field of a value that has the key, and the one that gets the row.
const KEY_FIELD: &str = "userId";
const ROW_FIELD: &str = "user";
/// What is read of the stream at once, so that other processors have their turns.
const LIMITS: Limits = Limits { records: 16 * 1024, bytes: 1024 * 1024 };
/// What a row takes beside its key and its value.
const ROW_BYTES: usize = 96;

#[derive(Debug)]
struct Row {
    value: Box<[u8]>,
    partition: PartitionId,
    offset: Offset,
}

/// The newest record of each key that the stream has. One that retention has deleted is none any more: so the table is
/// the same whether it was read at once or record by record, before a restart or after it, and need not be stored.
#[derive(Debug, Default)]
pub(super) struct JoinTable {
    stream: Option<Arc<Stream>>,
    next: Vec<Offset>,
    starts: Vec<Offset>,
    rows: HashMap<Box<[u8]>, Row>,
    bytes: usize,
}

impl JoinTable {
    /// Returns the memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reads what has come to the stream; false when there is more. Without the stream there are no rows.
    pub(super) fn read_on(&mut self, environment: &Environment) -> Result<bool> {
        if self.stream.as_ref().is_none_or(|stream| stream.is_deleted()) {
            *self = Self::default();
            match environment.catalog.named(STREAM) {
                Ok(stream) => self.begin(stream),
                Err(error) if error.kind() == ErrorKind::StreamNotFound => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        let Some(stream) = self.stream.clone() else { return Ok(true) };
        self.forget_deleted(&stream);
        for (log, partition) in stream.partitions().iter().zip((0..).map(PartitionId)) {
            let index = partition.0 as usize;
            let from = self.next.get(index).copied().unwrap_or_default().max(log.start());
            if from >= log.committed() {
                continue;
            }
            let mut take = |visited: Visited<'_>| self.put(partition, &visited);
            let next = match environment.reader.visit(&stream, partition, from, LIMITS, &mut take) {
                Ok(visit) => visit.next_offset,
                // Retention was quicker.
                Err(error) if error.kind() == ErrorKind::InvalidOffset => log.start(),
                Err(error) => return Err(error),
            };
            if let Some(held) = self.next.get_mut(index) {
                *held = next;
            }
            if next < log.committed() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts the row of each value into it.
    pub(super) fn join<'v>(&self, values: impl Iterator<Item = &'v [u8]>) -> Answer {
        let mut paths = PathSet::default();
        let (key, target) = (paths.add([KEY_FIELD]), paths.add([ROW_FIELD]));
        let (mut spans, mut answer) = (Spans::default(), Answer::default());
        for value in values {
            let is_object = value.first() == Some(&b'{') && paths.find(value, &mut spans);
            let row = is_object.then(|| spans.get(value, key)).flatten().and_then(|key| self.row(key));
            let row = row.unwrap_or(b"null");
            answer.push_value(|out| match (is_object, spans.range(target)) {
                (false, _) => out.extend_from_slice(value),
                (true, Some(old)) => replace(out, value, old, row),
                (true, None) => append(out, value, row),
            });
        }
        answer
    }

    fn begin(&mut self, stream: Arc<Stream>) {
        self.next = vec![Offset(0); stream.partitions().len()];
        self.starts = stream.partitions().iter().map(|log| log.start()).collect();
        self.stream = Some(stream);
    }

    /// Drops the rows that retention has deleted.
    fn forget_deleted(&mut self, stream: &Stream) {
        let starts: Vec<_> = stream.partitions().iter().map(|log| log.start()).collect();
        if starts == self.starts {
            return;
        }
        let bytes = &mut self.bytes;
        self.rows.retain(|key, row| {
            let is_kept = starts.get(row.partition.0 as usize).is_none_or(|start| row.offset >= *start);
            if !is_kept {
                *bytes -= key.len() + row.value.len() + ROW_BYTES;
            }
            is_kept
        });
        self.starts = starts;
    }

    fn put(&mut self, partition: PartitionId, visited: &Visited<'_>) {
        let Some(key) = visited.record.key else { return };
        let row = Row { value: visited.record.value.into(), partition, offset: visited.offset };
        self.bytes += row.value.len();
        match self.rows.get_mut(key) {
            Some(held) => self.bytes -= std::mem::replace(held, row).value.len(),
            None => {
                self.bytes += key.len() + ROW_BYTES;
                self.rows.insert(key.into(), row);
            }
        }
    }

    /// Returns the row whose key a value names: a text, or a number as it is written.
    fn row(&self, key: &[u8]) -> Option<&[u8]> {
        let row = match key.first()? {
            b'"' => self.rows.get(JsonStr::of_value(key).unescape().as_ref()),
            b'-' | b'0'..=b'9' => self.rows.get(key),
            _ => None,
        };
        row.map(|row| &*row.value)
    }
}

/// Writes an object with another value in place of the one at `old`.
fn replace(out: &mut Vec<u8>, object: &[u8], old: std::ops::Range<usize>, row: &[u8]) {
    out.extend_from_slice(object.get(..old.start).unwrap_or_default());
    out.extend_from_slice(row);
    out.extend_from_slice(object.get(old.end..).unwrap_or_default());
}

/// Writes an object with one field more.
fn append(out: &mut Vec<u8>, object: &[u8], row: &[u8]) {
    let inside = object.trim_ascii_end().strip_suffix(b"}").unwrap_or(object).trim_ascii_end();
    out.extend_from_slice(inside);
    if inside.len() > 1 {
        out.push(b',');
    }
    out.extend_from_slice(format!("{ROW_FIELD:?}:").as_bytes());
    out.extend_from_slice(row);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, &str)]) -> JoinTable {
        let row = |(key, value): &(&str, &str)| {
            let row = Row { value: value.as_bytes().into(), partition: PartitionId(0), offset: Offset(0) };
            (key.as_bytes().into(), row)
        };
        JoinTable { rows: rows.iter().map(row).collect(), ..JoinTable::default() }
    }

    #[test]
    fn the_row_of_the_user_is_put_into_the_value() {
        let table = table(&[("ann", r#"{"vip":true}"#), ("7", "[7]"), ("a\"b", "1")]);
        let shown = |value: &str| {
            let answer = table.join(std::iter::once(value.as_bytes()));
            let all = answer.results().flat_map(|result| match result {
                crate::function::FunctionResult::Values(values) => values.to_vec(),
                crate::function::FunctionResult::Failed(_) => Vec::new(),
            });
            all.map(|range| String::from_utf8_lossy(answer.value(&range)).into_owned()).collect::<Vec<_>>().join("|")
        };
        for (value, wanted) in [
            (r#"{"userId":"ann"}"#, r#"{"userId":"ann","user":{"vip":true}}"#),
            (r#"{"userId":"\u0061nn", "a":1 } "#, r#"{"userId":"\u0061nn", "a":1,"user":{"vip":true}}"#),
            (r#"{"user":"x","userId":"ann","b":2}"#, r#"{"user":{"vip":true},"userId":"ann","b":2}"#),
            (r#"{"userId":7}"#, r#"{"userId":7,"user":[7]}"#),
            (r#"{"userId":"a\"b"}"#, r#"{"userId":"a\"b","user":1}"#),
            (r#"{"userId":"bob"}"#, r#"{"userId":"bob","user":null}"#),
            (r#"{"userId":["ann"]}"#, r#"{"userId":["ann"],"user":null}"#),
            ("{}", r#"{"user":null}"#),
            ("{ }", r#"{"user":null}"#),
            ("[1]", "[1]"),
            ("null", "null"),
        ] {
            assert_eq!(shown(value), wanted);
        }
    }
}
