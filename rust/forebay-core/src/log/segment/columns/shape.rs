//! The shape of a JSON text: everything but the values of its strings, numbers and words.

use super::values::{Span, same};
use crate::json::{MAX_DEPTH, end_of_space, quoted};

/// Stands in a path before the name of a member. No name has it: JSON escapes control characters.
pub(crate) const MEMBER: u8 = 1;
/// Stands in a path for any element of an array.
pub(crate) const ELEMENT: u8 = 2;

/// The most values of a text: each has a place in every description of the shape.
const MAX_VALUES: usize = 512;

/// Where the values of a shape come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The way to the value: names and elements.
    pub(super) path: Vec<u8>,
    /// It is a string: its quotation marks belong to the shape.
    pub(super) is_string: bool,
}

/// A shape, as the first text has it that was met.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// What stands before the first value, between two, and behind the last one.
    pub(super) pieces: Vec<Vec<u8>>,
    /// The values.
    pub(super) places: Vec<Place>,
}

impl Shape {
    /// Finds the shape of a text. `None` when it has none that can be told from its bytes alone: a name that comes twice
    /// in an object or has an escape, or too many values. So has what is not JSON.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let mut parser = Parser { text, shape: Self::default(), from: 0, path: Vec::new() };
        let start = end_of_space(text, 0);
        let end = parser.value(start, 0)?;
        let end = end_of_space(text, end);
        let Parser { mut shape, from, .. } = parser;
        shape.pieces.push(text.get(from..)?.to_vec());
        (end == text.len()).then_some(shape)
    }

    /// Finds the values of a text that has this shape; false when it has another one. `at` is where the text begins in what
    /// the spans are of.
    #[inline]
    pub(super) fn find(&self, text: &[u8], at: usize, values: &mut Vec<Span>) -> bool {
        values.clear();
        let mut from = 0;
        for (piece, place) in self.pieces.iter().zip(&self.places) {
            if !text.get(from..from + piece.len()).is_some_and(|start| same(start, piece)) {
                return false;
            }
            let start = from + piece.len();
            let end = if place.is_string {
                end_of_string(text, start)
            } else if matches!(text.get(start), Some(b'"' | b'{' | b'[')) {
                return false;
            } else {
                end_of_word(text, start)
            };
            values.push(Span::new(at + start, at + end));
            from = end;
        }
        self.pieces.last().is_some_and(|piece| text.get(from..) == Some(piece))
    }
}

/// Returns the index of the quotation mark that ends the string whose first byte is at `start`.
#[inline(always)]
fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start;
    loop {
        at = crate::json::find_special(text, at);
        match text.get(at) {
            Some(b'\\') => at += 2,
            _ => return at.min(text.len()),
        }
    }
}

/// Returns the index of what ends a number or a word.
#[inline(always)]
fn end_of_word(text: &[u8], start: usize) -> usize {
    let mut at = start;
    while text.get(at).is_some_and(|byte| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// Reads a text once. Each step takes the index where it begins, and returns the one behind it.
struct Parser<'t> {
    text: &'t [u8],
    shape: Shape,
    /// The first byte that no piece has yet.
    from: usize,
    path: Vec<u8>,
}

impl Parser<'_> {
    fn value(&mut self, start: usize, depth: u32) -> Option<usize> {
        match self.text.get(start)? {
            b'{' => self.object(start, depth + 1),
            b'[' => self.array(start, depth + 1),
            b'"' => {
                let end = end_of_string(self.text, start + 1);
                self.keep(start + 1, end, true)?;
                (self.text.get(end) == Some(&b'"')).then_some(end + 1)
            }
            _ => {
                let end = end_of_word(self.text, start);
                self.keep(start, end, false)?;
                (end > start).then_some(end)
            }
        }
    }

    fn keep(&mut self, start: usize, end: usize, is_string: bool) -> Option<()> {
        let Shape { pieces, places } = &mut self.shape;
        pieces.push(self.text.get(self.from..start)?.to_vec());
        places.push(Place { path: self.path.clone(), is_string });
        self.from = end;
        (places.len() <= MAX_VALUES).then_some(())
    }

    fn object(&mut self, start: usize, depth: u32) -> Option<usize> {
        let mut at = end_of_space(self.text, start + 1);
        if depth > MAX_DEPTH {
            return None;
        }
        if self.text.get(at) == Some(&b'}') {
            return Some(at + 1);
        }
        let mut names: Vec<&[u8]> = Vec::new();
        loop {
            let (name, behind) = quoted(self.text, at)?;
            if name.is_escaped() || names.contains(&name.raw()) || names.len() > MAX_VALUES {
                return None;
            }
            names.push(name.raw());
            at = end_of_space(self.text, behind);
            if *self.text.get(at)? != b':' {
                return None;
            }
            let length = self.path.len();
            self.path.push(MEMBER);
            self.path.extend_from_slice(name.raw());
            at = self.value(end_of_space(self.text, at + 1), depth)?;
            self.path.truncate(length);
            at = end_of_space(self.text, at);
            match *self.text.get(at)? {
                b',' => at = end_of_space(self.text, at + 1),
                b'}' => return Some(at + 1),
                _ => return None,
            }
        }
    }

    fn array(&mut self, start: usize, depth: u32) -> Option<usize> {
        let mut at = end_of_space(self.text, start + 1);
        if depth > MAX_DEPTH {
            return None;
        }
        if self.text.get(at) == Some(&b']') {
            return Some(at + 1);
        }
        self.path.push(ELEMENT);
        loop {
            at = end_of_space(self.text, self.value(at, depth)?);
            match *self.text.get(at)? {
                b',' => at = end_of_space(self.text, at + 1),
                b']' => {
                    self.path.pop();
                    return Some(at + 1);
                }
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Option<(Vec<String>, Vec<String>)> {
        let shape = Shape::of(text.as_bytes())?;
        let mut values = Vec::new();
        assert!(shape.find(text.as_bytes(), 0, &mut values), "{text}");
        let values = values.iter().map(|span| String::from_utf8_lossy(span.of(text.as_bytes())).into_owned()).collect();
        let path = |place: &Place| {
            let path = String::from_utf8_lossy(&place.path).replace('\u{1}', ".").replace('\u{2}', "[]");
            if place.is_string { format!("{path}\"") } else { path }
        };
        Some((shape.places.iter().map(path).collect(), values))
    }

    #[test]
    fn a_text_is_its_shape_and_its_values() {
        let text = r#" {"a" : "b\"c", "d":{"e":[1,-2.5e3, "x", [true]],"f":{}},"g":null,"":"" } "#;
        let (paths, values) = split(text).unwrap_or_default();
        assert_eq!(paths, [".a\"", ".d.e[]", ".d.e[]", ".d.e[]\"", ".d.e[][]", ".g", ".\""]);
        assert_eq!(values, ["b\\\"c", "1", "-2.5e3", "x", "true", "null", ""]);
        assert_eq!(split("17"), Some((vec![String::new()], vec!["17".into()])));
        assert_eq!(split(r#""""#), Some((vec!["\"".into()], vec![String::new()])));
        assert_eq!(split("[]"), Some((vec![], vec![])));
    }

    #[test]
    fn what_has_no_shape_of_its_own_is_told() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"b":1},"a":{"c":1}}"#,
            r#"{"\u0061":1}"#,
            "{",
            "\"open",
            "{\"a\"}",
            "[1",
            "",
            "1 2",
        ] {
            assert_eq!(split(text), None, "{text}");
        }
        let many = format!("[{}]", vec!["1"; MAX_VALUES + 1].join(","));
        assert_eq!(split(&many), None);
        assert_eq!(split(&"[".repeat(MAX_DEPTH as usize + 1)), None);
    }

    #[test]
    fn a_text_of_another_shape_is_told() {
        let shape = Shape::of(br#"{"a":"x","b":1}"#).unwrap_or_default();
        let mut values = Vec::new();
        for text in
            [r#"{"a":"x","b":1,"c":2}"#, r#"{"a":1,"b":1}"#, r#"{"a":"x","b":"1"}"#, r#"{"a":"x"}"#, "", r#"{"a":"x"#]
        {
            assert!(!shape.find(text.as_bytes(), 0, &mut values), "{text}");
        }
        assert!(shape.find(br#"{"a":"\",\"b\":1}","b":-0.5}"#, 0, &mut values));
    }
}
