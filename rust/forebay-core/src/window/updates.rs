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
            self.changed.retain(|place, _| panes.contains_key(place));
            let from = self.end.map_or(open, |end| open.max(end.plus(spec.slide())));
            let ends = self.changed.keys().map(|place| place.1.max(from)).zip(self.changed.keys());
            let end = ends.filter(|(end, place)| place.is_in(spec, *end)).map(|(end, _)| end).min()?;
            self.end = Some(end);
            self.keys = self.keys_of(spec, panes, end).into_iter();
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let changed: usize = self.changed.values().map(Vec::capacity).sum();
        changed * size_of::<u32>() + self.keys.len() * size_of::<(StatePlace, u32)>()
    }

    fn keys_of(&self, spec: WindowSpec, panes: &BTreeMap<StatePlace, Pane>, end: EventTime) -> Vec<(StatePlace, u32)> {
        let parts = self.changed.iter().filter(|(place, _)| place.is_in(spec, end));
        let mut keys: Vec<_> =
            parts.flat_map(|(place, numbers)| numbers.iter().map(|number| (*place, *number))).collect();
        let key = |(place, number): &(StatePlace, u32)| panes.get(place).map(|pane| pane.key(*number as usize));
        keys.sort_unstable_by_key(key);
        keys.dedup_by(|one, other| key(one) == key(other));
        keys
    }
}
