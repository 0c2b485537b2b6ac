use std::collections::BTreeMap;
use std::sync::Arc;

use super::aggregate::{Aggregates, Cell, Sample};
use super::chunk_log::ChunkChange;
use super::pane::Pane;
use super::session::Sessions;
use super::spec::{Admission, EventTime, WindowSpec};
use super::state::{GivenUpTo, StateChange, StatePlace};
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

fn state_change(change: ChunkChange, place: impl Fn(u64) -> (StatePlace, u32)) -> StateChange {
    match change {
        ChunkChange::Put(number, chunk) => {
            let (place, number) = place(number);
            StateChange::Put { place, number, chunk }
        }
        ChunkChange::Remove(number) => {
            let (place, number) = place(number);
            StateChange::Remove { place, number }
        }
    }
}

fn micros(time: EventTime) -> Timestamp {
    Timestamp(time.millis().saturating_mul(1000))
}

/// The most chunks that one step removes, so that the step is bounded when a window of many small ones is over.
const MAX_REMOVES: usize = 4096;

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
    /// Chunks that are still to be removed. After a restart they are known by their windows, which are over.
    dropped: Vec<(StatePlace, u32)>,
    /// What the panes would write at most.
    unwritten: usize,
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
            unwritten: 0,
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
        let pane = self.panes.entry(place).or_default();
        let before = pane.unwritten();
        self.skipped += pane.add(&self.plan, key, sample);
        self.unwritten = self.unwritten + pane.unwritten() - before;
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
            for (place, pane) in window.over.into_iter().chain(own) {
                self.unwritten -= pane.unwritten();
                self.dropped.extend(pane.chunks().map(|number| (place, number)));
            }
        }
        Closing::Done
    }

    /// Gives what has changed in the state since the last time. It is to be written together with the results that were
    /// given, with [`Windows::given`] and with the source's offsets: then nothing is lost or given twice. What is given
    /// takes at most about twice as much as what has changed.
    pub fn changes(&mut self, mut write: impl FnMut(StateChange)) {
        let dropped = self.dropped.split_off(self.dropped.len().saturating_sub(MAX_REMOVES));
        let mut removes = MAX_REMOVES - dropped.len();
        dropped.into_iter().for_each(|(place, number)| write(StateChange::Remove { place, number }));
        let over = self.closing.iter_mut().flat_map(|window| {
            let own = window.own_place.map(|place| (place, &mut window.pane));
            window.over.iter_mut().map(|(place, pane)| (*place, pane)).chain(own)
        });
        for (place, pane) in over.chain(self.panes.iter_mut().map(|(place, pane)| (*place, pane))) {
            let of_pane = |number| (place, number as u32);
            pane.changes(&self.plan, &mut removes, &mut |change| write(state_change(change, of_pane)));
        }
        let sessions = &mut self.sessions;
        sessions.changes(&mut removes, &mut |change| write(state_change(change, StatePlace::of_sessions)));
        self.unwritten = 0;
    }

    /// Returns what [`Windows::changes`] would write now: not less, and not much more.
    #[must_use]
    pub fn unwritten_bytes(&self) -> usize {
        self.unwritten + self.sessions.unwritten()
    }

    /// Returns how far the results are given.
    #[must_use]
    pub fn given(&self) -> &GivenUpTo {
        &self.given
    }

    /// Takes up what was written: the chunks of every place, in the order of the places and of their numbers, and how far
    /// the results were given.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`]: a chunk is damaged, of a later release, or not in its order.
    pub fn restore(
        &mut self,
        chunks: impl Iterator<Item = (StatePlace, u32, impl AsRef<[u8]>)>,
        given: GivenUpTo,
    ) -> Result<()> {
        for (place, number, chunk) in chunks {
            let restored = if let WindowSpec::Session { .. } = self.spec {
                let number = place.number_of_sessions(number);
                number.and_then(|number| self.sessions.restore(&self.plan, number, chunk.as_ref()))
            } else {
                self.panes.entry(place).or_default().restore(&self.plan, number, chunk.as_ref())
            };
            restored.ok_or_else(|| {
                let detail =
                    format!("the state of a window is damaged, or of a later release: chunk {number} of {place:?}");
                Error::new(ErrorKind::Internal, detail)
            })?;
        }
        if let Some(closed) = given.closed {
            let over = self.take_panes_until(closed);
            self.dropped = over.iter().flat_map(|(place, pane)| pane.chunks().map(|number| (*place, number))).collect();
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
        let closing = self.closing.as_ref().map_or(0, |window| {
            let over = window.over.iter().map(|(_, pane)| pane.bytes()).sum::<usize>();
            window.pane.bytes() + window.order.len() * size_of::<usize>() + over
        });
        self.panes.values().map(Pane::bytes).sum::<usize>() + self.sessions.bytes() + closing
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
        let (mut pane, mut own_place, mut next) = (Pane::default(), None, None::<EventTime>);
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
        let over = self.take_panes_until(end);
        self.next_end = next;
        let order = pane.sorted().into_iter();
        ClosingWindow { end, pane, order, over, own_place }
    }

    /// Takes out the panes that are in no window that ends after `end`.
    fn take_panes_until(&mut self, end: EventTime) -> Vec<(StatePlace, Pane)> {
        let mut over = Vec::new();
        // Panes are in order, and so are the last windows that need them.
        while self.panes.first_key_value().is_some_and(|(place, _)| self.spec.last_end(place.0) <= end) {
            over.extend(self.panes.pop_first());
        }
        over
    }
}
