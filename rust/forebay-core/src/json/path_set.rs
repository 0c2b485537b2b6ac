//! Finding the values of several paths in one walk over a text that is known to be JSON.

use memchr::memchr;
use memchr::memmem::Finder;

use super::scanner::MAX_DEPTH;
use super::spans::{Span, Spans};
use super::string::{JsonStr, find_special};

/// Names of the outermost object up to which the rest of a text is searched for repetitions instead of being walked.
const MAX_SEARCHED_NAMES: usize = 4;
/// A rest from which on searching it is quicker than walking it.
const MIN_SEARCHED_BYTES: usize = 48;

/// One path of a [`PathSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PathId(usize);

impl PathId {
    /// The whole text: the path without a name.
    pub const ROOT: Self = Self(0);

    #[inline(always)]
    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// Paths into the objects of a JSON text, as a tree of their names.
///
/// The walk expects JSON that was checked when it came in, and checks next to nothing again: in a text that is not JSON
/// it finds anything, nothing, or gives up, but does not panic and takes no longer.
#[derive(Clone, Debug)]
pub struct PathSet {
    /// The outermost value first.
    nodes: Vec<Node>,
    /// The names of the outermost object in their quotation marks, in the order of its members in `nodes`.
    quoted: Vec<Finder<'static>>,
    /// How many of these [`PathSet::find_first`] looks for; `None`: all.
    first: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    children: Vec<(Box<[u8]>, usize)>,
    /// The lengths of the names, a bit each: most other names are told apart by it.
    lengths: u64,
}

impl Node {
    #[inline(always)]
    fn child(&self, name: &[u8]) -> Option<usize> {
        if self.lengths & length_bit(name.len()) == 0 {
            return None;
        }
        self.children.iter().find(|(child, _)| **child == *name).map(|(_, index)| *index)
    }
}

#[inline(always)]
fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

impl Default for PathSet {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], quoted: Vec::new(), first: None }
    }
}

impl PathSet {
    /// Adds the path that goes by these names from object to object; one that is there already keeps its number.
    pub fn add<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) -> PathId {
        names.into_iter().fold(PathId::ROOT, |parent, name| self.add_child(parent, name))
    }

    fn add_child(&mut self, parent: PathId, name: &str) -> PathId {
        let next = self.nodes.len();
        let Some(node) = self.nodes.get_mut(parent.0) else { return parent };
        if let Some(child) = node.child(name.as_bytes()) {
            return PathId(child);
        }
        node.lengths |= length_bit(name.len());
        node.children.push((name.as_bytes().into(), next));
        self.nodes.push(Node::default());
        if parent == PathId::ROOT {
            self.quoted.push(Finder::new(format!("\"{name}\"").as_bytes()).into_owned());
        }
        PathId(next)
    }

    /// Takes the paths that are there now for those that [`PathSet::find_first`] finds.
    pub fn end_first(&mut self) {
        self.first = Some(self.quoted.len());
    }

    /// Finds the values of all paths. Where a name comes twice in an object, the last one counts, and what an earlier one
    /// held is forgotten. Returns false when the text is not JSON, as far as that was seen, or deeper than
    /// [`MAX_DEPTH`]; the spans mean nothing then.
    #[must_use]
    pub fn find(&self, json: &[u8], spans: &mut Spans) -> bool {
        self.walk(json, spans, self.quoted.len())
    }

    /// Finds the values of the paths that were there at [`PathSet::end_first`], as [`PathSet::find`] does, and of others
    /// those that lie on the way: who needs the rest of few texts only does not walk through it in the others.
    #[must_use]
    pub fn find_first(&self, json: &[u8], spans: &mut Spans) -> bool {
        self.walk(json, spans, self.first.unwrap_or(self.quoted.len()))
    }

    /// Goes on where [`PathSet::find_first`] stopped in the same text: what is in `spans` then is as after
    /// [`PathSet::find`].
    #[must_use]
    pub fn find_rest(&self, json: &[u8], spans: &mut Spans) -> bool {
        let Some(stopped) = spans.take_stop() else { return true };
        let (_, spans) = spans.parts();
        Walk { paths: self, json, spans, wanted: self.quoted.len(), may_search: true, stopped: None }
            .rest(stopped)
            .is_some()
    }

    fn walk(&self, json: &[u8], spans: &mut Spans, wanted: usize) -> bool {
        spans.reset(self.nodes.len());
        let (stop, spans) = spans.parts();
        let mut walk = Walk { paths: self, json, spans, wanted, may_search: true, stopped: None };
        let is_found = walk.text().is_some();
        *stop = walk.stopped;
        is_found
    }
}

struct Walk<'w> {
    paths: &'w PathSet,
    json: &'w [u8],
    spans: &'w mut [Span],
    /// How many names of the outermost object are looked for.
    wanted: usize,
    /// The rest of the text has not been searched yet. Once must do: a hostile text would have it searched at every name.
    may_search: bool,
    /// Where the walk ended, as all that is wanted was found: at the comma behind a member of the outermost object.
    stopped: Option<usize>,
}

/// Each step takes the index where it begins and returns the one behind it, or `None` when it meets what is not JSON.
impl Walk<'_> {
    fn text(&mut self) -> Option<()> {
        let start = end_of_space(self.json, 0);
        let end = self.value(PathId::ROOT.0, start)?;
        (end_of_space(self.json, end) == self.json.len()).then_some(())
    }

    /// Reads the rest of the outermost object from the comma on at which a walk has stopped. What was looked for by then
    /// does not come again.
    fn rest(&mut self, comma: usize) -> Option<()> {
        if self.is_complete(comma) {
            return Some(());
        }
        let end = self.members(PathId::ROOT.0, end_of_space(self.json, comma + 1))?;
        (end_of_space(self.json, end) == self.json.len()).then_some(())
    }

    /// Reads the value of a node. It recurs as deep as the longest path.
    #[inline]
    fn value(&mut self, node: usize, start: usize) -> Option<usize> {
        let inside = !self.paths.nodes.get(node)?.children.is_empty();
        let end = if inside && self.json.get(start) == Some(&b'{') {
            self.object(node, start)?
        } else {
            end_of_value(self.json, start)?
        };
        *self.spans.get_mut(node)? = Span::new(start, end)?;
        Some(end)
    }

    fn object(&mut self, node: usize, start: usize) -> Option<usize> {
        let at = end_of_space(self.json, start + 1);
        if self.json.get(at) == Some(&b'}') { Some(at + 1) } else { self.members(node, at) }
    }

    /// Reads the members of an object, the first of which begins at `start`, up to its end.
    #[inline]
    fn members(&mut self, node: usize, start: usize) -> Option<usize> {
        let (paths, mut at) = (self.paths, start);
        let names = paths.nodes.get(node)?;
        loop {
            let (name, behind) = quoted(self.json, at)?;
            at = end_of_space(self.json, behind);
            if *self.json.get(at)? != b':' {
                return None;
            }
            at = end_of_space(self.json, at + 1);
            let child = if name.is_escaped() { names.child(&name.unescape()) } else { names.child(name.raw()) };
            at = match child {
                Some(child) => {
                    self.forget(child);
                    self.value(child, at)?
                }
                None => end_of_value(self.json, at)?,
            };
            at = end_of_space(self.json, at);
            match *self.json.get(at)? {
                b',' if child.is_some() && node == PathId::ROOT.0 && self.is_complete(at) => {
                    self.stopped = Some(at);
                    return Some(self.json.trim_ascii_end().len());
                }
                b',' => at = end_of_space(self.json, at + 1),
                b'}' => return Some(at + 1),
                _ => return None,
            }
        }
    }

    /// Forgets what an earlier member of the same name held.
    #[inline(always)]
    fn forget(&mut self, node: usize) {
        if self.spans.get(node).is_some_and(|span| span.is_found()) {
            self.forget_below(node);
        }
    }

    #[cold]
    fn forget_below(&mut self, node: usize) {
        let paths = self.paths;
        for (_, child) in paths.nodes.get(node).map(|node| node.children.as_slice()).unwrap_or_default() {
            if let Some(span) = self.spans.get_mut(*child).filter(|span| span.is_found()) {
                *span = Span::default();
                self.forget_below(*child);
            }
        }
    }

    /// Returns whether every name that is looked for was met, and none of them comes once more from `at` on: then what
    /// follows changes nothing. A name is repeated there only if it is written as it is, or with an escape.
    #[inline]
    fn is_complete(&mut self, at: usize) -> bool {
        let rest = self.json.get(at..).unwrap_or_default();
        let names = self.paths.quoted.get(..self.wanted).unwrap_or_default();
        if !self.may_search || names.len() > MAX_SEARCHED_NAMES || rest.len() < MIN_SEARCHED_BYTES {
            return false;
        }
        let members = self.paths.nodes.first().map(|root| root.children.as_slice()).unwrap_or_default();
        let mut wanted = members.iter().take(self.wanted);
        if !wanted.all(|(_, child)| self.spans.get(*child).is_some_and(|span| span.is_found())) {
            return false;
        }
        self.may_search = false;
        memchr(b'\\', rest).is_none() && names.iter().all(|name| name.find(rest).is_none())
    }
}

#[inline(always)]
pub(crate) fn end_of_space(json: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = json.get(at) {
        at += 1;
    }
    at
}

/// Returns the string that begins at `start`, and the index behind its closing quotation mark.
#[inline(always)]
pub(crate) fn quoted(json: &[u8], start: usize) -> Option<(JsonStr<'_>, usize)> {
    if *json.get(start)? != b'"' {
        return None;
    }
    let first = find_special(json, start + 1);
    let end = if *json.get(first)? == b'"' { first } else { end_of_escaped(json, first)? };
    let string = JsonStr::checked(json.get(start + 1..end)?, first - start - 1);
    Some((string, end + 1))
}

/// Returns the index of the closing quotation mark of a string in which an escape begins at `special`.
#[inline(never)]
fn end_of_escaped(json: &[u8], special: usize) -> Option<usize> {
    let mut at = special;
    loop {
        match *json.get(at)? {
            b'"' => return Some(at),
            b'\\' => at = find_special(json, at + 2),
            _ => return None,
        }
    }
}

#[inline(always)]
pub(super) fn end_of_value(json: &[u8], start: usize) -> Option<usize> {
    match *json.get(start)? {
        b'"' => quoted(json, start).map(|(_, end)| end),
        b'{' | b'[' => end_of_container(json, start),
        b't' | b'n' => Some(start + b"true".len()),
        b'f' => Some(start + b"false".len()),
        b'-' | b'0'..=b'9' => Some(end_of_number(json, start)),
        _ => None,
    }
}

#[inline(always)]
pub(super) fn end_of_number(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-') = json.get(at) {
        at += 1;
    }
    at
}

/// Returns the index behind the object or array that begins at `start`: only strings and brackets tell where it ends.
fn end_of_container(json: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0);
    loop {
        match *json.get(at)? {
            b'"' => {
                at = quoted(json, at)?.1;
                continue;
            }
            b'{' | b'[' if depth == MAX_DEPTH => return None,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}
