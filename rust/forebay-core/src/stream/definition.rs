//! The settings of a stream: the row of the catalog table.

use serde::{Deserialize, Serialize};

use super::is_builtin;
use crate::admission::QuotaRates;

/// The compression of a stream's sealed segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Stored as they are.
    #[default]
    None,
    /// Gzip at level 1: a quarter of the size of logs or less, slower than all others.
    Gzip,
    /// Snappy block format: about as fast as LZ4, and a little larger.
    Snappy,
    /// LZ4 block format: fast, about a quarter of the size for logs.
    Lz4,
    /// Zstandard at level 1: about a seventh of the size for logs.
    Zstd,
}

impl Compression {
    /// Every compression.
    pub const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    /// Returns its name, as in definitions and requests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }

    /// Returns the compression of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compression| compression.name() == name)
    }
}

/// How a stream's sealed records are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// One record after the other, a hundred or a few in a compressed block: for records that have little in common, and
    /// for those that are read soon and once.
    Rows,
    /// What records have in common once, and what varies in arrays by field: smaller and quicker to search for records that
    /// repeat in shape. Records that do not are kept as rows.
    Columns,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Layout; 2] = [Layout::Rows, Layout::Columns];

    /// Returns its name, as in definitions and requests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Layout::Rows => "rows",
            Layout::Columns => "columns",
        }
    }

    /// Returns the layout of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name)
    }
}

/// A stream's definition, stored as JSON in the catalog table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamDefinition {
    /// The stream's identity.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Number of partitions; fixed.
    pub partitions: u32,
    /// Compression of sealed segments.
    pub compression: Compression,
    /// Milliseconds after which records may be deleted, by append time; `None` keeps them.
    pub retention_ms: Option<u64>,
    /// Stored bytes that are kept at least: the oldest segments beyond them are deleted; `None` keeps all.
    pub retention_bytes: Option<u64>,
    /// Largest value of one record, in bytes.
    pub max_record_bytes: u64,
    /// When the stream was created, microseconds since 1970 UTC.
    pub created_us: i64,
    /// The quota of all senders together. Definitions that are older than quotas lack it.
    #[serde(default, skip_serializing_if = "QuotaRates::is_unlimited")]
    pub quota: QuotaRates,
    /// Seconds that idempotency keys of requests for it are remembered; `None` for as long as the engine's options say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup_window_seconds: Option<u32>,
    /// The layout of sealed segments; `None`, as in definitions that are older than layouts, for what suits the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

impl StreamDefinition {
    /// Returns the layout of segments that are sealed from now on: without a choice, columns for the built-in streams.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout.unwrap_or(if is_builtin(&self.name) { Layout::Columns } else { Layout::Rows })
    }

    /// Returns the row's value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // A struct of numbers and strings always serialises.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Returns the definition in a row's value.
    ///
    /// # Errors
    /// Fails with the JSON parser's error.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}
