//! Asking the values of one array.

use super::block::{Body, Broken};
use super::rows::{Hits, RowSet};
use super::templates;
use super::wanted::{Numeric, Wanted};
use crate::log::segment::columns::{Array, Cursor, Directory, canonical, may_have};

/// Asks an array of so many values.
///
/// # Errors
/// [`Broken`] when the block is damaged or cannot be read.
pub(super) fn ask(
    directory: &Directory,
    body: &mut Body<'_>,
    array: &Array,
    count: usize,
    wanted: &mut Wanted<'_>,
) -> Result<Hits, Broken> {
    match array {
        Array::Const(text) => Ok(Hits::of(wanted.is_in(directory.text(*text)))),
        Array::Dictionary { entries, .. } => {
            let are: Vec<bool> = entries.iter().map(|entry| wanted.is_in(directory.text(*entry))).collect();
            if are.iter().all(|is_so| *is_so == are.first().copied().unwrap_or(false)) {
                return Ok(Hits::of(are.first().copied().unwrap_or(false)));
            }
            body.load(array)?;
            let mut set = RowSet::none(count);
            array.codes(body.bytes()).each(count, |index, code| {
                if are.get(code).copied().unwrap_or(false) {
                    set.insert(index);
                }
            });
            Ok(Hits::Some(set))
        }
        Array::Decimal { .. } | Array::Padded { .. } | Array::Hex { .. } => match wanted.numeric() {
            Numeric::Never => Ok(Hits::None),
            Numeric::Word(word) => ask_numbers(body, array, count, &word),
            Numeric::Each => ask_each(directory, body, array, count, wanted),
        },
        Array::Heap(_) => ask_heap(body, array, count, wanted),
        Array::Templates { .. } => templates::ask(directory, body, array, count, wanted),
        Array::Time(_) => ask_each(directory, body, array, count, wanted),
    }
}

/// What a run of letters and digits, or a number, is compared with as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// In small letters.
    pub(super) text: Vec<u8>,
    /// It is the whole value, sign and case included; not only the one word of it.
    pub(super) is_whole: bool,
    /// The value's letters may be in any case.
    pub(super) any_case: bool,
}

/// Finds the values that are a word.
fn ask_numbers(body: &mut Body<'_>, array: &Array, count: usize, word: &Word) -> Result<Hits, Broken> {
    let mut set = RowSet::none(count);
    let text = word.text.as_slice();
    let mut equal = |body: &mut Body<'_>, min: i64, value: i64| -> Result<(), Broken> {
        if let Some(more) = value.checked_sub(min).and_then(|more| u64::try_from(more).ok()) {
            body.load(array)?;
            let numbers = array.numbers(body.bytes());
            if numbers.is_constant() {
                (0..count).filter(|_| more == 0).for_each(|index| set.insert(index));
            } else {
                numbers.each_equal(more, |index| set.insert(index));
            }
        }
        Ok(())
    };
    match array {
        Array::Decimal { min, .. } => {
            if let Some(value) = canonical(text) {
                equal(body, *min, value)?;
                if !word.is_whole && value > 0 {
                    equal(body, *min, -value)?;
                }
            }
        }
        Array::Padded { digits, min, .. }
            if text.len() == usize::from(*digits) && text.iter().all(u8::is_ascii_digit) =>
        {
            equal(body, *min, text.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))?;
        }
        Array::Hex { digits, .. } => {
            let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
            if text.len() == usize::from(*digits) && text.iter().all(is_digit) {
                body.load(array)?;
                array.each_hex(body.bytes(), text, |index| set.insert(index));
            }
        }
        Array::Padded { .. }
        | Array::Const(_)
        | Array::Dictionary { .. }
        | Array::Heap(_)
        | Array::Templates { .. }
        | Array::Time(_) => {}
    }
    Ok(if set.is_empty() { Hits::None } else { Hits::Some(set) })
}

fn ask_heap(body: &mut Body<'_>, array: &Array, count: usize, wanted: &mut Wanted<'_>) -> Result<Hits, Broken> {
    let Array::Heap(chunks) = array else { return Ok(Hits::None) };
    let mut set = RowSet::none(count);
    let mut index = 0;
    for chunk in chunks {
        if wanted.words().next().is_some() {
            body.load_section(chunk.words)?;
            let filter = chunk.words.of(body.bytes());
            if !wanted.words().all(|word| may_have(filter, word)) {
                index += chunk.count as usize;
                continue;
            }
        }
        body.load_section(chunk.section())?;
        let mut texts = chunk.texts(body.bytes()).ok_or(Broken::Damaged)?;
        if wanted.is_absent(texts.joined()) {
            index += chunk.count as usize;
            continue;
        }
        while let Some(text) = texts.next_text() {
            if wanted.is_in(text) {
                set.insert(index);
            }
            index += 1;
        }
        if wanted.was_interrupted() {
            break;
        }
    }
    Ok(if set.is_empty() { Hits::None } else { Hits::Some(set) })
}

/// Puts each value together, and asks it.
pub(super) fn ask_each(
    directory: &Directory,
    body: &mut Body<'_>,
    array: &Array,
    count: usize,
    wanted: &mut Wanted<'_>,
) -> Result<Hits, Broken> {
    body.load(array)?;
    let times = if matches!(array, Array::Time(_)) { body.times(directory)? } else { Vec::new() };
    let mut cursor = Cursor::new((directory, body.bytes(), &times), array, 0).ok_or(Broken::Damaged)?;
    let (mut set, mut text) = (RowSet::none(count), Vec::new());
    for index in 0..count {
        text.clear();
        cursor.next_into(&mut text).ok_or(Broken::Damaged)?;
        if wanted.is_in(&text) {
            set.insert(index);
        }
        if wanted.was_interrupted() {
            break;
        }
    }
    Ok(if set.is_empty() { Hits::None } else { Hits::Some(set) })
}
