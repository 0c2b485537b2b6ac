//! The event times of sealed parts, remembered: a part's file says them, and its row in memory does not.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::ids::StreamId;
use crate::log::segment::SegmentReader;
use crate::stream::{SegmentName, SegmentPart, Times};

/// Parts that are forgotten late: those of before merging and retention.
const SLACK: usize = 1024;

/// The times of the parts that searches have opened; about as many as there are.
#[derive(Debug, Default)]
pub(super) struct PartTimes(Mutex<HashMap<(StreamId, SegmentName), Known>>);

/// A part and its times.
type Known = (Weak<SegmentPart>, Times);

impl PartTimes {
    /// Returns the smallest and the largest event time of a part, if a search has opened it.
    pub(super) fn get(&self, stream: StreamId, part: &Arc<SegmentPart>) -> Option<Times> {
        let all = self.0.lock();
        // Another part may have had the name before.
        all.get(&(stream, part.name)).filter(|(of, _)| of.as_ptr() == Arc::as_ptr(part)).map(|(_, times)| *times)
    }

    /// Remembers what the part's file says, and returns it.
    pub(super) fn learn(&self, stream: StreamId, part: &Arc<SegmentPart>, reader: &SegmentReader) -> Times {
        let mut times = Times::default();
        for row in reader.rows().iter().filter(|row| row.stream == stream) {
            times.merge(Times { min: row.min_time, max: row.max_time });
        }
        self.0.lock().insert((stream, part.name), (Arc::downgrade(part), times));
        times
    }

    /// Forgets the parts that are gone, once they are more than those that there are.
    pub(super) fn tidy(&self, parts: usize) {
        let mut all = self.0.lock();
        if all.len() > 2 * parts + SLACK {
            all.retain(|_, (part, _)| part.strong_count() > 0);
        }
    }
}
