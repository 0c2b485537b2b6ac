//! Futures that wait for records.

use std::sync::Arc;

use forebay_core::{Offset, PartitionId, StreamId, WatchId, Watcher};
use pyo3::prelude::*;

use crate::engine::Engine;
use crate::error::raise;

/// Completes `future` when a record at or beyond one of the positions is visible. Returns the watch: the
/// stream's identity above 64 bits of the watch's number, so that it never names another one.
pub fn watch(engine: &Engine, stream: &str, positions: &[(u32, u64)], future: Bound<'_, PyAny>) -> PyResult<u128> {
    let py = future.py();
    let positions: Vec<_> = positions.iter().map(|(of, offset)| (PartitionId(*of), Offset(*offset))).collect();
    let watcher: Arc<dyn Watcher> = engine.completions.clone();
    let completion = engine.futures.lock().insert(future.unbind());
    let watch = engine.core.watch(stream, &positions, watcher, completion).map_err(|error| {
        engine.futures.lock().remove(completion);
        raise(py, &error)
    })?;
    Ok(u128::from(watch.stream.0) << 64 | u128::from(watch.number))
}

/// Removes a watch. If its completion is already queued, the future keeps its place until that is delivered, so that it
/// cannot complete another future.
pub fn unwatch(engine: &Engine, watch: u128) {
    let number = u64::try_from(watch & u128::from(u64::MAX)).unwrap_or(u64::MAX);
    let Ok(stream) = u32::try_from(watch >> 64) else { return };
    if let Some(completion) = engine.core.unwatch(WatchId { stream: StreamId(stream), number }) {
        engine.futures.lock().remove(completion);
    }
}
