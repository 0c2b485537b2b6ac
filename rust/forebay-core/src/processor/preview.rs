//! What a processor would make of the newest records of its source: nothing is written.

use serde_json::{Value, json, value::RawValue};

use super::definition::ProcessorDefinition;
use super::failures::Failures;
use super::outputs::Destination;
use super::plan::Plan;
use super::processors::Processors;
use super::rows::ProcessorId;
use super::step::{Sinks, Target};
use super::task::Task;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Offset;
use crate::options::Retention;
use crate::stream::StreamDefinition;
use crate::time::format_millis;
use crate::window::Closing;

/// The most records that a preview reads: it answers within a second or so.
pub const MAX_PREVIEW_RECORDS: u64 = 100_000;
/// The most results that it shows.
pub const MAX_PREVIEW_RESULTS: usize = 1_000;

impl Processors {
    /// Runs a definition over the newest `records` of its source, all partitions together, and closes every window at the
    /// end. Returns what it read and made of it, as JSON.
    ///
    /// # Errors
    /// As creating it, but for its name; `InvalidRequest` for more than [`MAX_PREVIEW_RECORDS`].
    pub fn preview(&self, definition: &[u8], records: u64) -> Result<Vec<u8>> {
        if !(1..=MAX_PREVIEW_RECORDS).contains(&records) {
            let detail = format!("records: must be 1 to {MAX_PREVIEW_RECORDS}");
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        let definition = ProcessorDefinition::parse(definition)?;
        let plan = Plan::new(&definition)?;
        let source = self.environment.catalog.named(&definition.source)?;
        let partitions = u64::try_from(source.partitions().len()).unwrap_or(1);
        let share = records.div_ceil(partitions);
        let begin = |log: &crate::stream::Partition| {
            let (start, end) = (log.start(), log.committed());
            Offset(end.0.saturating_sub(share).max(start.0))
        };
        let next = source.partitions().iter().map(begin).collect();
        let unused = StreamDefinition::new("preview", 1, Retention::default(), self.environment.max_record_bytes);
        let late = definition.config.late_sink.as_deref().map(Target::new);
        let sinks = Sinks { sink: Target::new(&definition.sink), late, dead_letter: (unused, None) };
        let mut task = Task::new(
            ProcessorId(0),
            (plan, &definition.config),
            (source, sinks, 1),
            next,
            (self.environment.max_batch_bytes, self.uptime()),
        );
        task.failures = Some(Failures::default());
        self.run_preview(&mut task)
    }

    fn run_preview(&self, task: &mut Task) -> Result<Vec<u8>> {
        let moment = self.moment();
        let (mut results, mut more) = (Vec::new(), false);
        let mut take = |task: &mut Task| {
            for event in task.outputs.events(Destination::Sink).1 {
                if results.len() == MAX_PREVIEW_RESULTS {
                    more = true;
                    break;
                }
                // What a record or a result has for a value is JSON.
                let value = RawValue::from_string(String::from_utf8_lossy(&event.value).into_owned()).ok();
                let key = event.key.map(|key| String::from_utf8_lossy(&key).into_owned());
                results.push((key, format_millis(event.timestamp), value));
            }
            task.outputs.clear();
        };
        let ends: Vec<Offset> = task.source.partitions().iter().map(|log| log.committed()).collect();
        while task.next.iter().zip(&ends).any(|(next, end)| next < end) {
            task.read(&self.environment, moment)?;
            take(task);
        }
        task.end();
        while task.close(moment) == Closing::More {
            take(task);
        }
        take(task);
        let rows: Vec<Value> = results
            .iter()
            .map(|(key, timestamp, value)| json!({"key": key, "timestamp": timestamp, "value": value}))
            .collect();
        let failures = task.failures.take().unwrap_or_default();
        let answer = json!({
            "recordsRead": task.totals.events_processed,
            "matched": failures.chosen,
            "results": rows,
            "moreResults": more,
            "late": task.totals.late_events,
            "failures": failures.to_json(),
        });
        Ok(serde_json::to_vec(&answer).unwrap_or_default())
    }
}
