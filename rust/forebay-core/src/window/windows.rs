use std::collections::BTreeMap;
use std::sync::Arc;

use super::aggregate::{Aggregates, Cell, Sample};
use super::pane::{Chunk, Pane};
use super::session::Sessions;
use super::spec::{Admission, EventTime, WindowSpec};
use crate::error::{Error, ErrorKind, Result};
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

/// Where a part of a shard's state is kept: rows that are written later count instead of earlier ones of the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatePlace(EventTime, EventTime);

impl StatePlace {
    /// The place of all sessions.
    const SESSIONS: Self = Self(EventTime::MIN, EventTime::MIN);
}

/// A step from the state that was written last to the present one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// Adds a chunk behind those of the place.
    Append(StatePlace, Vec<u8>),
    /// Puts a chunk in the place of all of them.
    Replace(StatePlace, Vec<u8>),
    /// Drops them.
    Remove(StatePlace),
}

/// How far a shard's results are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenUpTo {
    /// The end of the last window of which all are.
    closed: Option<EventTime>,
    /// The end of the window of which some are, and the last of their keys.
    within: Option<(EventTime, Box<[u8]>)>,
}

/// A window whose results are given, as far as it goes, in the order of their keys.
#[derive(Clone, Debug)]
struct ClosingWindow {
    end: EventTime,
    pane: Pane,
    order: std::vec::IntoIter<usize>,
    /// The panes that no later window needs, but for the one that is the window. Their rows are kept until all results
    /// are given.
    over: Vec<(StatePlace, Pane)>,
    /// The place of the pane that is the window.
    own_place: Option<StatePlace>,
}

/// The open windows of one shard of the keys.
#[derive(Clone, Debug)]
pub struct Windows {
    spec: WindowSpec,
    plan: Arc<Aggregates>,
    /// By the pane's start and the end of the first window that its records are in: a record that was late for the
    /// pane's first windows is not among those that were not.
    panes: BTreeMap<StatePlace, Pane>,
    sessions: Sessions,
    /// The end of the next window that closes.
    next_end: Option<EventTime>,
    closing: Option<ClosingWindow>,
    given: GivenUpTo,
    /// Places whose rows are still to be dropped.
    dropped: Vec<StatePlace>,
    skipped: u64,
}

impl Windows {
    /// Returns a shard without windows.
    #[must_use]
    pub fn new(spec: WindowSpec, plan: Arc<Aggregates>) -> Self {
        Self {
            spec,
            plan,
            panes: BTreeMap::new(),
            sessions: Sessions::default(),
            next_end: None,
            closing: None,
            given: GivenUpTo::default(),
            dropped: Vec::new(),
            skipped: 0,
        }
    }

    /// Adds a record that its partition's watermark has admitted.
    pub fn add(&mut self, admission: Admission, key: &[u8], sample: &Sample<'_>) {
        if let WindowSpec::Session { gap } = self.spec {
            self.skipped += self.sessions.add(&self.plan, gap, key, sample);
            return;
        }
        let place = StatePlace(self.spec.pane_of(admission.time), admission.first_end);
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
            let start = window.end.plus(-self.spec.size());
            while left > 0
                && let Some(number) = window.order.next()
            {
                left -= 1;
                let (key, cells) = (window.pane.key(number), window.pane.cells_of(&self.plan, number));
                give(WindowResult { start, end: window.end, key, plan: &self.plan, cells });
                if left == 0 && window.order.len() > 0 {
                    self.given.within = Some((window.end, key.into()));
                }
            }
            if window.order.len() > 0 {
                self.closing = Some(window);
                return Closing::More;
            }
            self.given = GivenUpTo { closed: Some(window.end), within: None };
            let own = window.own_place.map(|place| (place, window.pane));
            let over = window.over.into_iter().chain(own).filter(|(_, pane)| pane.has_rows());
            self.dropped.extend(over.map(|(place, _)| place));
        }
        Closing::Done
    }

    /// Gives what has changed in the state since the last time. It is to be written together with the results that were
    /// given, with [`Windows::given`] and with the source's offsets: then nothing is lost or given twice.
    pub fn changes(&mut self, mut write: impl FnMut(StateChange)) {
        self.dropped.drain(..).for_each(|place| write(StateChange::Remove(place)));
        let mut write = |place, chunk| match chunk {
            Some(Chunk::Some(rows)) => write(StateChange::Append(place, rows)),
            Some(Chunk::All(rows)) => write(StateChange::Replace(place, rows)),
            None => {}
        };
        if let Some(window) = &mut self.closing {
            if let Some(place) = window.own_place {
                write(place, window.pane.take_chunk(&self.plan));
            }
            window.over.iter_mut().for_each(|(place, pane)| write(*place, pane.take_chunk(&self.plan)));
        }
        self.panes.iter_mut().for_each(|(place, pane)| write(*place, pane.take_chunk(&self.plan)));
        write(StatePlace::SESSIONS, self.sessions.take_chunk());
    }

    /// Returns how far the results are given.
    #[must_use]
    pub fn given(&self) -> &GivenUpTo {
        &self.given
    }

    /// Takes up what was written: the chunks of every place in their order, and how far the results were given.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`]: a chunk is damaged.
    pub fn restore<'a>(
        &mut self,
        chunks: impl Iterator<Item = (StatePlace, &'a [u8])>,
        given: GivenUpTo,
    ) -> Result<()> {
        for (place, chunk) in chunks {
            let restored = if place == StatePlace::SESSIONS {
                self.sessions.restore(&self.plan, chunk)
            } else {
                self.panes.entry(place).or_default().restore(&self.plan, chunk)
            };
            restored.ok_or_else(|| Error::new(ErrorKind::Internal, "the state of a window is damaged"))?;
        }
        let reached = given.closed.map_or(EventTime::MIN, |closed| closed.plus(self.spec.slide()));
        self.next_end = self.panes.keys().map(|place| reached.max(place.1)).min();
        if let Some((end, key)) = &given.within {
            let mut window = self.take_window(*end);
            let order: Vec<usize> = window.order.filter(|number| window.pane.key(*number) > &**key).collect();
            window.order = order.into_iter();
            self.closing = Some(window);
        }
        self.given = given;
        Ok(())
    }

    /// Returns the end of the last window that has a record.
    #[must_use]
    pub fn newest_end(&self) -> Option<EventTime> {
        match self.spec {
            WindowSpec::Session { gap } => self.sessions.newest_last().map(|last| last.plus(gap)),
            WindowSpec::Tumbling { .. } | WindowSpec::Sliding { .. } => {
                self.panes.last_key_value().map(|(place, _)| self.spec.last_end(place.0))
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
        Some(self.take_window(end))
    }

    /// Makes the window that ends at `end` of its panes, takes out those that are in no later one, and finds the next end.
    fn take_window(&mut self, end: EventTime) -> ClosingWindow {
        let (mut pane, mut over, mut own_place, mut next) = (Pane::default(), Vec::new(), None, None::<EventTime>);
        if let WindowSpec::Tumbling { .. } = self.spec {
            let place = StatePlace(end.plus(-self.spec.size()), end);
            pane = self.panes.remove(&place).unwrap_or_default();
            own_place = Some(place);
        }
        for (place, part) in &self.panes {
            let last_end = self.spec.last_end(place.0);
            if place.1 <= end && end <= last_end {
                pane.merge(&self.plan, part);
            }
            if last_end > end {
                let later = place.1.max(end.plus(self.spec.slide()));
                next = Some(next.map_or(later, |next| next.min(later)));
            }
        }
        // Panes are in order, and so are the last windows that need them.
        while self.panes.first_key_value().is_some_and(|(place, _)| self.spec.last_end(place.0) <= end) {
            over.extend(self.panes.pop_first());
        }
        self.next_end = next;
        let order = pane.sorted().into_iter();
        ClosingWindow { end, pane, order, over, own_place }
    }
}
