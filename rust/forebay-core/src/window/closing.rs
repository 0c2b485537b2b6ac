use super::pane::Pane;
use super::result::WindowCount;
use super::spec::{EventTime, WindowSpec};
use super::state::StatePlace;

/// Whether all results that are due are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// They are.
    Done,
    /// There are further ones: ask again.
    More,
}

/// A window whose results are given, as far as it goes, in the order of their keys.
#[derive(Clone, Debug)]
pub(super) struct ClosingWindow {
    pub(super) end: EventTime,
    pub(super) pane: Pane,
    pub(super) order: std::vec::IntoIter<usize>,
    /// The panes that no later window needs, but for the one that is the window. Their rows are kept until all results
    /// are given.
    pub(super) over: Vec<(StatePlace, Pane)>,
    /// The place of the pane that is the window.
    pub(super) own_place: Option<StatePlace>,
}

impl ClosingWindow {
    pub(super) fn count(&self, spec: WindowSpec) -> WindowCount {
        WindowCount { start: self.end.plus(-spec.size()), end: self.end, events: self.pane.events() }
    }

    /// Returns the panes that have rows.
    pub(super) fn panes_mut(&mut self) -> impl Iterator<Item = (StatePlace, &mut Pane)> {
        let own = self.own_place.map(|place| (place, &mut self.pane));
        self.over.iter_mut().map(|(place, pane)| (*place, pane)).chain(own)
    }

    /// Returns the panes that have rows, and the one that was made of others.
    pub(super) fn into_panes(mut self) -> (Vec<(StatePlace, Pane)>, Option<Pane>) {
        match self.own_place {
            Some(place) => {
                self.over.push((place, self.pane));
                (self.over, None)
            }
            None => (self.over, Some(self.pane)),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let over = self.over.iter().map(|(_, pane)| pane.bytes()).sum::<usize>();
        self.pane.bytes() + self.order.len() * size_of::<usize>() + over
    }
}
