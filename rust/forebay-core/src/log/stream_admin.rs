//! Creating streams: look-up, commit and entry into the catalog are one step.

use std::sync::Arc;

use super::commit::CommitQueue;
use super::retention::Keeps;
use crate::admission::QuotaRates;
use crate::clock::{LogClock, LogTime};
use crate::duration::millis;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Timestamp;
use crate::options::{MAX_PARTITIONS, Options, Retention, check_range};
use crate::status::Status;
use crate::stream::REJECTED_SUFFIX;
use crate::stream::{ANALYTICS, Catalog, Compression, EVENTS, LOGS, Stream, StreamDefinition, check_name};
use crate::table::{Table, TableOp};

/// Creates streams.
#[derive(Debug)]
pub struct StreamAdmin {
    /// The catalog that they go to.
    pub catalog: Arc<Catalog>,
    /// The queue that makes them durable.
    pub commits: Arc<CommitQueue>,
    /// The log's status: it tells whether that is possible.
    pub status: Arc<Status>,
    /// The clock that ages are judged by.
    pub clock: Arc<LogClock>,
}

impl StreamAdmin {
    /// Creates a stream; durable when this returns.
    ///
    /// # Errors
    /// `InvalidRequest` for a bad name or number of partitions, `StreamAlreadyExists`, `StreamLimitReached`, or why
    /// nothing can be written.
    pub fn create(&self, mut definition: StreamDefinition) -> Result<Arc<Stream>> {
        check_name("stream name", &definition.name)?;
        check_range("partitions", definition.partitions.into(), 1, MAX_PARTITIONS.into())?;
        let _one_at_a_time = self.catalog.changing();
        if self.catalog.named(&definition.name).is_ok() {
            let detail = format!("stream {:?} exists already", definition.name);
            return Err(Error::new(ErrorKind::StreamAlreadyExists, detail));
        }
        self.catalog.check_room(&definition.name, definition.partitions)?;
        self.status.refuse_write()?;
        definition.id = self.catalog.next_id();
        let op = TableOp::put(Table::Catalog, definition.name.as_bytes(), definition.encode());
        self.commits.change_if_room(vec![op, self.catalog.next_id_row()])?;
        Ok(self.catalog.insert(definition))
    }

    /// Creates those streams that are missing, in one commit; durable when this returns.
    ///
    /// # Errors
    /// Why nothing can be written.
    pub(crate) fn ensure_all(&self, definitions: &[StreamDefinition]) -> Result<()> {
        let _one_at_a_time = self.catalog.changing();
        let is_missing = |definition: &&StreamDefinition| self.catalog.named(&definition.name).is_err();
        let mut missing: Vec<_> = definitions.iter().filter(is_missing).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.status.refuse_write()?;
        for definition in &mut missing {
            definition.id = self.catalog.next_id();
        }
        let put = |row: &StreamDefinition| TableOp::put(Table::Catalog, row.name.as_bytes(), row.encode());
        let ops = missing.iter().map(put).chain([self.catalog.next_id_row()]).collect();
        self.commits.change_if_room(ops)?;
        for definition in missing {
            drop(self.catalog.insert(definition));
        }
        Ok(())
    }

    /// Changes a stream's definition; its identity, name and partitions stay. Durable when this returns.
    ///
    /// # Errors
    /// Why nothing can be written.
    pub fn redefine(&self, stream: &Stream, definition: &StreamDefinition) -> Result<()> {
        let _one_at_a_time = self.catalog.changing();
        self.redefine_alone(stream, definition)
    }

    /// Changes a definition as it is then, by `change`; returns the stream.
    ///
    /// # Errors
    /// `StreamNotFound`, whatever `change` says, and why nothing can be written.
    pub fn change(
        &self,
        name: &str,
        change: impl FnOnce(StreamDefinition) -> Result<StreamDefinition>,
    ) -> Result<Arc<Stream>> {
        let _one_at_a_time = self.catalog.changing();
        let stream = self.catalog.named(name)?;
        let is = stream.definition();
        let wanted = change(is.clone())?;
        if wanted != is {
            self.redefine_alone(&stream, &wanted)?;
        }
        Ok(stream)
    }

    fn redefine_alone(&self, stream: &Stream, definition: &StreamDefinition) -> Result<()> {
        self.status.refuse_change()?;
        let op = TableOp::put(Table::Catalog, stream.name().as_bytes(), definition.encode());
        match freed(stream, definition, &self.clock.time()) {
            // A shorter retention is how a full disk is given room.
            Some(bytes) => self.commits.free(vec![op], bytes)?,
            None => self.commits.change(vec![op])?,
        };
        stream.redefine(definition.clone());
        Ok(())
    }

    /// Returns the stream of that name, created if it is missing.
    ///
    /// # Errors
    /// Fails as [`StreamAdmin::create`] does.
    pub fn ensure(&self, definition: StreamDefinition) -> Result<Arc<Stream>> {
        let name = definition.name.clone();
        match self.catalog.named(&name) {
            Ok(stream) => Ok(stream),
            Err(_) => match self.create(definition) {
                Err(error) if error.kind() == ErrorKind::StreamAlreadyExists => self.catalog.named(&name),
                created => created,
            },
        }
    }

    /// Returns the stream for the rejected events of `stream`.
    ///
    /// # Errors
    /// Fails as [`StreamAdmin::create`] does.
    pub fn rejected(&self, stream: &Stream) -> Result<Arc<Stream>> {
        let name = format!("{}{REJECTED_SUFFIX}", stream.name());
        if let Ok(stream) = self.catalog.named(&name) {
            return Ok(stream);
        }
        let like = stream.definition();
        // The rejected events that go there were charged to `stream`.
        let quota = QuotaRates::default();
        self.ensure(StreamDefinition { name, partitions: 1, created_us: Timestamp::now().0, quota, ..like })
    }
}

/// The bytes that a change of retention frees; `None` when it keeps as much as before, or more.
fn freed(stream: &Stream, wanted: &StreamDefinition, now: &LogTime) -> Option<u64> {
    let is = stream.definition();
    let shorter = |is: Option<u64>, wanted: Option<u64>| wanted.is_some_and(|wanted| is.is_none_or(|is| wanted < is));
    if !shorter(is.retention_ms, wanted.retention_ms) && !shorter(is.retention_bytes, wanted.retention_bytes) {
        return None;
    }
    let keeps = Keeps::new((wanted.retention_ms, wanted.retention_bytes), now)?;
    let excess = wanted.retention_bytes.map_or(0, |limit| stream.sums().stored_bytes.saturating_sub(limit));
    let parts = stream.parts();
    let old = parts.iter().filter(|part| keeps.is_old(part) == Some(true));
    Some(excess.max(old.map(|part| part.stored_bytes).sum()))
}

impl StreamDefinition {
    /// Returns the definition of a stream that is created now.
    #[must_use]
    pub fn new(name: &str, partitions: u32, retention: Retention, max_record_bytes: usize) -> Self {
        Self {
            id: 0,
            name: name.to_owned(),
            partitions,
            compression: Compression::None,
            retention_ms: retention.age.map(millis),
            retention_bytes: retention.bytes,
            max_record_bytes: max_record_bytes as u64,
            created_us: Timestamp::now().0,
            quota: QuotaRates::default(),
            dedup_window_seconds: None,
            layout: None,
        }
    }

    /// Returns a built-in stream, as the options say it: `events`, `analytics`, or `logs` for any other name.
    #[must_use]
    pub fn builtin(name: &str, options: &Options) -> Self {
        let (name, partitions, retention) = match name {
            EVENTS => (EVENTS, options.events_partitions, options.events_retention),
            ANALYTICS => (ANALYTICS, options.analytics_partitions, options.analytics_retention),
            _ => (LOGS, options.logs_partitions, options.logs_retention),
        };
        let plain = Self::new(name, partitions, retention, options.max_record_bytes);
        Self { compression: Compression::Zstd, ..plain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Generation;
    use crate::stream::{SegmentName, SegmentPart, StreamLimits};

    /// Judges what a shorter retention frees as retention does: the wall clock says nothing.
    #[test]
    fn a_shorter_retention_frees_what_is_old_in_the_time_of_the_log() {
        let catalog = Catalog::new(1 << 20, StreamLimits { streams: 10, partitions: 10 });
        let definition = StreamDefinition::new("s", 1, Retention { age: None, bytes: None }, 1024);
        let stream = catalog.insert(StreamDefinition { id: 1, ..definition });
        for second in 0..10_i64 {
            let name = SegmentName { generation: Generation(second.unsigned_abs() + 1), ordinal: 0 };
            let newest_append = Timestamp(second * 1_000_000);
            let part = SegmentPart { stored_bytes: 100, newest_append, ..SegmentPart::new(name) };
            stream.add_part(&Arc::new(part));
        }
        let wanted = StreamDefinition { retention_ms: Some(3_000), ..stream.definition() };
        for (seconds, bytes) in [(5, 200), (10, 700), (100, 1000), (1, 0)] {
            let now = LogTime::certain(Timestamp(seconds * 1_000_000));
            assert_eq!(freed(&stream, &wanted, &now), Some(bytes), "{seconds}");
        }
        assert_eq!(freed(&stream, &stream.definition(), &LogTime::certain(Timestamp(0))), None);
    }
}
