use std::ops::Range;

use super::path_set::PathId;

/// Spans that are kept without an allocation: the paths of a usual filter and what lies on the way to them.
const FEW: usize = 8;

/// The place of a value; an end of 0, where no value ends, says that there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Returns the span, or `None` for a text whose places do not fit 32 bits.
    #[inline(always)]
    pub(super) fn new(start: usize, end: usize) -> Option<Self> {
        Some(Self { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
    }

    #[inline(always)]
    pub(super) fn is_found(self) -> bool {
        self.end > 0
    }
}

/// The places that [`super::PathSet::find`] found in one text. One value serves any number of texts, one after another,
/// and then allocates at most once.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    few: [Span; FEW],
    many: Vec<Span>,
    count: usize,
}

impl Spans {
    /// Forgets everything, and makes room for this many paths.
    #[inline(always)]
    pub(super) fn reset(&mut self, count: usize) -> &mut [Span] {
        self.count = count;
        if let Some(few) = self.few.get_mut(..count) {
            few.fill(Span::default());
            return few;
        }
        self.many.clear();
        self.many.resize(count, Span::default());
        &mut self.many
    }

    /// Returns the value of a path without white space around it; `None` when the text has none. `json` is the text that
    /// was searched.
    #[must_use]
    #[inline(always)]
    pub fn get<'v>(&self, json: &'v [u8], path: PathId) -> Option<&'v [u8]> {
        json.get(self.range(path)?)
    }

    /// Returns where the value of a path is; `None` when the text has none.
    #[must_use]
    #[inline(always)]
    pub fn range(&self, path: PathId) -> Option<Range<usize>> {
        let spans = self.few.get(..self.count).unwrap_or(&self.many);
        let span = spans.get(path.index()).filter(|span| span.is_found())?;
        Some(span.start as usize..span.end as usize)
    }
}
