//! A user's operations on streams: create, change, delete.

use std::sync::Arc;

use super::engine::Engine;
use crate::admission::QuotaRates;
use crate::error::{Error, ErrorKind, Result};
use crate::options::{Retention, check_dedup_window, check_range};
use crate::stream::{Compression, Layout, Stream, StreamDefinition, is_builtin, is_reserved};

/// The longest retention by age: a hundred years.
const MAX_RETENTION_MS: u64 = 100 * 365 * 24 * 3_600_000;
/// The largest retention by size, so that sums stay in 64 bits.
const MAX_RETENTION_BYTES: u64 = 1 << 50;

/// Settings of a stream; those that are `None` stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamChange {
    /// Milliseconds after which records may be deleted; 0 keeps them.
    pub retention_ms: Option<u64>,
    /// Stored bytes that are kept at least: the oldest segments beyond them are deleted; 0 keeps all.
    pub retention_bytes: Option<u64>,
    /// Compression of segments that are sealed from now on.
    pub compression: Option<Compression>,
    /// Largest value of one record, in bytes.
    pub max_record_bytes: Option<u64>,
    /// The quota of all senders together.
    pub quota: Option<QuotaRates>,
    /// Seconds that idempotency keys of requests that come from now on are remembered; 0 for as long as the engine's
    /// options say.
    pub dedup_window_seconds: Option<u32>,
    /// Layout of segments that are sealed from now on.
    pub layout: Option<Layout>,
}

impl StreamChange {
    /// Returns the definition with these choices.
    ///
    /// # Errors
    /// `InvalidRequest` naming what is out of range.
    fn apply(self, mut definition: StreamDefinition, max_body_bytes: usize) -> Result<StreamDefinition> {
        if let Some(ms) = self.retention_ms {
            check_range("retention_ms", ms, 0, MAX_RETENTION_MS)?;
            definition.retention_ms = Some(ms).filter(|ms| *ms > 0);
        }
        if let Some(bytes) = self.retention_bytes {
            check_range("retention_bytes", bytes, 0, MAX_RETENTION_BYTES)?;
            definition.retention_bytes = Some(bytes).filter(|bytes| *bytes > 0);
        }
        if let Some(bytes) = self.max_record_bytes {
            // A record comes in a body.
            check_range("max_record_bytes", bytes, 1, max_body_bytes as u64)?;
            definition.max_record_bytes = bytes;
        }
        if let Some(seconds) = self.dedup_window_seconds {
            if seconds > 0 {
                check_dedup_window(seconds.into())?;
            }
            definition.dedup_window_seconds = Some(seconds).filter(|seconds| *seconds > 0);
        }
        definition.compression = self.compression.unwrap_or(definition.compression);
        definition.layout = self.layout.or(definition.layout);
        definition.quota = self.quota.unwrap_or(definition.quota);
        Ok(definition)
    }
}

impl Engine {
    /// Creates a stream with the defaults: a week's retention, not compressed.
    ///
    /// # Errors
    /// Fails as [`Engine::create_stream_with`] does.
    pub fn create_stream(&self, name: &str, partitions: u32) -> Result<Arc<Stream>> {
        self.create_stream_with(name, partitions, StreamChange::default())
    }

    /// Creates a stream; durable when this returns.
    ///
    /// # Errors
    /// `InvalidRequest` for a bad name, number of partitions or choice, `StreamAlreadyExists`, `StreamLimitReached`,
    /// `Forbidden` for a name that the engine keeps for itself, and as [`Engine::submit`].
    pub fn create_stream_with(&self, name: &str, partitions: u32, choice: StreamChange) -> Result<Arc<Stream>> {
        if is_reserved(name) && self.catalog.named(name).is_err() {
            let detail = format!("the engine makes the stream {name:?} itself when it is needed; choose another name");
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
        let limit = self.options.max_record_bytes;
        let definition = StreamDefinition::new(name, partitions, Retention::default(), limit);
        self.streams.create(choice.apply(definition, self.options.max_body_bytes)?)
    }

    /// Changes what can be chosen for a stream; durable when this returns.
    ///
    /// # Errors
    /// `StreamNotFound`, `InvalidRequest` naming what is out of range, `Forbidden` for what the engine's own options say
    /// of a built-in stream, and why nothing can be written.
    pub fn alter_stream(&self, name: &str, change: StreamChange) -> Result<()> {
        let of_options = change.retention_ms.or(change.retention_bytes).or(change.max_record_bytes).is_some();
        if is_builtin(name) && of_options {
            let detail = format!(
                "retention and record size of the stream {name:?} are settings of the server: {name}_retention_ms, \
                 {name}_retention_bytes, max_record_bytes"
            );
            return Err(Error::new(ErrorKind::Forbidden, detail));
        }
        let limit = self.options.max_body_bytes;
        self.streams.change(name, |definition| change.apply(definition, limit)).map(drop)
    }

    /// Deletes a stream and everything in it; durable when this returns. A stream that is created under its name later
    /// has another identity.
    ///
    /// # Errors
    /// `StreamNotFound`, `Forbidden` for the engine's own streams, and why nothing can be written.
    pub fn delete_stream(&self, name: &str) -> Result<()> {
        self.retention.delete_stream(name, |stream| match stream.is_engine_made() {
            true => {
                let detail = format!("stream {name:?} is the engine's own and cannot be deleted");
                Err(Error::new(ErrorKind::Forbidden, detail))
            }
            false => Ok(()),
        })
    }
}
