use std::collections::BTreeMap;

use super::pane::Pane;
use super::spec::{EventTime, WindowSpec};
use super::state::StatePlace;

/// A round of early results: those of the windows and keys that had changed when it began, as far as they are not given.
#[derive(Clone, Debug)]
pub(super) struct UpdateRound {
    /// The keys, by pane.
    changed: BTreeMap<StatePlace, Vec<u32>>,
    /// The end of the window that is given.
    end: Option<EventTime>,
    /// The keys of it that are left, in their order; each as that of a pane.
    keys: std::vec::IntoIter<(StatePlace, u32)>,
}

impl UpdateRound {
    /// Begins one; `None` when nothing has changed.
    pub(super) fn begin(panes: &mut BTreeMap<StatePlace, Pane>) -> Option<Self> {
        let changed: BTreeMap<_, _> = panes
            .iter_mut()
            .filter(|(_, pane)| pane.has_updates())
            .map(|(place, pane)| (*place, pane.take_updates()))
            .collect();
        (!changed.is_empty()).then(|| Self { changed, end: None, keys: Vec::new().into_iter() })
    }

    /// Returns whether keys of the pane are in it.
    pub(super) fn has(&self, place: StatePlace) -> bool {
        self.changed.contains_key(&place)
    }

    /// Goes on to the next key of a window, and returns both. No window is open that ends before `open`.
    pub(super) fn next<'a>(
        &mut self,
        spec: WindowSpec,
        panes: &'a BTreeMap<StatePlace, Pane>,
        open: EventTime,
    ) -> Option<(EventTime, &'a [u8])> {
        loop {
            if let Some(end) = self.end.filter(|end| *end >= open)
                && let Some((place, number)) = self.keys.next()
            {
                // A pane is there for as long as one of its windows is open.
                return Some((end, panes.get(&place)?.key(number as usize)));
            }
            let from = self.end.map_or(open, |end| open.max(end.plus(spec.slide())));
            let end = self.next_end(spec, panes, from)?;
            self.end = Some(end);
            self.keys = self.keys_of(spec, panes, end).into_iter();
        }
    }

    /// Returns the first end of a window from `from` on that has something of what has changed. Lets go of what is in none.
    /// Panes are in the order of their starts, and a window ends later than each of its panes begins: so no more of them
    /// are looked at than one window has, however many are open.
    fn next_end(&mut self, spec: WindowSpec, panes: &BTreeMap<StatePlace, Pane>, from: EventTime) -> Option<EventTime> {
        while let Some(first) = self.changed.first_entry()
            && (spec.last_end(first.key().0) < from || !panes.contains_key(first.key()))
        {
            first.remove();
        }
        let mut found: Option<EventTime> = None;
        for place in self.changed.keys() {
            if found.is_some_and(|end| end <= place.0) {
                break;
            }
            let end = place.1.max(from);
            if place.is_in(spec, end) && panes.contains_key(place) {
                found = Some(found.map_or(end, |found| found.min(end)));
            }
        }
        found
    }

    pub(super) fn bytes(&self) -> usize {
        let changed: usize = self.changed.values().map(Vec::capacity).sum();
        changed * size_of::<u32>() + self.keys.len() * size_of::<(StatePlace, u32)>()
    }

    fn keys_of(&self, spec: WindowSpec, panes: &BTreeMap<StatePlace, Pane>, end: EventTime) -> Vec<(StatePlace, u32)> {
        let parts = self.changed.range(StatePlace::of_window(spec, end));
        let parts = parts.filter(|(place, _)| place.is_in(spec, end) && panes.contains_key(place));
        let mut keys: Vec<_> =
            parts.flat_map(|(place, numbers)| numbers.iter().map(|number| (*place, *number))).collect();
        let key = |(place, number): &(StatePlace, u32)| panes.get(place).map(|pane| pane.key(*number as usize));
        keys.sort_unstable_by_key(key);
        keys.dedup_by(|one, other| key(one) == key(other));
        keys
    }
}
