//! The processors behind the analytics views, which the engine keeps itself.

use std::sync::Arc;
use std::time::Duration;

use super::definition::ProcessorDefinition;
use super::plan::Plan;
use super::processors::Processors;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Retention;
use crate::stream::{ANALYTICS, StreamDefinition, VIEWS_PREFIX};

/// What can be chosen of the views.
#[derive(Clone, Copy, Debug)]
pub struct ViewsOptions {
    /// By how much an event may be behind the newest of its partition and still change its windows.
    pub lateness: Duration,
    /// How long windows are kept; their streams keep them a little longer.
    pub retention: Duration,
}

/// A view: the end of its name, the length of its windows in milliseconds, and the rest of its operations.
struct View {
    name: &'static str,
    length: u32,
    filter: &'static str,
    aggregations: &'static [(&'static str, &'static str)],
}

/// Milliseconds by which an event may be ahead of the clock and still move time: a sender whose clock is fast does not make
/// the events of others late.
const MAX_FUTURE: u32 = 1_000;
/// Milliseconds from which one is left out: windows of the future stay open until their time comes, and senders choose it.
const DROPPED_FUTURE: u32 = HOUR;

/// Milliseconds between two steps where nothing changes: a server that starts waits until all that was there is processed.
const CHECKPOINT: u32 = 1_000;

const MINUTE: u32 = 60_000;
const HOUR: u32 = 60 * MINUTE;

/// `has` of a field whose object is missing fails, and null is there.
const HAS_LOAD_TIME: &str = "has(value.metrics) && value.metrics != null && has(value.metrics.load_time) && \
                             value.metrics.load_time != null";

const VIEWS: [View; 3] = [
    View {
        name: "events",
        length: MINUTE,
        filter: "",
        aggregations: &[
            ("count", ""),
            ("count_distinct", "user.id"),
            ("count_distinct", "context.session_id"),
            ("top", "event.type"),
        ],
    },
    View {
        name: "performance",
        length: MINUTE,
        filter: HAS_LOAD_TIME,
        aggregations: &[
            ("count", ""),
            ("avg", "metrics.load_time"),
            ("p50", "metrics.load_time"),
            ("p95", "metrics.load_time"),
            ("p99", "metrics.load_time"),
        ],
    },
    View {
        name: "hours",
        length: HOUR,
        filter: "",
        aggregations: &[
            ("count", ""),
            ("count_distinct", "user.id"),
            ("count_distinct", "context.session_id"),
            ("p50", "metrics.load_time"),
            ("p95", "metrics.load_time"),
            ("p99", "metrics.load_time"),
            ("top", "event.type"),
            ("top", "context.url"),
        ],
    },
];

impl View {
    fn definition(&self, lateness: Duration) -> Result<ProcessorDefinition> {
        let name = format!("{VIEWS_PREFIX}{}", self.name);
        let aggregations: Vec<_> = self
            .aggregations
            .iter()
            .map(|(aggregation, field)| match *field {
                "" => serde_json::json!({"aggregation": aggregation}),
                field => serde_json::json!({"aggregation": aggregation, "field": field}),
            })
            .collect();
        let mut operations = Vec::new();
        if !self.filter.is_empty() {
            operations.push(serde_json::json!({"type": "filter", "predicate": self.filter}));
        }
        operations.push(serde_json::json!({"type": "window", "windowType": "tumbling", "duration": self.length}));
        operations.push(serde_json::json!({"type": "aggregate", "aggregations": aggregations}));
        let lateness = u64::try_from(lateness.as_millis()).unwrap_or(u64::MAX);
        let definition = serde_json::json!({
            "name": name, "source": ANALYTICS, "sink": name, "offset": "earliest", "operations": operations,
            "config": {"emit": "update", "allowedLateness": lateness, "maxFuture": MAX_FUTURE, "checkpointInterval": CHECKPOINT,
                "dropFuture": DROPPED_FUTURE},
        });
        ProcessorDefinition::parse(definition.to_string().as_bytes())
    }
}

impl Processors {
    /// Makes the processors of the analytics views that are missing. One whose definition is another by now is made anew:
    /// it reads all that the stream of analytics events has, and its results replace the earlier ones.
    ///
    /// # Errors
    /// Why nothing can be written; `Saturated` when there are too many processors.
    pub fn keep_views(self: &Arc<Self>, options: ViewsOptions) -> Result<()> {
        for view in VIEWS {
            let definition = view.definition(options.lateness)?;
            let length = Duration::from_millis(view.length.into());
            // The last result of a window comes when nothing can be late for it any more.
            let kept = options.retention + 2 * length + options.lateness;
            self.keep_view(definition, kept)?;
        }
        Ok(())
    }

    fn keep_view(self: &Arc<Self>, definition: ProcessorDefinition, kept: Duration) -> Result<()> {
        let _one_at_a_time = self.changing.lock();
        let streams = &self.environment.streams;
        let retention = Retention { age: Some(kept), bytes: None };
        let sink = StreamDefinition::new(&definition.name, 1, retention, self.environment.max_record_bytes);
        let retention_ms = sink.retention_ms;
        streams.ensure(sink)?;
        // Changes nothing where it is so already.
        streams.change(&definition.name, |is| Ok(StreamDefinition { retention_ms, ..is }))?;
        if let Ok(known) = self.find(&definition.name) {
            if known.definition == definition {
                return Ok(());
            }
            self.remove(&known)?;
        }
        let plan = Plan::new(&definition)?;
        let processor = self.begin_anew(definition, plan)?;
        self.start_threads()?;
        self.run(&processor);
        Ok(())
    }
}

/// Refuses what only the engine may do with the processors of the views.
pub(super) fn check_own(name: &str) -> Result<()> {
    if !name.starts_with(VIEWS_PREFIX) {
        return Ok(());
    }
    let detail = format!(
        "processors whose name begins with {VIEWS_PREFIX:?} are the engine's own: they can be neither made nor deleted"
    );
    Err(Error::new(ErrorKind::Forbidden, detail))
}
