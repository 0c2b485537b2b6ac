use std::collections::BTreeMap;

use super::aggregate::Aggregates;
use super::pane::Pane;
use super::spec::{EventTime, WindowSpec};
use super::state::StatePlace;

/// Panes of sliding windows that are merged once for all windows that have them: a window of n panes is made of about
/// √(n/2) blocks and as many single panes.
///
/// A pane is taken into its block when the first of its windows closes: from then on it has no further record. What is
/// here can be made of the panes at any time, and is not stored.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    spec: WindowSpec,
    /// Milliseconds of a block.
    length: i64,
    /// By their starts.
    blocks: BTreeMap<EventTime, Pane>,
    /// The end of the last window that was made: the panes that are in windows up to there are in their blocks.
    entered: EventTime,
}

/// Windows of fewer panes are made of them.
const LEAST_PANES: i64 = 6;

impl Blocks {
    /// Returns those of windows that have enough panes for them.
    pub(super) fn new(spec: WindowSpec) -> Option<Self> {
        let panes = spec.size() / spec.pane();
        let length = spec.pane() * (2 * panes).isqrt();
        let blocks = Self { spec, length, blocks: BTreeMap::new(), entered: EventTime::MIN };
        (panes >= LEAST_PANES).then_some(blocks)
    }

    /// Adds what the window that ends at `end` has in blocks, of which all panes are in it. Windows come in order.
    pub(super) fn merge(
        &mut self,
        plan: &Aggregates,
        panes: &BTreeMap<StatePlace, Pane>,
        end: EventTime,
        window: &mut Pane,
    ) {
        self.blocks.retain(|start, _| self.spec.last_end(*start) >= end);
        for (place, pane) in panes.iter().filter(|(place, _)| self.entered < place.1 && place.1 <= end) {
            let start = place.0.floor(self.length);
            if self.spec.last_end(start) >= end {
                self.blocks.entry(start).or_default().merge(plan, pane);
            }
        }
        self.entered = end;
        self.blocks.values().for_each(|block| window.merge(plan, block));
    }

    /// Returns whether a pane that begins at `start` is in one of the blocks of the last window, if it is in that at all.
    pub(super) fn have(&self, start: EventTime) -> bool {
        self.blocks.contains_key(&start.floor(self.length))
    }

    pub(super) fn bytes(&self) -> usize {
        self.blocks.values().map(Pane::bytes).sum()
    }
}
