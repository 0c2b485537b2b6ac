//! What a processor would make of the newest records of its source: nothing is written.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;

use super::definition::ProcessorDefinition;
use super::failures::{Failure, Failures};
use super::outputs::{Destination, Outputs};
use super::plan::Plan;
use super::processors::Processors;
use super::rows::ProcessorId;
use super::task::Task;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Offset;
use crate::time::format_millis;
use crate::window::Closing;

/// The most records that a preview reads: it answers within a second or so.
pub const MAX_PREVIEW_RECORDS: u64 = 100_000;
/// The longest time that functions have for all of a preview.
const PATIENCE: Duration = Duration::from_secs(20);
/// The bytes of results beyond which no more are shown.
const MAX_PREVIEW_BYTES: usize = 4 * 1024 * 1024;
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
        // What a change of a processor would make is seen before it is made.
        let (definition, _succession) = ProcessorDefinition::parse_new(definition)?;
        let plan = Plan::new(&definition)?;
        self.check_functions(&plan)?;
        let source = self.environment.catalog.named(&definition.source)?;
        let partitions = u64::try_from(source.partitions().len()).unwrap_or(1);
        let share = records.div_ceil(partitions);
        let begin = |log: &crate::stream::Partition| {
            let (start, end) = (log.start(), log.committed());
            Offset(end.0.saturating_sub(share).max(start.0))
        };
        let next = source.partitions().iter().map(begin).collect();
        // It never commits: its number and its sinks are of no meaning.
        let mut task = self.task(ProcessorId(0), (&definition, plan), (source, 1), next);
        task.failures = Some(Failures::default());
        self.run_preview(&mut task)
    }

    fn run_preview(&self, task: &mut Task) -> Result<Vec<u8>> {
        let (moment, deadline) = (self.moment(), Instant::now() + PATIENCE);
        let mut preview = Preview::default();
        let ends: Vec<Offset> = task.source.partitions().iter().map(|log| log.committed()).collect();
        while task.next.iter().zip(&ends).any(|(next, end)| next < end) {
            task.read_and_wait(&self.environment, moment, deadline)?;
            preview.take(&mut task.outputs);
        }
        task.end();
        while task.close(moment) == Closing::More {
            preview.take(&mut task.outputs);
        }
        preview.take(&mut task.outputs);
        let failures = task.failures.take().unwrap_or_default();
        let (records_read, late) = (task.totals.events_processed, task.totals.late_events);
        let preview = Preview { records_read, matched: failures.chosen, late, failures: failures.all(), ..preview };
        // Texts, numbers and JSON always serialise.
        Ok(serde_json::to_vec(&preview).unwrap_or_default())
    }
}

/// One record as it would be written; its value as it stands, which a tree of values would round or refuse.
#[derive(Debug, Serialize)]
struct PreviewResult {
    key: Option<String>,
    timestamp: String,
    value: Option<Box<RawValue>>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Preview {
    records_read: u64,
    matched: u64,
    results: Vec<PreviewResult>,
    more_results: bool,
    late: u64,
    failures: Vec<Failure>,
    #[serde(skip)]
    bytes: usize,
}

impl Preview {
    fn take(&mut self, outputs: &mut Outputs) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        for record in outputs.records(Destination::Sink) {
            if self.results.len() == MAX_PREVIEW_RESULTS || self.bytes > MAX_PREVIEW_BYTES {
                self.more_results = true;
                break;
            }
            self.bytes += record.value.len();
            self.results.push(PreviewResult {
                key: record.key.map(text),
                timestamp: format_millis(record.timestamp),
                // What a record or a result has for a value is JSON.
                value: RawValue::from_string(text(record.value)).ok(),
            });
        }
        outputs.clear();
    }
}
