use std::collections::BTreeMap;
use std::sync::Arc;

use super::aggregate::{Aggregates, Cell, Sample};
use super::pane::Pane;
use super::session::Sessions;
use super::spec::{Admission, EventTime, WindowSpec};
use crate::ids::Timestamp;
use crate::time::format_millis;

/// Whether all windows that are due are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// They are.
    Done,
    /// There are further results: close again.
    More,
}

/// The result of one window and key.
#[derive(Clone, Copy, Debug)]
pub struct WindowResult<'a> {
    /// The window's first millisecond; a session's first record.
    pub start: EventTime,
    /// The millisecond behind it.
    pub end: EventTime,
    /// The group's key, as JSON.
    pub key: &'a [u8],
    plan: &'a Aggregates,
    cells: &'a [Cell],
}

impl WindowResult<'_> {
    /// Appends it as a JSON object: `{"windowStart":…,"windowEnd":…,"key":…,"count":…}`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"windowStart":""#);
        out.extend_from_slice(format_millis(micros(self.start)).as_bytes());
        out.extend_from_slice(br#"","windowEnd":""#);
        out.extend_from_slice(format_millis(micros(self.end)).as_bytes());
        out.extend_from_slice(br#"","key":"#);
        out.extend_from_slice(self.key);
        out.push(b',');
        self.plan.write(self.cells, out);
        out.push(b'}');
    }
}

fn micros(time: EventTime) -> Timestamp {
    Timestamp(time.millis().saturating_mul(1000))
}

/// A window whose results are given, as far as it goes, in the order of their keys.
#[derive(Clone, Debug)]
struct ClosingWindow {
    end: EventTime,
    pane: Pane,
    order: std::vec::IntoIter<usize>,
}

/// The open windows of one shard of the keys.
#[derive(Clone, Debug)]
pub struct Windows {
    spec: WindowSpec,
    plan: Arc<Aggregates>,
    /// By the pane's start and the end of the first window that its records are in: a record that was late for the
    /// pane's first windows is not among those that were not.
    panes: BTreeMap<(EventTime, EventTime), Pane>,
    sessions: Sessions,
    /// The end of the next window that closes.
    next_end: Option<EventTime>,
    closing: Option<ClosingWindow>,
    skipped: u64,
}

impl Windows {
    /// Returns a shard without windows.
    #[must_use]
    pub fn new(spec: WindowSpec, plan: Arc<Aggregates>) -> Self {
        let (panes, sessions) = (BTreeMap::new(), Sessions::default());
        Self { spec, plan, panes, sessions, next_end: None, closing: None, skipped: 0 }
    }

    /// Adds a record that its partition's watermark has admitted.
    pub fn add(&mut self, admission: Admission, key: &[u8], sample: &Sample<'_>) {
        if let WindowSpec::Session { gap } = self.spec {
            self.skipped += self.sessions.add(&self.plan, gap, key, sample);
            return;
        }
        let place = (self.spec.pane_of(admission.time), admission.first_end);
        self.skipped += self.panes.entry(place).or_default().add(&self.plan, key, sample);
        self.next_end = Some(self.next_end.map_or(admission.first_end, |end| end.min(admission.first_end)));
    }

    /// Gives the results of the windows that the global watermark has passed, at most `at_most` of them, in order of
    /// (end, key). Records that are added meanwhile are in none of these windows.
    pub fn close(&mut self, watermark: EventTime, at_most: usize, mut give: impl FnMut(WindowResult<'_>)) -> Closing {
        let mut left = at_most;
        if let WindowSpec::Session { gap } = self.spec {
            // A gap later than their ends: who is not late may still come between two of them.
            let until = watermark.plus(-gap).plus(-gap);
            while left > 0
                && let Some((key, session)) = self.sessions.take(until)
            {
                left -= 1;
                let (start, end) = (session.first, session.last.plus(gap));
                give(WindowResult { start, end, key: &key, plan: &self.plan, cells: &session.cells });
            }
            return if self.sessions.is_due(until) { Closing::More } else { Closing::Done };
        }
        while let Some(mut window) = self.next_closing(watermark) {
            let start = window.end.plus(-size(self.spec));
            while left > 0
                && let Some(number) = window.order.next()
            {
                left -= 1;
                let (key, cells) = (window.pane.key(number), window.pane.cells_of(&self.plan, number));
                give(WindowResult { start, end: window.end, key, plan: &self.plan, cells });
            }
            if window.order.len() > 0 {
                self.closing = Some(window);
                return Closing::More;
            }
        }
        Closing::Done
    }

    /// Returns the end of the last window that has a record.
    #[must_use]
    pub fn newest_end(&self) -> Option<EventTime> {
        match self.spec {
            WindowSpec::Session { gap } => self.sessions.newest_last().map(|last| last.plus(gap)),
            WindowSpec::Tumbling { size } | WindowSpec::Sliding { size, .. } => {
                self.panes.last_key_value().map(|((pane, _), _)| self.spec.last_end(*pane, size))
            }
        }
    }

    /// Returns how often a field was met that its aggregate could make nothing of.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Returns the memory that the windows take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let closing =
            self.closing.as_ref().map_or(0, |window| window.pane.bytes() + window.order.len() * size_of::<usize>());
        self.panes.values().map(Pane::bytes).sum::<usize>() + self.sessions.bytes + closing
    }

    /// Takes the window whose results are not all given yet, or else the next one that is due.
    fn next_closing(&mut self, watermark: EventTime) -> Option<ClosingWindow> {
        if self.closing.is_some() {
            return self.closing.take();
        }
        let end = self.next_end.filter(|end| *end <= watermark)?;
        let pane = self.take_window(end);
        let order = pane.sorted().into_iter();
        Some(ClosingWindow { end, pane, order })
    }

    /// Makes the window that ends at `end` of its panes, drops those that are in no later one, and finds the next end.
    fn take_window(&mut self, end: EventTime) -> Pane {
        let (size, slide) = (size(self.spec), self.spec.slide());
        let mut window = Pane::default();
        let (mut over, mut next) = (Vec::new(), None::<EventTime>);
        for (place, pane) in &mut self.panes {
            let (start, first_end) = *place;
            let last_end = self.spec.last_end(start, size);
            let is_in = first_end <= end && end <= last_end;
            if is_in && last_end == end && window.is_empty() {
                window = std::mem::take(pane);
            } else if is_in {
                window.merge(&self.plan, pane);
            }
            if last_end <= end {
                over.push(*place);
            } else {
                let later = first_end.max(end.plus(slide));
                next = Some(next.map_or(later, |next| next.min(later)));
            }
        }
        for place in over {
            self.panes.remove(&place);
        }
        self.next_end = next;
        window
    }
}

fn size(spec: WindowSpec) -> i64 {
    match spec {
        WindowSpec::Tumbling { size } | WindowSpec::Sliding { size, .. } => size,
        WindowSpec::Session { gap } => gap,
    }
}
