use std::collections::BTreeMap;

use super::rows::take_array;
use crate::window::{EventTime, WindowCount};

/// The windows that metrics show.
pub(super) const MAX_WINDOWS: usize = 20;

/// The newest windows that are closed, with how many records they had, over all shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NewestWindows(BTreeMap<(i64, i64), u64>);

impl NewestWindows {
    /// Adds what a shard has of a window.
    pub(super) fn add(&mut self, count: &WindowCount) {
        *self.0.entry((count.end.millis(), count.start.millis())).or_default() += count.events;
        if self.0.len() > MAX_WINDOWS {
            self.0.pop_first();
        }
    }

    /// Returns the start, the end and the records of each, the newest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, i64, u64)> {
        self.0.iter().rev().map(|((end, start), events)| (*start, *end, *events))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.0.len()).unwrap_or(u8::MAX));
        for (start, end, events) in self.iter() {
            out.extend_from_slice(&start.to_le_bytes());
            out.extend_from_slice(&end.to_le_bytes());
            out.extend_from_slice(&events.to_le_bytes());
        }
    }

    pub(super) fn decode(rest: &mut &[u8]) -> Option<Self> {
        let [count] = take_array(rest)?;
        let mut windows = BTreeMap::new();
        for _ in 0..count {
            let (start, end) = (i64::from_le_bytes(take_array(rest)?), i64::from_le_bytes(take_array(rest)?));
            windows.insert((end, start), u64::from_le_bytes(take_array(rest)?));
        }
        Some(Self(windows))
    }
}

/// A window as metrics show it: start, end, records, and whether it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeenWindow {
    pub(super) start: EventTime,
    pub(super) end: EventTime,
    pub(super) events: u64,
    pub(super) is_final: bool,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_come_back() {
        let at = |millis| EventTime::new(millis).unwrap();
        let mut windows = NewestWindows::default();
        for number in 0..30 {
            for _shard in 0..2 {
                windows.add(&WindowCount { start: at(number), end: at(number + 10), events: 3 });
            }
        }
        let all: Vec<_> = windows.iter().collect();
        assert_eq!((all.len(), all[0], all[19]), (MAX_WINDOWS, (29, 39, 6), (10, 20, 6)));
        let mut bytes = Vec::new();
        windows.encode(&mut bytes);
        assert_eq!(NewestWindows::decode(&mut &bytes[..]), Some(windows));
        assert_eq!(NewestWindows::decode(&mut &bytes[..bytes.len() - 1]), None);
    }
}
