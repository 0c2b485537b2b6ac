use super::path_set::{PathId, PathSet};
use super::spans::Spans;

/// The values of the paths of a [`PathSet`] in one text, which is walked when the first of them is asked for, and only as
/// far as is asked for. One serves any number of texts, one after another.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    walked: Walked,
    spans: Spans,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Walked {
    #[default]
    No,
    First,
    All,
    /// The text is not JSON.
    InVain,
}

impl Lookup {
    /// Begins with another text.
    #[inline(always)]
    pub fn begin(&mut self) {
        self.walked = Walked::No;
    }

    /// Finds what [`PathSet::find_first`] finds; false when that cannot be read. `paths` and `json` are the same until
    /// [`Lookup::begin`].
    #[inline]
    #[must_use]
    pub fn find_first(&mut self, paths: &PathSet, json: &[u8]) -> bool {
        if self.walked == Walked::No {
            let is_found = paths.find_first(json, &mut self.spans);
            self.walked = if is_found { Walked::First } else { Walked::InVain };
        }
        self.walked != Walked::InVain
    }

    /// Finds what [`PathSet::find`] finds; false when the text cannot be read.
    #[inline]
    #[must_use]
    pub fn find_all(&mut self, paths: &PathSet, json: &[u8]) -> bool {
        let is_found = match self.walked {
            Walked::No => paths.find(json, &mut self.spans),
            Walked::First => paths.find_rest(json, &mut self.spans),
            Walked::All => true,
            Walked::InVain => false,
        };
        self.walked = if is_found { Walked::All } else { Walked::InVain };
        is_found
    }

    /// Returns the value of a path that was found, as [`Spans::get`] does.
    #[inline(always)]
    #[must_use]
    pub fn get<'v>(&self, json: &'v [u8], path: PathId) -> Option<&'v [u8]> {
        self.spans.get(json, path)
    }
}
