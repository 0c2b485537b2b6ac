//! Processors as users see them, as JSON.

use serde_json::{Value, json};

use super::newest_windows::SeenWindow;
use super::processor::Processor;
use super::processors::Processors;
use crate::error::Result;
use crate::ids::Timestamp;
use crate::time::format_millis;
use crate::window::EventTime;

impl Processors {
    /// Returns the description of one processor.
    ///
    /// # Errors
    /// `ProcessorNotFound`.
    pub fn description(&self, id: &str) -> Result<Vec<u8>> {
        Ok(self.describe(&*self.find(id)?))
    }

    /// Returns the descriptions of all, by name, as a list.
    #[must_use]
    pub fn descriptions(&self) -> Vec<u8> {
        let all: Vec<Value> = self.all().iter().map(|processor| self.description_of(processor)).collect();
        to_vec(&Value::Array(all))
    }

    /// Returns the metrics of one processor.
    ///
    /// # Errors
    /// `ProcessorNotFound`.
    pub fn metrics(&self, id: &str) -> Result<Vec<u8>> {
        let processor = self.find(id)?;
        let (seen, status) = (processor.seen.lock().clone(), processor.status());
        let uptime = self.uptime();
        let totals = seen.totals;
        Ok(to_vec(&json!({
            "processorId": processor.id.to_string(),
            "name": processor.name(),
            "status": status.is.name(),
            "reason": status.reason,
            "blockedBy": seen.blocked_by,
            "degraded": seen.degraded(uptime),
            "metrics": {
                "eventsProcessed": totals.events_processed,
                "throughput": seen.rate.throughput(uptime),
                "avgLatency": seen.rate.latency(uptime).as_micros() as f64 / 1000.0,
                "lag": self.lag(&processor),
                "errorRate": seen.rate.error_rate(uptime),
                "lateEvents": totals.late_events,
                "futureEvents": totals.future_events,
                "filterFailures": totals.filter_failures,
                "skipped": totals.skipped,
                "deadLetters": totals.dead_letters,
                "recordsLost": totals.records_lost,
                "results": totals.results,
                "stateBytes": seen.state_bytes,
            },
            "windows": seen.windows.iter().map(window).collect::<Vec<_>>(),
        })))
    }

    pub(super) fn describe(&self, processor: &Processor) -> Vec<u8> {
        to_vec(&self.description_of(processor))
    }

    fn description_of(&self, processor: &Processor) -> Value {
        let (seen, status) = (processor.seen.lock().clone(), processor.status());
        // What serde has written is JSON.
        let mut description = serde_json::to_value(&processor.definition).unwrap_or_default();
        description["processorId"] = processor.id.to_string().into();
        description["status"] = status.is.name().into();
        description["reason"] = status.reason.into();
        description["blockedBy"] = seen.blocked_by.clone().into();
        description["degraded"] = seen.degraded(self.uptime()).into();
        description["createdAt"] = format_millis(processor.created).into();
        description["metrics"] = json!({
            "eventsProcessed": seen.totals.events_processed,
            "throughput": seen.rate.throughput(self.uptime()),
            "lag": self.lag(processor),
        });
        description
    }

    /// Returns how many records of the source are there that are not processed and stored.
    fn lag(&self, processor: &Processor) -> u64 {
        let Some(source) = self.environment.catalog.by_id(processor.source) else { return 0 };
        let next = &processor.seen.lock().next;
        let behind = |(log, next): (&crate::stream::Partition, &crate::ids::Offset)| {
            log.committed().0.saturating_sub(next.0.max(log.start().0))
        };
        source.partitions().iter().zip(next).map(behind).sum()
    }
}

fn window(window: &SeenWindow) -> Value {
    let time = |time: EventTime| format_millis(Timestamp(time.millis().saturating_mul(1000)));
    json!({
        "windowStart": time(window.start),
        "windowEnd": time(window.end),
        "eventsCount": window.events,
        "final": window.is_final,
    })
}

fn to_vec(value: &Value) -> Vec<u8> {
    // Texts and numbers always serialise.
    serde_json::to_vec(value).unwrap_or_default()
}
