//! The routes that take events: one row each. Whoever serves, describes or calls one derives it from here: the engine,
//! the front, the server's routes with their roles and OpenAPI, and `forebay bench`.

use std::fmt;

use super::formats::{EventList, PayloadFormat, drain, events, publish, track};
use crate::stream::{ANALYTICS, EVENTS, LOGS, is_name};
use crate::telemetry::Api;

/// The role that a token must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It may write events.
    Ingest,
}

impl Role {
    /// Its name, as tokens have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
        }
    }
}

/// Where a route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// At one path.
    Exact(&'static str),
    /// At one path for each stream, whose name stands between these two.
    OfStream(&'static str, &'static str),
}

impl Path {
    /// Matches a request's path, and returns the name of the stream in it. A name that is escaped is not found.
    fn matches(self, path: &str) -> Option<Option<&str>> {
        match self {
            Self::Exact(exact) => (path == exact).then_some(None),
            Self::OfStream(before, after) => {
                let name = path.strip_prefix(before)?.strip_suffix(after)?;
                is_name(name).then_some(Some(name))
            }
        }
    }
}

/// The path as patterns of routes are written: with `{name}` for the stream's name.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::OfStream(before, after) => write!(f, "{before}{{name}}{after}"),
        }
    }
}

/// A route that takes events.
#[derive(Debug)]
pub struct IngestRoute {
    /// Names the row.
    pub name: &'static str,
    /// The request's method.
    pub method: &'static str,
    /// The request's path.
    pub path: Path,
    /// Reads the bodies, and answers them.
    pub(crate) format: &'static dyn PayloadFormat,
    /// The stream that the events go to; `None` when the path names it.
    pub stream: Option<&'static str>,
    /// The API that it belongs to: the label of its counters, and the family of its refusals.
    pub api: Api,
    /// The role that a token must have.
    pub role: Role,
    /// True when a token that is limited to projects may use it: its events name their project, and are checked.
    pub projects: bool,
    /// True when a sender may ask that the invalid events of a body are quarantined. Routes that answer for each event
    /// have no use for that.
    pub quarantine: bool,
    /// The largest body, decompressed, where that is less than [`Options::max_body_bytes`](crate::Options).
    pub max_body_bytes: Option<usize>,
    /// The most events of one body.
    pub max_events: usize,
    /// One line for people.
    pub summary: &'static str,
}

/// Log events for the stream `logs`.
pub static DRAIN: IngestRoute = IngestRoute {
    name: "drain",
    method: "POST",
    path: Path::Exact("/v1/drain"),
    format: &drain::FORMAT,
    stream: Some(LOGS),
    api: Api::Drain,
    role: Role::Ingest,
    projects: true,
    quarantine: true,
    max_body_bytes: None,
    max_events: drain::MAX_EVENTS_PER_BODY,
    summary: "Stores a batch of log events on the stream `logs`.",
};

/// One event for the stream `events`.
pub static EVENT: IngestRoute = IngestRoute {
    name: "event",
    method: "POST",
    path: Path::Exact("/api/events"),
    format: &events::SINGLE,
    stream: Some(EVENTS),
    api: Api::Events,
    role: Role::Ingest,
    projects: false,
    quarantine: false,
    max_body_bytes: None,
    max_events: 1,
    summary: "Stores one event on the stream `events`.",
};

/// Events for the stream `events`.
pub static EVENT_BATCH: IngestRoute = IngestRoute {
    name: "event-batch",
    method: "POST",
    path: Path::Exact("/api/events/batch"),
    format: &events::BATCH,
    stream: Some(EVENTS),
    api: Api::Events,
    role: Role::Ingest,
    projects: false,
    quarantine: false,
    max_body_bytes: None,
    max_events: events::MAX_BATCH_EVENTS,
    summary: "Stores up to 1000 events on the stream `events`; invalid ones are named, the others stored.",
};

/// One event for the stream `analytics`.
pub static TRACK: IngestRoute = IngestRoute {
    name: "track",
    method: "POST",
    path: Path::Exact("/v1/analytics/track"),
    format: &track::SINGLE,
    stream: Some(ANALYTICS),
    api: Api::Analytics,
    role: Role::Ingest,
    projects: false,
    quarantine: true,
    max_body_bytes: None,
    max_events: 1,
    summary: "Stores one event on the stream `analytics`.",
};

/// Events for the stream `analytics`.
pub static TRACK_BATCH: IngestRoute = IngestRoute {
    name: "track-batch",
    method: "POST",
    path: Path::Exact("/v1/analytics/track/batch"),
    format: &track::BATCH,
    stream: Some(ANALYTICS),
    api: Api::Analytics,
    role: Role::Ingest,
    projects: false,
    quarantine: true,
    max_body_bytes: None,
    max_events: events::MAX_BATCH_EVENTS,
    summary: "Stores up to 1000 events on the stream `analytics`, all of them or none.",
};

/// One event for a stream that the path names.
pub static PUBLISH: IngestRoute = IngestRoute {
    name: "publish",
    method: "POST",
    path: Path::OfStream("/api/v1/streams/", "/events"),
    format: &publish::SINGLE,
    stream: None,
    api: Api::Streams,
    role: Role::Ingest,
    projects: false,
    quarantine: false,
    max_body_bytes: None,
    max_events: 1,
    summary: "Publishes one event.",
};

/// Events for a stream that the path names.
pub static PUBLISH_BATCH: IngestRoute = IngestRoute {
    name: "publish-batch",
    method: "POST",
    path: Path::OfStream("/api/v1/streams/", "/events/batch"),
    format: &publish::BATCH,
    stream: None,
    api: Api::Streams,
    role: Role::Ingest,
    projects: false,
    quarantine: false,
    max_body_bytes: None,
    max_events: publish::MAX_PUBLISHED_EVENTS,
    summary: "Publishes up to 10,000 events.",
};

/// Every row.
pub static ROUTES: [&IngestRoute; 7] = [&DRAIN, &EVENT, &EVENT_BATCH, &TRACK, &TRACK_BATCH, &PUBLISH, &PUBLISH_BATCH];

impl IngestRoute {
    /// The route of a request, and the name of the stream in its path; `None` when it is not one of these.
    #[must_use]
    pub fn find<'p>(method: &str, path: &'p str) -> Option<(&'static Self, Option<&'p str>)> {
        let mut rows = ROUTES.into_iter().filter(|row| row.method == method);
        rows.find_map(|row| Some((row, row.path.matches(path)?)))
    }

    /// The first route that takes events for a stream of the engine's own; `None` for one that only the engine fills.
    #[must_use]
    pub(crate) fn of_stream(stream: &str) -> Option<&'static Self> {
        ROUTES.into_iter().find(|row| row.stream == Some(stream))
    }

    /// The route by which a program's own records of a stream are read; `None` for a stream that takes any JSON.
    #[must_use]
    pub(crate) fn of_list(stream: &str) -> Option<(&'static Self, EventList)> {
        let mut rows = ROUTES.into_iter().filter(|row| row.stream == Some(stream));
        rows.find_map(|row| Some((row, row.format.list()?)))
    }

    /// The largest body, decompressed, where the options allow `max_body_bytes`.
    #[must_use]
    pub fn body_limit(&self, max_body_bytes: usize) -> usize {
        self.max_body_bytes.map_or(max_body_bytes, |own| own.min(max_body_bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn find(path: &str) -> Option<(&'static str, Option<&str>)> {
        IngestRoute::find("POST", path).map(|(route, stream)| (route.name, stream))
    }

    #[test]
    fn ingest_paths_are_found_and_nothing_else() {
        assert_eq!(find("/v1/drain"), Some(("drain", None)));
        assert_eq!(find("/api/v1/streams/a.b/events"), Some(("publish", Some("a.b"))));
        assert_eq!(find("/api/v1/streams/events/events/batch"), Some(("publish-batch", Some("events"))));
        for path in [
            "/",
            "",
            "/v1/drain/",
            "/v1/drain?x=1",
            "//v1/drain",
            "/api/v1/streams//events",
            "/api/v1/streams/events",
            "/api/v1/streams/a%20b/events",
            "/api/v1/streams/../events",
            "/api/v1/streams/a/events/",
            "/api/v1/streams/a/records",
            "/api/v1/streams/a/events?x",
        ] {
            assert_eq!(find(path), None, "{path}");
        }
        assert_eq!(find(&format!("/api/v1/streams/{}/events", "n".repeat(250))), None);
        assert!(IngestRoute::find("GET", "/v1/drain").is_none());
    }

    #[test]
    fn every_row_is_found_by_its_own_path_and_its_name_is_its_own() {
        let names: BTreeSet<_> = ROUTES.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ROUTES.len());
        for row in ROUTES {
            let path = row.path.to_string().replace("{name}", "x");
            let found = IngestRoute::find(row.method, &path).map(|(found, stream)| (found.name, stream.is_some()));
            assert_eq!(found, Some((row.name, row.stream.is_none())));
        }
    }

    #[test]
    fn each_stream_that_one_api_fills_has_a_list() {
        let of = |stream| IngestRoute::of_list(stream).map(|(row, _)| row.name);
        assert_eq!([LOGS, EVENTS, ANALYTICS].map(of), [Some("drain"), Some("event-batch"), Some("track-batch")]);
        assert_eq!(of("mine"), None);
    }

    #[test]
    fn a_row_may_only_lower_the_limit_of_bodies() {
        assert_eq!(DRAIN.body_limit(100), 100);
        let own = |bytes| IngestRoute { max_body_bytes: Some(bytes), ..DRAIN };
        assert_eq!((own(99).body_limit(100), own(101).body_limit(100)), (99, 100));
    }
}
