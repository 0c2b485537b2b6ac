//! Jobs and queues as they are stored: rows of two tables. `docs/format.md` describes them.

use std::sync::Arc;

use super::id::Token;
use super::job::{Job, JobStatus, More};
use super::name::{Priority, QueueName};
use crate::ids::Timestamp;
use crate::table::{Table, TableOp};

/// The first byte of a row.
const VERSION: u8 = 1;
const NONE: u32 = u32::MAX;

impl JobStatus {
    fn number(self) -> u8 {
        match self {
            JobStatus::Waiting => 1,
            JobStatus::Active => 2,
            JobStatus::Failed => 3,
            JobStatus::Completed => 4,
        }
    }

    fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.number() == number)
    }
}

impl Job {
    pub(super) fn put(&self) -> TableOp {
        TableOp::put(Table::Jobs, self.id.0, self.encode())
    }

    pub(super) fn delete_of(id: Token) -> TableOp {
        TableOp::delete(Table::Jobs, id.0)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + self.payload.len());
        out.extend_from_slice(&[VERSION, self.status.number(), self.queue.priority.number(), u8::from(self.cancel)]);
        for number in [self.attempts, self.retries, self.timeout_ms] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.number.to_le_bytes());
        for time in [self.created, self.updated, self.due] {
            out.extend_from_slice(&time.0.to_le_bytes());
        }
        let none = More::default();
        let more = self.more.as_deref().unwrap_or(&none);
        let lease = more.lease.as_ref().map(|lease| &lease.0[..]);
        let texts = [
            Some(self.queue.base.as_bytes()),
            Some(&self.payload[..]),
            more.unique_key.as_deref().map(str::as_bytes),
            lease,
            more.progress.as_deref(),
            more.error.as_deref(),
            more.result.as_deref(),
        ];
        for text in texts {
            let length = text.map_or(NONE, |text| u32::try_from(text.len()).unwrap_or(NONE));
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(text.unwrap_or_default());
        }
        out
    }

    /// Reads a row; `None` for what [`Job::put`] does not write.
    pub(super) fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        let mut from = Fields(value);
        let [version, status, priority, cancel] = from.array::<4>()?;
        let (status, priority) = (JobStatus::of_number(status)?, Priority::of_number(priority)?);
        if version != VERSION || cancel > 1 {
            return None;
        }
        let [attempts, retries, timeout_ms] = [from.u32()?, from.u32()?, from.u32()?];
        let number = u64::from_le_bytes(from.array()?);
        let [created, updated, due] = [from.time()?, from.time()?, from.time()?];
        let base = std::str::from_utf8(from.text()??).ok()?;
        let payload = Arc::from(from.text()??);
        let unique_key = match from.text()? {
            Some(key) => Some(Arc::from(std::str::from_utf8(key).ok()?)),
            None => None,
        };
        let lease = match from.text()? {
            Some(lease) => Some(Token(lease.try_into().ok()?)),
            None => None,
        };
        let [progress, error, result] = [from.text()?, from.text()?, from.text()?].map(|text| text.map(<[u8]>::to_vec));
        let more = More { unique_key, lease, progress, error, result };
        let id = Token(key.try_into().ok()?);
        let queue = Arc::new(QueueName { base: base.into(), priority });
        let more = (more != More::default()).then(|| Arc::new(more));
        let (cancel, is_whole) = (cancel == 1, from.0.is_empty());
        let job = Self {
            id,
            queue,
            number,
            status,
            cancel,
            attempts,
            retries,
            timeout_ms,
            created,
            updated,
            due,
            payload,
            more,
        };
        is_whole.then_some(job)
    }
}

/// What of a row is not read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn time(&mut self) -> Option<Timestamp> {
        self.array().map(|bytes| Timestamp(i64::from_le_bytes(bytes)))
    }

    /// A text with its length before it, which may be missing.
    fn text(&mut self) -> Option<Option<&'a [u8]>> {
        let length = self.u32()?;
        if length == NONE {
            return Some(None);
        }
        let (text, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(Some(text))
    }
}

/// A row of the table of queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum QueueRow {
    /// That there is the queue, and whether it hands out.
    Queue { paused: bool },
    /// The jobs that were completed in a minute since 1970 of proven time.
    Minute { minute: i64, jobs: u64 },
}

/// The key is the queue's full name; that of a minute has 0 and the minute after it, big-endian. A name has no zero byte.
fn minute_key(name: &QueueName, minute: i64) -> Vec<u8> {
    let mut key = name.to_string().into_bytes();
    key.push(0);
    key.extend_from_slice(&minute.to_be_bytes());
    key
}

impl QueueRow {
    pub(super) fn put(&self, name: &QueueName) -> TableOp {
        match self {
            Self::Queue { paused } => TableOp::put(Table::JobQueues, name.to_string(), [u8::from(*paused)]),
            Self::Minute { minute, jobs } => {
                TableOp::put(Table::JobQueues, minute_key(name, *minute), jobs.to_le_bytes())
            }
        }
    }

    pub(super) fn delete_minute(name: &QueueName, minute: i64) -> TableOp {
        TableOp::delete(Table::JobQueues, minute_key(name, minute))
    }

    /// Reads a row; `None` for what [`QueueRow::put`] does not write.
    pub(super) fn decode(key: &[u8], value: &[u8]) -> Option<(QueueName, Self)> {
        if let Some((name, minute)) = Self::minute_of(key) {
            return Some((name, Self::Minute { minute, jobs: u64::from_le_bytes(value.try_into().ok()?) }));
        }
        let name = QueueName::parse(std::str::from_utf8(key).ok()?).ok()?;
        match value {
            [paused @ 0..=1] => Some((name, Self::Queue { paused: *paused == 1 })),
            _ => None,
        }
    }

    /// The queue and the minute of a key; `None` when it is of no minute.
    pub(super) fn minute_of(key: &[u8]) -> Option<(QueueName, i64)> {
        let (name, minute) = key.split_last_chunk::<8>()?;
        let name = std::str::from_utf8(name.strip_suffix(&[0])?).ok()?;
        Some((QueueName::parse(name).ok()?, i64::from_be_bytes(*minute)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_and_cut_ones_do_not() {
        let plain = Job {
            id: Token([7; 16]),
            queue: Arc::new(QueueName::parse("queue:email:low").unwrap()),
            number: 9,
            status: JobStatus::Waiting,
            cancel: false,
            attempts: 1,
            retries: 2,
            timeout_ms: 3,
            created: Timestamp(-4),
            updated: Timestamp(5),
            due: Timestamp(i64::MAX),
            payload: Arc::from(&b"{}"[..]),
            more: None,
        };
        let more = More {
            unique_key: Some("k".into()),
            lease: Some(Token([1; 16])),
            progress: Some(vec![]),
            error: None,
            result: Some(vec![1, 2]),
        };
        let full = Job { status: JobStatus::Active, cancel: true, more: Some(Arc::new(more)), ..plain.clone() };
        for job in [plain, full] {
            let TableOp { table, key, value } = job.put();
            let value = value.unwrap();
            assert_eq!((table, Job::decode(&key, &value)), (Table::Jobs, Some(job)));
            for cut in 0..value.len() {
                assert_eq!(Job::decode(&key, &value[..cut]), None, "{cut}");
            }
            let longer = [&value[..], &[0]].concat();
            assert_eq!(Job::decode(&key, &longer), None);
        }
        let name = QueueName::parse("queue:a:high").unwrap();
        for row in [QueueRow::Queue { paused: true }, QueueRow::Minute { minute: 29_000_000, jobs: 7 }] {
            let TableOp { key, value, .. } = row.put(&name);
            assert_eq!(QueueRow::decode(&key, &value.unwrap()), Some((name.clone(), row)));
        }
    }
}
