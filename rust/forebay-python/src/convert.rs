//! Conversions of settings and records from Python to the core.

use std::time::Duration;

use forebay_core::{Access, Durability, Encoding, Error, ErrorKind, NewRecord, Options, Timestamp};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::raise;

/// (key, value, headers, timestamp in microseconds).
pub type RecordTuple = (Option<Vec<u8>>, Vec<u8>, Vec<u8>, Option<i64>);

/// A record that a program appends.
pub fn record((key, value, headers, timestamp): RecordTuple) -> NewRecord {
    NewRecord { key, value, headers, timestamp: timestamp.map(Timestamp) }
}

/// Reads the core's options from a dictionary; options that it does not name keep their defaults.
///
/// # Errors
/// `InvalidRequest` naming a key that is unknown, or a value of the wrong type.
pub fn options(dictionary: &Bound<'_, PyDict>) -> PyResult<Options> {
    let mut options = Options::default();
    for (key, value) in dictionary {
        let key: String = key.extract()?;
        set(&mut options, &key, &value).map_err(|error| {
            let detail = format!("option {key}: {error}");
            raise(dictionary.py(), &Error::new(ErrorKind::InvalidRequest, detail))
        })?;
    }
    Ok(options)
}

fn set(options: &mut Options, key: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let millis = |value: &Bound<'_, PyAny>| value.extract().map(Duration::from_millis);
    // Python's settings have no null, so 0 stands for no limit.
    let optional = |value: &Bound<'_, PyAny>| value.extract::<u64>().map(|number| Some(number).filter(|n| *n > 0));
    match key {
        "durability" => options.durability = durability(&value.extract::<String>()?)?,
        "interval_ms" => options.sync_interval = millis(value)?,
        "commit_gather_us" => options.commit_gather = Duration::from_micros(value.extract()?),
        "ring_bytes" => options.ring_bytes = value.extract()?,
        "journal_file_bytes" => options.journal_file_bytes = value.extract()?,
        "journal_file_age_seconds" => {
            options.journal_file_age = Duration::try_from_secs_f64(value.extract()?)
                .map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))?
        }
        // 0 keeps the default of one for each core.
        "workers" => options.workers = Some(value.extract()?).filter(|workers| *workers > 0).unwrap_or(options.workers),
        "logs_partitions" => options.logs_partitions = value.extract()?,
        "logs_retention_ms" => options.logs_retention.age = optional(value)?.map(Duration::from_millis),
        "logs_retention_bytes" => options.logs_retention.bytes = optional(value)?,
        "events_partitions" => options.events_partitions = value.extract()?,
        "events_retention_ms" => options.events_retention.age = optional(value)?.map(Duration::from_millis),
        "events_retention_bytes" => options.events_retention.bytes = optional(value)?,
        "analytics_partitions" => options.analytics_partitions = value.extract()?,
        "analytics_retention_ms" => options.analytics_retention.age = optional(value)?.map(Duration::from_millis),
        "analytics_retention_bytes" => options.analytics_retention.bytes = optional(value)?,
        "max_idempotency_keys" => options.max_idempotency_keys = value.extract()?,
        "max_streams" => options.max_streams = value.extract()?,
        "max_partitions" => options.max_partitions = value.extract()?,
        "processor_state_bytes" => options.processor_state_bytes = value.extract()?,
        "jobs_bytes" => options.jobs_bytes = value.extract()?,
        "function_command" => options.functions.command = value.extract()?,
        // 0 keeps the default of one for each core.
        "function_workers" => {
            let workers = Some(value.extract()?).filter(|workers| *workers > 0);
            options.functions.workers = workers.unwrap_or(options.functions.workers);
        }
        "function_worker_bytes" => options.functions.worker_bytes = value.extract()?,
        "function_timeout_ms" => options.functions.timeout = millis(value)?,
        "function_names" => options.functions.local = value.extract()?,
        "dedup_window_seconds" => options.dedup_window = Duration::from_secs(value.extract()?),
        "max_body_bytes" => options.max_body_bytes = value.extract()?,
        "max_record_bytes" => options.max_record_bytes = value.extract()?,
        "read_only" => {
            options.access = if value.extract()? { Access::ReadOnly } else { Access::ReadWrite };
        }
        _ => return Err(pyo3::exceptions::PyValueError::new_err("there is no such option")),
    }
    Ok(())
}

/// Reads a content coding (RFC 9110, section 8.4.1).
///
/// # Errors
/// `UnsupportedEncoding` naming those that are understood.
pub fn encoding(name: Option<&str>) -> Result<Encoding, Error> {
    let name = name.unwrap_or_default();
    Encoding::named(name).ok_or_else(|| {
        let detail = format!("content-encoding {name:?} is not accepted; send gzip, deflate, zstd or identity");
        Error::new(ErrorKind::UnsupportedEncoding, detail)
    })
}

fn durability(name: &str) -> PyResult<Durability> {
    let all = [Durability::Fsync, Durability::Interval, Durability::Memory];
    let found = all.into_iter().find(|durability| durability.name() == name);
    found.ok_or_else(|| pyo3::exceptions::PyValueError::new_err("must be fsync, interval or memory"))
}
