//! A page of hits, newest first.

use serde::Serialize;

use super::matcher::Matcher;
use super::newest::{MAX_EXACT_TOTAL, Newest};
use super::place::Place;
use super::progress::{Progress, ProgressJson, to_json};
use super::request::SearchRequest;
use super::scan::Scan;
use super::searches::Searches;
use super::watch::{SearchCancel, Watch};
use crate::error::{ErrorKind, Result};
use crate::ids::{Offset, PartitionId, StreamId, Timestamp};
use crate::log::read::{Limits, Reader};
use crate::output::{EventWriter, Layout};
use crate::record::Record;
use crate::stream::Stream;

/// The bytes of values after which a page ends, with fewer hits than its limit: its cursor goes on behind them. A hundred
/// of the largest records would be a hundred megabytes.
pub const MAX_PAGE_BYTES: usize = 16 * 1024 * 1024;

/// Who searches.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// What tells one token from another.
    pub token: &'a [u8],
    /// Ends the search.
    pub cancel: &'a SearchCancel,
}

/// Where a search reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Searched<'a> {
    /// Reads segments.
    pub(crate) reader: &'a Reader,
    /// The stream.
    pub(crate) stream: &'a Stream,
}

/// A record that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its partition.
    pub partition: PartitionId,
    /// Its offset there.
    pub offset: Offset,
    /// Its event time.
    pub timestamp: Timestamp,
    /// Its key: the project.
    pub key: Option<Vec<u8>>,
    /// Its headers: a JSON object, or empty.
    pub headers: Vec<u8>,
    /// Its value: the event as it was sent.
    pub value: Vec<u8>,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchOutcome {
    /// The stream's identity, which the ids of events have.
    pub stream: StreamId,
    /// The page's hits, newest first.
    pub hits: Vec<Hit>,
    /// How many records match; `None` when they were not to be counted.
    pub total: Option<u64>,
    /// `total` is neither cut at [`MAX_EXACT_TOTAL`] nor partial.
    pub total_is_exact: bool,
    /// Goes on behind the page's last hit; `None` when there is no more, or when the search ended early and what is newer
    /// than its hits may be missing.
    pub cursor: Option<String>,
    /// How far it came.
    pub progress: Progress,
}

impl Searches {
    /// Finds a page of what a request asks for.
    ///
    /// # Errors
    /// `InvalidRequest` naming the field; `Saturated` when too many searches run; `StorageUnavailable` when a segment cannot
    /// be read now. A budget that is spent is none: the outcome says so.
    pub(crate) fn search(
        &self,
        Searched { reader, stream }: Searched<'_>,
        request: &SearchRequest,
        caller: Caller<'_>,
    ) -> Result<SearchOutcome> {
        request.check()?;
        let before = request.cursor.as_deref().map(|cursor| Place::of_cursor(cursor, stream.id())).transpose()?;
        // Compiling takes time, too.
        let _permit = self.begin(caller.token)?;
        let compiled = Matcher::new(&request.conditions)?;
        let watch = Watch::new(&request.budget, caller.cancel, &self.closing)?;
        // One more tells whether there is a next page.
        let mut newest = Newest::new(request.offset + request.limit + 1, before, request.count);
        let (scanned, stopped) = Scan::new((reader, stream, &self.times), compiled, &watch).run(&mut newest)?;
        let (places, total) = newest.finish();
        let end = places.len().min(request.offset + request.limit);
        let page = places.get(request.offset..end).unwrap_or_default();
        let (hits, last) = read_page(reader, stream, page)?;
        let has_more = places.len() > end || last < page.len();
        let cursor = last.checked_sub(1).and_then(|last| page.get(last)).filter(|_| has_more && stopped.is_none());
        Ok(SearchOutcome {
            stream: stream.id(),
            hits,
            total: total.map(|total| total.min(MAX_EXACT_TOTAL)),
            total_is_exact: stopped.is_none() && total.is_some_and(|total| total <= MAX_EXACT_TOTAL),
            cursor: cursor.map(|place| place.cursor(stream.id())),
            progress: Progress { scanned, stopped, elapsed: watch.elapsed() },
        })
    }
}

/// Reads the records at these places, and returns how many places that was. What retention has deleted meanwhile, or what
/// is damaged by now, is left out.
fn read_page(reader: &Reader, stream: &Stream, places: &[Place]) -> Result<(Vec<Hit>, usize)> {
    let mut hits = Vec::with_capacity(places.len());
    let mut bytes = 0;
    for (index, Place { partition, offset, .. }) in places.iter().enumerate() {
        if bytes >= MAX_PAGE_BYTES {
            return Ok((hits, index));
        }
        let batch = match reader.fetch(stream, *partition, *offset, Limits { records: 1, bytes: 1 }) {
            Ok(batch) => batch,
            Err(error) if error.kind() == ErrorKind::InvalidOffset => continue,
            Err(error) => return Err(error),
        };
        if let Some((_, record)) = batch.iter().next().filter(|(at, _)| at == offset) {
            bytes += record.value.len();
            hits.push(Hit {
                partition: *partition,
                offset: *offset,
                timestamp: record.timestamp,
                key: record.key.map(<[u8]>::to_vec),
                headers: record.headers.to_vec(),
                value: record.value.to_vec(),
            });
        }
    }
    Ok((hits, places.len()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutcomeJson<'a> {
    total: Option<u64>,
    total_is_exact: bool,
    cursor: Option<&'a str>,
    #[serde(flatten)]
    progress: ProgressJson,
}

impl SearchOutcome {
    /// Returns it as JSON: each hit as consumers get the event.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = b"{\"hits\":[".to_vec();
        for (index, hit) in self.hits.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let Hit { timestamp, key, headers, value, .. } = hit;
            let record = Record { timestamp: *timestamp, key: key.as_deref(), headers, value };
            EventWriter::new(self.stream, hit.partition, Layout::Stored).write(hit.offset, &record, &mut out);
        }
        out.extend_from_slice(b"],");
        let rest = to_json(&OutcomeJson {
            total: self.total,
            total_is_exact: self.total_is_exact,
            cursor: self.cursor.as_deref(),
            progress: self.progress.json(),
        });
        out.extend_from_slice(rest.get(1..).unwrap_or_default());
        out
    }
}
