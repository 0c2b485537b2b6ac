use forebay_core::PayloadFormat;
use forebay_core::stream::is_name;

const STREAMS: &str = "/api/v1/streams/";

/// What an ingest path asks for: the shape of its body, and the stream where the path names it. `None` for every other
/// path.
pub(crate) fn find(path: &str) -> Option<(PayloadFormat, Option<&str>)> {
    match path {
        "/v1/drain" => Some((PayloadFormat::Drain, None)),
        "/api/events" => Some((PayloadFormat::Event, None)),
        "/api/events/batch" => Some((PayloadFormat::EventBatch, None)),
        "/v1/analytics/track" => Some((PayloadFormat::Track, None)),
        "/v1/analytics/track/batch" => Some((PayloadFormat::TrackBatch, None)),
        _ => {
            let (name, rest) = path.strip_prefix(STREAMS)?.split_once('/')?;
            let shape = match rest {
                "events" => PayloadFormat::Publish,
                "events/batch" => PayloadFormat::PublishBatch,
                _ => return None,
            };
            // Anything else, an escaped one too, is for the server behind.
            is_name(name).then_some((shape, Some(name)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ingest_paths_are_found_and_nothing_else() {
        assert_eq!(find("/v1/drain"), Some((PayloadFormat::Drain, None)));
        assert_eq!(find("/api/v1/streams/a.b/events"), Some((PayloadFormat::Publish, Some("a.b"))));
        assert_eq!(find("/api/v1/streams/events/events/batch"), Some((PayloadFormat::PublishBatch, Some("events"))));
        for path in [
            "/",
            "",
            "/v1/drain/",
            "/v1/drain?x=1",
            "//v1/drain",
            "/api/v1/streams//events",
            "/api/v1/streams/a%20b/events",
            "/api/v1/streams/../events",
            "/api/v1/streams/a/events/",
            "/api/v1/streams/a/records",
            "/api/v1/streams/a/events?x",
        ] {
            assert_eq!(find(path), None, "{path}");
        }
        assert_eq!(find(&format!("/api/v1/streams/{}/events", "n".repeat(250))), None);
    }
}
