use std::ops::Range;

use super::path_set::{end_of_space, end_of_value};

/// Returns where the elements of an array are in a text that is known to be JSON, without white space around them; `None`
/// for what is no array. In a text that is not JSON it finds anything, but does not panic.
#[must_use]
pub fn elements(json: &[u8]) -> Option<impl Iterator<Item = Range<usize>> + '_> {
    let start = end_of_space(json, 0);
    if json.get(start) != Some(&b'[') {
        return None;
    }
    let mut at = end_of_space(json, start + 1);
    Some(std::iter::from_fn(move || {
        if matches!(json.get(at), None | Some(b']')) {
            return None;
        }
        let found = at..end_of_value(json, at)?;
        at = end_of_space(json, found.end);
        if json.get(at) == Some(&b',') {
            at = end_of_space(json, at + 1);
        }
        Some(found)
    }))
}
