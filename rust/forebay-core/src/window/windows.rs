use std::collections::BTreeMap;
use std::sync::Arc;

use super::aggregate::{Aggregates, Cell, Sample};
use super::blocks::Blocks;
use super::chunk_log::ChunkChange;
use super::closing::{Closing, ClosingWindow};
use super::pane::Pane;
use super::result::{WindowCount, WindowResult};
use super::session::{Session, Sessions};
use super::spec::{Admission, EventTime, WindowSpec};
use super::state::{GivenUpTo, StateChange, StatePlace};
use super::updates::UpdateRound;
use crate::error::{Error, ErrorKind, Result};

/// The most chunks that one step removes, so that the step is bounded when a window of many small ones is over.
const MAX_REMOVES: usize = 4096;

/// The open windows of one shard of the keys.
#[derive(Clone, Debug)]
pub struct Windows {
    spec: WindowSpec,
    plan: Arc<Aggregates>,
    /// By the pane's start and the end of the first window that its records are in: a record that was late for the
    /// pane's first windows is not among those that were not.
    panes: BTreeMap<StatePlace, Pane>,
    /// The memory of a pane that is over, for the next one: pages that are touched for the first time cost more than what
    /// is counted in them.
    spare: Option<Pane>,
    /// The same of a window that was made of panes.
    spare_window: Option<Pane>,
    /// What windows of many panes have in common.
    blocks: Option<Blocks>,
    sessions: Sessions,
    /// The end of the next window that closes.
    next_end: Option<EventTime>,
    closing: Option<ClosingWindow>,
    gives_updates: bool,
    /// The early results that are not all given yet.
    round: Option<UpdateRound>,
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
            spare: None,
            spare_window: None,
            blocks: Blocks::new(spec),
            sessions: Sessions::default(),
            next_end: None,
            closing: None,
            gives_updates: false,
            round: None,
            given: GivenUpTo::default(),
            dropped: Vec::new(),
            unwritten: 0,
            skipped: 0,
        }
    }

    /// Adds a record that its partition's watermark has admitted.
    pub fn add(&mut self, admission: Admission, key: &[u8], sample: &Sample<'_>) {
        if let WindowSpec::Session { gap } = self.spec {
            self.skipped += self.sessions.add(&self.plan, gap, key, sample, self.gives_updates);
            return;
        }
        let place = StatePlace(self.spec.pane_of(admission.time), admission.first_end);
        let pane = self.panes.entry(place).or_insert_with(|| self.spare.take().unwrap_or_default());
        let before = pane.unwritten();
        self.skipped += pane.add(&self.plan, key, sample, self.gives_updates);
        self.unwritten = self.unwritten + pane.unwritten() - before;
        self.next_end = Some(self.next_end.map_or(admission.first_end, |end| end.min(admission.first_end)));
    }

    /// Gives the results of the windows that the global watermark has passed, at most `at_most` of them, in order of
    /// (end, key), and says of each window that is `finished` with them how many records it had. Records that are added
    /// meanwhile are in none of these windows.
    pub fn close(
        &mut self,
        watermark: EventTime,
        at_most: usize,
        mut give: impl FnMut(WindowResult<'_>),
        mut finished: impl FnMut(WindowCount),
    ) -> Closing {
        let mut left = at_most;
        if let WindowSpec::Session { gap } = self.spec {
            // A gap later than their ends: who is not late may still come between two of them.
            let until = watermark.plus(-gap).plus(-gap);
            while left > 0
                && let Some((key, session)) = self.sessions.take(until)
            {
                left -= 1;
                give(self.result(session.first, session.last.plus(gap), &key, &session.cells, true));
                finished(session_count(&session, gap));
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
                give(self.result(start, window.end, key, cells, true));
                if left == 0 && window.order.len() > 0 {
                    self.given.within = Some((window.end, key.into()));
                }
            }
            if window.order.len() > 0 {
                self.closing = Some(window);
                return Closing::More;
            }
            finished(window.count(self.spec));
            self.finish(window);
        }
        Closing::Done
    }

    /// Says whether [`Windows::updates`] is used: what has changed is noted from then on. To be said before
    /// [`Windows::restore`], so that what had changed is known again.
    pub fn give_updates(&mut self, gives_updates: bool) {
        self.gives_updates = gives_updates;
        if !gives_updates {
            self.round = None;
            self.sessions.drop_updates();
            self.panes.values_mut().for_each(|pane| drop(pane.take_updates()));
        }
    }

    /// Gives the present results of open windows that have changed since they were given last, at most `at_most` of them,
    /// in order of (end, key), and closes none; [`Closing::More`] says that there may be further ones. What changes
    /// between two such calls may be given once more than it has changed, and so may what was given last before a
    /// restart. Windows whose final results are being given are not open.
    pub fn updates(&mut self, at_most: usize, mut give: impl FnMut(WindowResult<'_>)) -> Closing {
        let mut left = at_most;
        if let WindowSpec::Session { gap } = self.spec {
            while left > 0
                && let Some((last, key)) = self.sessions.next_update()
                && let Some(session) = self.sessions.find(&key, last)
            {
                left -= 1;
                give(self.result(session.first, last.plus(gap), &key, &session.cells, false));
            }
            return if self.sessions.has_updates() { Closing::More } else { Closing::Done };
        }
        let Some(mut round) = self.round.take().or_else(|| UpdateRound::begin(&mut self.panes)) else {
            return Closing::Done;
        };
        let (open, mut cells) = (self.next_end.unwrap_or(EventTime::MAX), Vec::new());
        while left > 0 {
            let Some((end, key)) = round.next(self.spec, &self.panes, open) else {
                let has_further = self.panes.values().any(Pane::has_updates);
                return if has_further { Closing::More } else { Closing::Done };
            };
            left -= 1;
            self.present(end, key, &mut cells);
            give(self.result(end.plus(-self.spec.size()), end, key, &cells, false));
        }
        self.round = Some(round);
        Closing::More
    }

    /// Takes note that records whose event times are in `[from, to)` are missing: the results of windows that reach into
    /// that span, and that are not given yet, say so.
    pub fn mark_incomplete(&mut self, from: EventTime, to: EventTime) {
        self.given.incomplete.add(from, to);
    }

    /// Returns how many records the newest open windows have, `at_most` of them, the newest first. Each session is a
    /// window of its own.
    #[must_use]
    pub fn recent(&self, at_most: usize) -> Vec<WindowCount> {
        if let WindowSpec::Session { gap } = self.spec {
            return self.sessions.newest().take(at_most).map(|session| session_count(session, gap)).collect();
        }
        let (mut counts, mut until) = (Vec::new(), EventTime::MAX);
        let open = self.next_end.unwrap_or(EventTime::MAX);
        while counts.len() < at_most {
            let ends = self.panes.keys().filter_map(|place| {
                let end = self.spec.last_end(place.0).min(until);
                (end >= place.1.max(open)).then_some(end)
            });
            let Some(end) = ends.max() else { break };
            let panes = self.panes.iter().filter(|(place, _)| place.is_in(self.spec, end));
            let events = panes.map(|(_, pane)| pane.events()).sum();
            counts.push(WindowCount { start: end.plus(-self.spec.size()), end, events });
            until = end.plus(-self.spec.slide());
        }
        counts.extend(self.closing.iter().map(|window| window.count(self.spec)));
        counts.truncate(at_most);
        counts
    }

    /// Gives what has changed in the state since the last time. It is to be written together with the results that were
    /// given, with [`Windows::given`] and with the source's offsets: then nothing is lost or given twice. What is given
    /// takes at most about twice as much as what has changed.
    pub fn changes(&mut self, mut write: impl FnMut(StateChange)) {
        let dropped = self.dropped.split_off(self.dropped.len().saturating_sub(MAX_REMOVES));
        let mut removes = MAX_REMOVES - dropped.len();
        dropped.into_iter().for_each(|(place, number)| write(StateChange::Remove { place, number }));
        let closing = self.closing.iter_mut().flat_map(ClosingWindow::panes_mut);
        for (place, pane) in closing.chain(self.panes.iter_mut().map(|(place, pane)| (*place, pane))) {
            let are_updated = self.round.as_ref().is_some_and(|round| round.has(place));
            let of_pane = |number| (place, number as u32);
            pane.changes(&self.plan, are_updated, &mut removes, &mut |change| write(state_change(change, of_pane)));
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
                number.and_then(|number| self.sessions.restore(&self.plan, number, chunk.as_ref(), self.gives_updates))
            } else {
                self.panes.entry(place).or_default().restore(&self.plan, number, chunk.as_ref(), self.gives_updates)
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
        let closing = self.closing.as_ref().map_or(0, ClosingWindow::bytes);
        let round = self.round.as_ref().map_or(0, UpdateRound::bytes);
        let blocks = self.blocks.as_ref().map_or(0, Blocks::bytes);
        let panes = self.panes.values().chain(&self.spare).chain(&self.spare_window).map(Pane::bytes).sum::<usize>();
        panes + blocks + self.sessions.bytes() + closing + round
    }

    fn result<'a>(
        &'a self,
        start: EventTime,
        end: EventTime,
        key: &'a [u8],
        cells: &'a [Cell],
        is_final: bool,
    ) -> WindowResult<'a> {
        let is_incomplete = self.given.incomplete.overlap(start, end);
        WindowResult { start, end, key, is_incomplete, is_final, plan: &self.plan, cells }
    }

    /// Makes the cells of a key as they are now in the open window that ends at `end`.
    fn present(&self, end: EventTime, key: &[u8], cells: &mut Vec<Cell>) {
        cells.clear();
        self.plan.begin(cells);
        let panes = self.panes.range(StatePlace::of_window(self.spec, end));
        let panes = panes.filter(|(place, _)| place.is_in(self.spec, end));
        for other in panes.filter_map(|(_, pane)| pane.find(&self.plan, key)) {
            cells.iter_mut().zip(other).for_each(|(cell, other)| cell.merge(other));
        }
    }

    /// Takes note that all results of a window are given.
    fn finish(&mut self, window: ClosingWindow) {
        self.given.closed = Some(window.end);
        self.given.within = None;
        self.given.incomplete.forget_before(window.end.plus(self.spec.slide()).plus(-self.spec.size()));
        let (panes, merged) = window.into_panes();
        for (place, pane) in panes {
            self.unwritten -= pane.unwritten();
            self.dropped.extend(pane.chunks().map(|number| (place, number)));
            self.spare = pane.emptied().or_else(|| self.spare.take());
        }
        self.spare_window = merged.and_then(Pane::emptied);
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
        let mut own_place = None;
        let mut pane = if let WindowSpec::Tumbling { .. } = self.spec {
            let place = StatePlace(end.plus(-self.spec.size()), end);
            own_place = Some(place);
            self.panes.remove(&place).unwrap_or_default()
        } else {
            self.spare_window.take().unwrap_or_default()
        };
        if let Some(blocks) = &mut self.blocks {
            blocks.merge(&self.plan, &self.panes, end, &mut pane);
        }
        for (place, part) in self.panes.range(StatePlace::of_window(self.spec, end)) {
            if place.is_in(self.spec, end) && !self.blocks.as_ref().is_some_and(|blocks| blocks.have(place.0)) {
                pane.merge(&self.plan, part);
            }
        }
        let over = self.take_panes_until(end);
        self.next_end = self.end_after(end);
        let order = pane.sorted().into_iter();
        ClosingWindow { end, pane, order, over, own_place }
    }

    /// Returns the first end after `end` of a window that has a pane. Of panes that begin later than that it has none.
    fn end_after(&self, end: EventTime) -> Option<EventTime> {
        let (from, mut found) = (end.plus(self.spec.slide()), None::<EventTime>);
        for place in self.panes.keys() {
            if found.is_some_and(|found| found <= place.0) {
                break;
            }
            let later = place.1.max(from);
            found = Some(found.map_or(later, |found| found.min(later)));
        }
        found
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

fn session_count(session: &Session, gap: i64) -> WindowCount {
    WindowCount { start: session.first, end: session.last.plus(gap), events: session.events }
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
