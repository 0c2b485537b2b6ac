//! Finds what the texts of a column have in common.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::encode::SlotSpans;
use super::token::each_variable;
use super::values::{Span, Values, same};

/// A column has up to this many templates, and one more for each [`ROWS_PER_TEMPLATE`] rows: when they multiply, what they
/// save is less than what they cost.
const FREE_TEMPLATES: usize = 32;
const ROWS_PER_TEMPLATE: usize = 32;
/// The most variables of a text: each is an array.
const MAX_VARIABLES: usize = 64;

/// A template in the making.
#[derive(Debug, Default)]
pub(super) struct Template {
    /// As its first text has them.
    pub(super) pieces: Vec<Span>,
    /// The variables' texts, row by row.
    pub(super) slots: Vec<SlotSpans>,
    /// How many rows have it.
    pub(super) rows: u32,
    hash: u64,
}

/// Finds the templates of one column after another.
#[derive(Debug, Default)]
pub(super) struct TemplateFinder {
    /// More than there are now: their memory serves the next column.
    templates: Vec<Template>,
    count: usize,
    /// Places in `templates` by hash; 0 for none.
    table: Vec<u16>,
    codes: Vec<u16>,
    pieces: Vec<Span>,
    variables: Vec<Span>,
}

impl TemplateFinder {
    /// Takes a column; false when its templates multiply, or a text has too many variables.
    pub(super) fn take(&mut self, values: Values<'_>) -> bool {
        self.count = 0;
        self.codes.clear();
        self.table.clear();
        self.table.resize(4 * (FREE_TEMPLATES + values.len() / ROWS_PER_TEMPLATE).next_power_of_two(), 0);
        for (index, span) in values.spans.iter().enumerate() {
            let hash = self.split(*span, values.raw);
            if self.variables.len() > MAX_VARIABLES {
                return false;
            }
            let code = self.code(hash, values.raw);
            if self.count > FREE_TEMPLATES + index / ROWS_PER_TEMPLATE {
                return false;
            }
            self.codes.push(code as u16);
            if let Some(template) = self.templates.get_mut(code) {
                template.rows += 1;
                template.slots.iter_mut().zip(&self.variables).for_each(|(slot, variable)| slot.push(*variable));
            }
        }
        true
    }

    pub(super) fn templates(&self) -> &[Template] {
        self.templates.get(..self.count).unwrap_or_default()
    }

    pub(super) fn codes(&self) -> &[u16] {
        &self.codes
    }

    /// Splits a text into pieces and variables, and returns a hash of the pieces.
    #[inline]
    fn split(&mut self, span: Span, raw: &[u8]) -> u64 {
        self.pieces.clear();
        self.variables.clear();
        let (text, start) = (span.of(raw), span.start as usize);
        let (mut from, mut hash) = (0, 0);
        each_variable(text, |range| {
            let piece = text.get(from..range.start).unwrap_or_default();
            hash = xxh3_64_with_seed(piece, hash);
            self.pieces.push(Span::new(start + from, start + range.start));
            self.variables.push(Span::new(start + range.start, start + range.end));
            from = range.end;
        });
        self.pieces.push(Span::new(start + from, start + text.len()));
        xxh3_64_with_seed(text.get(from..).unwrap_or_default(), hash)
    }

    /// Returns the place of the template of what was split last.
    #[inline]
    fn code(&mut self, hash: u64, raw: &[u8]) -> usize {
        let mask = self.table.len() - 1;
        let mut slot = hash as usize & mask;
        while let Some(place) = self.table.get(slot).copied().filter(|place| *place != 0) {
            let code = usize::from(place) - 1;
            if self.templates.get(code).is_some_and(|template| template.hash == hash && self.is_of(template, raw)) {
                return code;
            }
            slot = (slot + 1) & mask;
        }
        if let Some(place) = self.table.get_mut(slot) {
            *place = self.count as u16 + 1;
        }
        if self.count == self.templates.len() {
            self.templates.push(Template::default());
        }
        if let Some(template) = self.templates.get_mut(self.count) {
            template.pieces.clone_from(&self.pieces);
            template.slots.iter_mut().for_each(Vec::clear);
            template.slots.resize_with(self.variables.len(), Vec::new);
            (template.rows, template.hash) = (0, hash);
        }
        self.count += 1;
        self.count - 1
    }

    #[inline]
    fn is_of(&self, template: &Template, raw: &[u8]) -> bool {
        template.pieces.len() == self.pieces.len()
            && template.pieces.iter().zip(&self.pieces).all(|(known, piece)| same(known.of(raw), piece.of(raw)))
    }
}
