use std::time::Duration;

use crate::LoadError;

/// The most connections. One thread polls all of them; with more, the generator and not the server would be measured.
pub const MAX_CONNECTIONS: usize = 10_000;
/// The most events in a request. 64 bodies are held in memory: 160 MB at most.
pub const MAX_BATCH: usize = 10_000;
/// The highest rate of requests: more than one thread can send. At the end of a run, each request that was due and not
/// sent is counted singly.
pub const MAX_REQUESTS_PER_SECOND: f64 = 1_000_000.0;
/// The longest run: a run is a measurement, not a service. The latency histogram ends at an hour, too.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(3600);

/// The rule that decides when the next request is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pacing {
    /// Each connection sends its next request when the answer to the last one is there.
    Closed,
    /// Requests are due at a constant rate, whatever the server does; a request that finds no free connection waits,
    /// and its latency counts from when it was due.
    Open { events_per_second: f64 },
}

/// The kind of each request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// POST of `{"events": [event, …]}`: the drain's shape.
    #[default]
    Drain,
    /// POST of `{"events": [{"key", "value": event}, …]}`: a batch for a stream.
    PublishBatch,
    /// POST of `{"key", "value": event}`: one event for a stream.
    Publish,
    /// POST of `{"type", "source", "data"}`: one event for the events API.
    Event,
    /// POST of `[{"type", "source", "data"}, …]`: a batch for it.
    EventBatch,
    /// POST of `{"event", "user", "device", "context", "metrics"}`: one event for the analytics API.
    Track,
    /// GET of the URL as it is; each answer counts as `batch` events.
    Fetch,
}

impl Content {
    /// All kinds, with their names.
    pub const ALL: [(&'static str, Content); 7] = [
        ("drain", Content::Drain),
        ("publish-batch", Content::PublishBatch),
        ("publish", Content::Publish),
        ("event", Content::Event),
        ("event-batch", Content::EventBatch),
        ("track", Content::Track),
        ("fetch", Content::Fetch),
    ];

    /// Returns whether a request has one event.
    #[must_use]
    pub const fn is_single(self) -> bool {
        match self {
            Content::Publish | Content::Event | Content::Track => true,
            Content::Drain | Content::PublishBatch | Content::EventBatch | Content::Fetch => false,
        }
    }

    /// Returns the kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, content)| content)
    }
}

/// A load to run.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// `http://host[:port]/path` of the endpoint that takes the content.
    pub url: String,
    pub content: Content,
    pub pacing: Pacing,
    pub connections: usize,
    /// Events in one request.
    pub batch: usize,
    /// The measured time, after the warm-up.
    pub duration: Duration,
    /// The time of load before it, which is not measured.
    pub warmup: Duration,
    /// Further request headers, such as `Authorization`.
    pub headers: Vec<(String, String)>,
    /// Seed of the bodies: with the same batch size it gives the same request bytes.
    pub seed: u64,
    /// An answer that takes longer is counted as a timeout and its connection is opened anew.
    pub answer_timeout: Duration,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            url: "http://127.0.0.1:8080/v1/drain".to_owned(),
            content: Content::Drain,
            pacing: Pacing::Closed,
            connections: 32,
            batch: 100,
            duration: Duration::from_secs(10),
            warmup: Duration::from_secs(1),
            headers: Vec::new(),
            seed: 1,
            answer_timeout: Duration::from_secs(30),
        }
    }
}

impl LoadOptions {
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        within("connections", self.connections, 1, MAX_CONNECTIONS)?;
        within("batch", self.batch, 1, MAX_BATCH)?;
        if self.content.is_single() && self.batch != 1 {
            let batch = self.batch;
            return Err(LoadError::Invalid(format!("each request is of one event, batch must be 1, not {batch}")));
        }
        if self.duration.is_zero() || self.duration > MAX_DURATION {
            return Err(LoadError::Invalid("duration must be above 0 and at most 3600 seconds".to_owned()));
        }
        if self.warmup > MAX_DURATION {
            return Err(LoadError::Invalid("warmup must be at most 3600 seconds".to_owned()));
        }
        if self.answer_timeout.is_zero() || self.answer_timeout > MAX_DURATION {
            return Err(LoadError::Invalid("answer timeout must be above 0 and at most 3600 seconds".to_owned()));
        }
        if let Pacing::Open { events_per_second: rate } = self.pacing
            && !(rate > 0.0 && rate / self.batch as f64 <= MAX_REQUESTS_PER_SECOND)
        {
            let most = MAX_REQUESTS_PER_SECOND * self.batch as f64;
            return Err(LoadError::Invalid(format!("rate must be above 0 and at most {most} events/s at this batch")));
        }
        self.headers.iter().try_for_each(|(name, value)| check_header(name, value))
    }
}

fn within(name: &str, value: usize, low: usize, high: usize) -> Result<(), LoadError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(LoadError::Invalid(format!("{name} must be between {low} and {high}, not {value}")))
}

fn check_header(name: &str, value: &str) -> Result<(), LoadError> {
    let token = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    let text = value.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f));
    let framing = ["content-length", "transfer-encoding", "connection", "host"];
    if framing.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(LoadError::Invalid(format!("header {name} is set by the generator itself")));
    }
    if token && text { Ok(()) } else { Err(LoadError::Invalid(format!("header {name:?} is not a valid HTTP header"))) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refused(change: impl FnOnce(&mut LoadOptions)) -> String {
        let mut options = LoadOptions::default();
        change(&mut options);
        options.check().unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_valid() {
        LoadOptions::default().check().unwrap();
    }

    #[test]
    fn every_bound_is_checked_and_named() {
        assert_eq!(refused(|o| o.connections = 0), "connections must be between 1 and 10000, not 0");
        assert_eq!(
            refused(|o| o.connections = MAX_CONNECTIONS + 1),
            "connections must be between 1 and 10000, not 10001"
        );
        assert_eq!(refused(|o| o.batch = 0), "batch must be between 1 and 10000, not 0");
        assert_eq!(refused(|o| o.batch = MAX_BATCH + 1), "batch must be between 1 and 10000, not 10001");
        for content in [Content::Publish, Content::Event, Content::Track] {
            assert!(refused(|o| o.content = content).contains("batch must be 1"));
        }
        assert!(refused(|o| o.duration = Duration::ZERO).starts_with("duration"));
        assert!(refused(|o| o.warmup = MAX_DURATION * 2).starts_with("warmup"));
        assert!(refused(|o| o.answer_timeout = Duration::ZERO).starts_with("answer timeout"));
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, MAX_REQUESTS_PER_SECOND * 101.0] {
            assert!(refused(|o| o.pacing = Pacing::Open { events_per_second: rate }).starts_with("rate"));
        }
    }

    #[test]
    fn headers_cannot_break_the_framing() {
        assert!(refused(|o| o.headers = vec![("X".into(), "a\r\nY: b".into())]).contains("not a valid"));
        assert!(refused(|o| o.headers = vec![("".into(), "a".into())]).contains("not a valid"));
        assert!(refused(|o| o.headers = vec![("Content-Length".into(), "1".into())]).contains("generator itself"));
    }
}
