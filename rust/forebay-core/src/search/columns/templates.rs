//! Asking texts by their templates.

use super::block::{Body, Broken};
use super::rows::{Hits, RowSet};
use super::texts::{self, Word};
use super::wanted::{Parts, Wanted, unescaped};
use crate::log::segment::columns::{Array, Cursor, Directory, Template, is_plain};
use crate::search::fold::folded;
use crate::search::watch::Watch;

/// Asks each template, and the rows of those that cannot tell.
pub(super) fn ask(
    directory: &Directory,
    body: &mut Body<'_>,
    array: &Array,
    count: usize,
    wanted: &mut Wanted<'_>,
) -> Result<Hits, Broken> {
    let Array::Templates { templates, .. } = array else { return Ok(Hits::None) };
    let mut answers = Vec::with_capacity(templates.len());
    for template in templates {
        answers.push(ask_template(directory, body, template, wanted)?);
    }
    if answers.iter().all(|answer| *answer == Hits::None) {
        return Ok(Hits::None);
    }
    if answers.iter().all(|answer| *answer == Hits::All) {
        return Ok(Hits::All);
    }
    body.load_codes(array)?;
    let (mut set, mut seen) = (RowSet::none(count), vec![0_usize; templates.len()]);
    array.codes(body.bytes()).each(count, |index, code| {
        if let (Some(answer), Some(seen)) = (answers.get(code), seen.get_mut(code)) {
            if answer.has(*seen) {
                set.insert(index);
            }
            *seen += 1;
        }
    });
    Ok(Hits::Some(set))
}

/// The pieces of a template as texts.
struct Pieces {
    folded: Vec<String>,
    /// A run of letters and digits may go on from a piece to a variable, or be written with escapes.
    is_odd: bool,
}

impl Pieces {
    fn of(directory: &Directory, template: &Template) -> Self {
        let (mut all, mut is_odd) = (Vec::with_capacity(template.pieces.len()), false);
        let last = template.pieces.len().saturating_sub(1);
        for (index, piece) in template.pieces.iter().enumerate() {
            let stored = directory.text(*piece);
            is_odd |= !is_plain(stored);
            let text = String::from_utf8_lossy(&unescaped(stored)).into_owned();
            is_odd |= index > 0 && text.starts_with(char::is_alphanumeric);
            is_odd |= index < last && text.ends_with(char::is_alphanumeric);
            all.push(folded(&text));
        }
        Self { folded: all, is_odd }
    }
}

fn ask_template(
    directory: &Directory,
    body: &mut Body<'_>,
    template: &Template,
    wanted: &mut Wanted<'_>,
) -> Result<Hits, Broken> {
    let pieces = Pieces::of(directory, template);
    if let Some(text) = wanted.whole_text().filter(|_| !pieces.is_odd) {
        return ask_whole(directory, body, template, text, wanted.watch);
    }
    let Some(plan) = wanted.plan().filter(|_| !pieces.is_odd) else {
        return ask_rows(directory, body, template, wanted);
    };
    if let Some(parts) = &plan.parts {
        if parts.variables.is_empty() {
            return Ok(Hits::of(pieces.folded.iter().any(|piece| plan.pattern.is_in(piece, piece))));
        }
        return ask_parts(directory, body, (template, &pieces), parts, wanted.watch);
    }
    if plan.is_local {
        let is_in = |piece: &crate::log::segment::columns::Text| {
            let text = String::from_utf8_lossy(&unescaped(directory.text(*piece))).into_owned();
            plan.pattern.is_in(&text, &folded(&text))
        };
        if template.pieces.iter().any(is_in) {
            return Ok(Hits::All);
        }
    }
    let may_have = |run: &[u8]| {
        let is_in = |text: &[u8]| memchr::memmem::find(&text.to_ascii_lowercase(), run).is_some();
        pieces.folded.iter().any(|piece| is_in(piece.as_bytes()))
            || template.slots.iter().any(|slot| slot_may_have(directory, slot, run))
    };
    if !plan.may_be_where(may_have) {
        return Ok(Hits::None);
    }
    ask_rows(directory, body, template, wanted)
}

fn slot_may_have(directory: &Directory, slot: &Array, run: &[u8]) -> bool {
    let is_in = |text: &[u8]| memchr::memmem::find(&text.to_ascii_lowercase(), run).is_some();
    match slot {
        Array::Const(text) => is_in(directory.text(*text)),
        Array::Dictionary { entries, .. } => entries.iter().any(|entry| is_in(directory.text(*entry))),
        Array::Decimal { .. } | Array::Padded { .. } => run.iter().all(u8::is_ascii_digit),
        Array::Hex { .. } => run.iter().all(u8::is_ascii_hexdigit),
        Array::Heap(_) | Array::Templates { .. } | Array::Time(_) => true,
    }
}

/// Finds the rows in which a text stands that has variables: where its pieces stand in the template, its variables have to
/// be those between them.
fn ask_parts(
    directory: &Directory,
    body: &mut Body<'_>,
    (template, pieces): (&Template, &Pieces),
    parts: &Parts,
    watch: &Watch<'_>,
) -> Result<Hits, Broken> {
    let mut hits = Hits::None;
    let count = parts.variables.len();
    let (Some(first), Some(last)) = (parts.pieces.first(), parts.pieces.last()) else { return Ok(hits) };
    for at in 0..=template.slots.len().saturating_sub(count) {
        let (Some(before), Some(inner), Some(behind)) =
            (pieces.folded.get(at), pieces.folded.get(at + 1..at + count), pieces.folded.get(at + count))
        else {
            break;
        };
        let fits = ends_with_word(before, first)
            && parts.pieces.get(1..count) == Some(inner)
            && starts_with_word(behind, last);
        if !fits {
            continue;
        }
        let mut both = Hits::All;
        for (variable, slot) in parts.variables.iter().zip(template.slots.get(at..).unwrap_or_default()) {
            let word = Word { text: variable.clone(), is_whole: true, any_case: true };
            both =
                both.and(texts::ask(directory, body, slot, template.rows as usize, &mut Wanted::word(&word, watch))?);
            if both == Hits::None {
                break;
            }
        }
        hits = hits.or(both);
    }
    Ok(hits)
}

/// Returns whether a piece ends with a text, and a word of it does not begin before that.
fn ends_with_word(piece: &str, text: &str) -> bool {
    let begins = text.starts_with(char::is_alphanumeric);
    piece.strip_suffix(text).is_some_and(|before| !begins || !before.ends_with(char::is_alphanumeric))
}

/// Returns whether a piece begins with a text, and a word of it does not go on behind that.
fn starts_with_word(piece: &str, text: &str) -> bool {
    let ends = text.ends_with(char::is_alphanumeric);
    piece.strip_prefix(text).is_some_and(|behind| !ends || !behind.starts_with(char::is_alphanumeric))
}

/// Finds the rows that are a text as a whole.
fn ask_whole(
    directory: &Directory,
    body: &mut Body<'_>,
    template: &Template,
    text: &str,
    watch: &Watch<'_>,
) -> Result<Hits, Broken> {
    let Some(parts) = Parts::of(text) else { return Ok(Hits::None) };
    let is_so = template.pieces.len() == parts.pieces.len()
        && template
            .pieces
            .iter()
            .zip(&parts.pieces)
            .all(|(piece, wanted)| *unescaped(directory.text(*piece)) == *wanted.as_bytes());
    let mut hits = Hits::of(is_so);
    for (slot, variable) in template.slots.iter().zip(&parts.variables) {
        if hits == Hits::None {
            break;
        }
        let word = Word { text: variable.clone(), is_whole: true, any_case: false };
        hits = hits.and(texts::ask(directory, body, slot, template.rows as usize, &mut Wanted::word(&word, watch))?);
    }
    Ok(hits)
}

/// Puts the texts of a template's rows together.
fn ask_rows(
    directory: &Directory,
    body: &mut Body<'_>,
    template: &Template,
    wanted: &mut Wanted<'_>,
) -> Result<Hits, Broken> {
    for slot in &template.slots {
        body.load(slot)?;
    }
    let place = (directory, body.bytes(), &[][..]);
    let slots = template.slots.iter().map(|slot| Cursor::new(place, slot, 0));
    let mut slots = slots.collect::<Option<Vec<_>>>().ok_or(Broken::Damaged)?;
    let rows = template.rows as usize;
    let (mut set, mut text) = (RowSet::none(rows), Vec::new());
    for row in 0..rows {
        text.clear();
        for (piece, slot) in template.pieces.iter().zip(&mut slots) {
            text.extend_from_slice(directory.text(*piece));
            slot.next_into(&mut text).ok_or(Broken::Damaged)?;
        }
        text.extend_from_slice(template.pieces.last().map(|piece| directory.text(*piece)).unwrap_or_default());
        if wanted.is_in(&text) {
            set.insert(row);
        }
        if wanted.was_interrupted() {
            break;
        }
    }
    Ok(if set.is_empty() { Hits::None } else { Hits::Some(set) })
}
