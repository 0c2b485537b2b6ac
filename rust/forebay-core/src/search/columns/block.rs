//! One block of columns under search.

use std::collections::HashSet;

use super::rows::{Hits, RowSet};
use super::texts::ask;
use super::wanted::{TermPlan, Wanted};
use crate::ids::Timestamp;
use crate::log::segment::columns::{Array, Column, Directory, Keys, MEMBER, Rows, Section};
use crate::log::segment::{BlockRow, ColumnReader, SegmentError};
use crate::record::{Record, Records};
use crate::search::matcher::Matcher;
use crate::search::offsets::Offsets;
use crate::search::pattern::Pattern;
use crate::search::watch::Watch;

/// Why a block cannot be searched.
#[derive(Debug)]
pub(in crate::search) enum Broken {
    /// It is not what was written.
    Damaged,
    /// The segment's own word.
    Segment(SegmentError),
}

impl From<SegmentError> for Broken {
    fn from(error: SegmentError) -> Self {
        Self::Segment(error)
    }
}

/// The arrays of a block, each read when it is first asked for.
#[derive(Debug)]
pub(in crate::search) struct Body<'r> {
    reader: ColumnReader<'r>,
    bytes: Vec<u8>,
    loaded: HashSet<u32>,
    read: u64,
}

impl Body<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn load(&mut self, array: &Array) -> Result<(), Broken> {
        let mut done = Ok(());
        array.each_section(&mut |section| {
            if done.is_ok() {
                done = self.load_section(section);
            }
        });
        done
    }

    pub(super) fn load_codes(&mut self, array: &Array) -> Result<(), Broken> {
        array.codes_section().map_or(Ok(()), |section| self.load_section(section))
    }

    pub(super) fn load_section(&mut self, section: Section) -> Result<(), Broken> {
        // Places are those of sections without bytes as well, which need no reading.
        if section.length == 0 || !self.loaded.insert(section.at) {
            return Ok(());
        }
        let (start, end) = (section.at as usize, (section.at + section.length) as usize);
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let into = self.bytes.get_mut(start..end).ok_or(Broken::Damaged)?;
        self.reader.read_section(section, into)?;
        self.read += u64::from(section.length);
        Ok(())
    }

    pub(super) fn times(&mut self, directory: &Directory) -> Result<Vec<Timestamp>, Broken> {
        self.load_section(directory.time_section())?;
        let mut times = Vec::new();
        directory.times(&self.bytes, &mut times);
        Ok(times)
    }
}

/// A block, and the rows of it that match.
#[derive(Debug)]
pub(in crate::search) struct ColumnBlock<'r> {
    directory: Directory,
    body: Body<'r>,
}

/// What a sink may ask of a block.
#[derive(Debug)]
pub(in crate::search) struct Found<'b, 'r> {
    block: &'b mut ColumnBlock<'r>,
    /// The block as its index describes it.
    pub(in crate::search) row: BlockRow,
    /// The rows that match.
    pub(in crate::search) set: &'b RowSet,
}

impl<'r> ColumnBlock<'r> {
    /// Reads the directory of a block. `memory` is that of another one: to clear it for each would cost more than to read.
    pub(in crate::search) fn open(mut reader: ColumnReader<'r>, memory: Vec<u8>) -> Result<Self, Broken> {
        let directory = reader.read_directory()?;
        Ok(Self { directory, body: Body { reader, bytes: memory, loaded: HashSet::new(), read: 0 } })
    }

    /// Gives the memory back.
    pub(in crate::search) fn into_memory(self) -> Vec<u8> {
        self.body.bytes
    }

    /// Returns how many bytes were read.
    pub(in crate::search) fn read_bytes(&self) -> u64 {
        self.body.read + self.directory.bytes() as u64
    }

    /// Returns the rows that match, of those that `only` says.
    pub(in crate::search) fn find(
        &mut self,
        row: &BlockRow,
        matcher: &mut Matcher,
        only: &Offsets,
        watch: &Watch<'_>,
    ) -> Result<RowSet, Broken> {
        let rows = self.directory.rows;
        let mut set = RowSet::all(rows);
        if only.count(&(row.base..row.end())) < rows as u64 {
            let is_wanted = |index: &usize| only.has(row.base.plus(*index as u64));
            (0..rows).filter(|index| !is_wanted(index)).for_each(|index| set.remove(index));
        }
        let mut interrupted = false;
        self.narrow_by_fields(&mut set, matcher, watch)?;
        self.narrow_by_terms(&mut set, matcher, watch, &mut interrupted)?;
        if !set.is_empty() && matcher.asks_keys() {
            let hits = self.ask_keys(matcher, watch)?;
            narrow(&mut set, &hits);
        }
        if !set.is_empty() && !matcher.covers(row.min_time, row.max_time) {
            let times = self.body.times(&self.directory)?;
            times.iter().enumerate().filter(|(_, time)| !matcher.has_time(**time)).for_each(|(row, _)| set.remove(row));
        }
        if interrupted {
            matcher.interrupt();
            set = RowSet::none(rows);
        }
        Ok(set)
    }

    fn narrow_by_fields(&mut self, set: &mut RowSet, matcher: &Matcher, watch: &Watch<'_>) -> Result<(), Broken> {
        for ((_, test), path) in matcher.fields.iter().zip(&matcher.field_paths) {
            if set.is_empty() {
                return Ok(());
            }
            let mut hits = Hits::None;
            for (index, column) in self.directory.columns_at(path, false) {
                let mut wanted = Wanted::test(test, column.is_string, watch);
                let of = ask(&self.directory, &mut self.body, &column.array, column.count, &mut wanted)?;
                hits = hits.or(to_rows(&self.directory, &mut self.body, index, column, of)?);
            }
            narrow(set, &hits);
        }
        Ok(())
    }

    fn narrow_by_terms(
        &mut self,
        set: &mut RowSet,
        matcher: &Matcher,
        watch: &Watch<'_>,
        interrupted: &mut bool,
    ) -> Result<(), Broken> {
        // What excludes is asked last: it is often in few of the records that are left, or there are none.
        let mut terms: Vec<_> = matcher.query.terms.iter().collect();
        terms.sort_by_key(|term| (term.is_excluded, term.pattern.is_regex()));
        for term in terms {
            if set.is_empty() || *interrupted {
                return Ok(());
            }
            let hits = self.ask_term(&term.pattern, watch, interrupted)?;
            match (term.is_excluded, hits) {
                (false, hits) => narrow(set, &hits),
                (true, Hits::None) => {}
                (true, Hits::All) => *set = RowSet::none(self.directory.rows),
                (true, Hits::Some(found)) => set.and_not(&found),
            }
        }
        Ok(())
    }

    fn ask_term(&mut self, pattern: &Pattern, watch: &Watch<'_>, interrupted: &mut bool) -> Result<Hits, Broken> {
        let plan = TermPlan::new(pattern);
        let path = |name: &str| std::iter::once(MEMBER).chain(name.bytes()).collect::<Vec<u8>>();
        let (message, metadata) = (path("message"), path("metadata"));
        let texts = self.directory.columns_at(&message, false).filter(|(_, column)| column.is_string);
        let mut hits = Hits::None;
        for (index, column) in texts.chain(self.directory.columns_at(&metadata, true)) {
            if hits == Hits::All {
                break;
            }
            let mut wanted = Wanted::term(&plan, column.is_string, watch);
            let of = ask(&self.directory, &mut self.body, &column.array, column.count, &mut wanted)?;
            *interrupted |= wanted.was_interrupted();
            hits = hits.or(to_rows(&self.directory, &mut self.body, index, column, of)?);
        }
        Ok(hits)
    }

    fn ask_keys(&mut self, matcher: &Matcher, watch: &Watch<'_>) -> Result<Hits, Broken> {
        let has_key = |key: &[u8]| matcher.has_key(key);
        let array = match &self.directory.keys {
            Keys::None => return Ok(Hits::of(has_key(b""))),
            Keys::Own(keys) => keys,
            Keys::OfColumn(index) => &self.directory.columns.get(*index).ok_or(Broken::Damaged)?.array,
        };
        let mut wanted = Wanted::bytes(&has_key, watch);
        ask(&self.directory, &mut self.body, array, self.directory.rows, &mut wanted)
    }
}

fn narrow(set: &mut RowSet, hits: &Hits) {
    match hits {
        Hits::All => {}
        Hits::None => *set = RowSet::default(),
        Hits::Some(found) => set.and(found),
    }
}

/// Turns what is known of a column's values into what is known of rows: each row that has one of them.
fn to_rows(
    directory: &Directory,
    body: &mut Body<'_>,
    index: usize,
    column: &Column,
    hits: Hits,
) -> Result<Hits, Broken> {
    let each = directory.values_per_row(index);
    if hits == Hits::None || each.iter().all(|count| *count == 1) {
        return Ok(hits);
    }
    body.load_section(directory.shape_section())?;
    let (mut set, mut at) = (RowSet::none(directory.rows), 0);
    directory.shape_codes(body.bytes()).each(directory.rows, |row, code| {
        let count = each.get(code).copied().unwrap_or(0);
        if (at..(at + count).min(column.count)).any(|index| hits.has(index)) {
            set.insert(row);
        }
        at += count;
    });
    Ok(Hits::Some(set))
}

impl<'b, 'r> Found<'b, 'r> {
    pub(in crate::search) fn new(block: &'b mut ColumnBlock<'r>, row: BlockRow, set: &'b RowSet) -> Self {
        Self { block, row, set }
    }

    /// Returns the times of all rows of the block.
    pub(in crate::search) fn times(&mut self) -> Result<Vec<Timestamp>, Broken> {
        self.block.body.times(&self.block.directory)
    }

    /// Gives each different key of the rows that match, and how many have it; false when the block cannot tell.
    pub(in crate::search) fn count_keys(&mut self, count: &mut dyn FnMut(&[u8], u64)) -> Result<bool, Broken> {
        let ColumnBlock { directory, body } = &mut *self.block;
        let array = match &directory.keys {
            Keys::None => return Ok(false),
            Keys::Own(keys) => keys,
            Keys::OfColumn(index) => &directory.columns.get(*index).ok_or(Broken::Damaged)?.array,
        };
        count_entries(directory, body, array, self.set, count)
    }

    /// Gives each different value at a path of the rows that match, and how many have it; false when the block cannot tell.
    /// The path is that of one member of the value, and every row has it as a string.
    pub(in crate::search) fn count_values(
        &mut self,
        name: &str,
        count: &mut dyn FnMut(&[u8], u64),
    ) -> Result<bool, Broken> {
        let ColumnBlock { directory, body } = &mut *self.block;
        let path: Vec<u8> = std::iter::once(MEMBER).chain(name.bytes()).collect();
        let mut columns = directory.columns_at(&path, true);
        let (Some((index, column)), None) = (columns.next(), columns.next()) else { return Ok(false) };
        if !column.is_string || !directory.values_per_row(index).iter().all(|count| *count == 1) {
            return Ok(false);
        }
        count_entries(directory, body, &column.array, self.set, &mut |text, number| {
            count(&super::wanted::unescaped(text), number);
        })
    }

    /// Gives each record that matches.
    pub(in crate::search) fn each_record(&mut self, each: &mut dyn FnMut(usize, &Record<'_>)) -> Result<(), Broken> {
        let ColumnBlock { directory, body } = &mut *self.block;
        let mut sections = Vec::new();
        directory.each_section(&mut |section| sections.push(section));
        sections.into_iter().try_for_each(|section| body.load_section(section))?;
        let times = body.times(directory)?;
        let mut rows = Rows::new((directory, body.bytes(), &times), 0).ok_or(Broken::Damaged)?;
        let mut bytes = Vec::new();
        for row in 0..directory.rows {
            bytes.clear();
            rows.write(row..row + 1, &mut bytes).ok_or(Broken::Damaged)?;
            if self.set.has(row)
                && let Some((record, _)) = Records::new(&bytes).next()
            {
                each(row, &record);
            }
        }
        Ok(())
    }
}

/// Counts the entries of a dictionary; false when it is none.
fn count_entries(
    directory: &Directory,
    body: &mut Body<'_>,
    array: &Array,
    set: &RowSet,
    count: &mut dyn FnMut(&[u8], u64),
) -> Result<bool, Broken> {
    match array {
        Array::Const(text) => count(directory.text(*text), set.count() as u64),
        Array::Dictionary { entries, .. } => {
            body.load(array)?;
            let codes = array.codes(body.bytes());
            let mut counts = vec![0_u64; entries.len()];
            if set.count() == directory.rows {
                codes.each(directory.rows, |_, code| {
                    if let Some(count) = counts.get_mut(code) {
                        *count += 1;
                    }
                });
            } else {
                set.each(|row| {
                    if let Some(count) = counts.get_mut(codes.get(row)) {
                        *count += 1;
                    }
                });
            }
            let present = entries.iter().zip(counts).filter(|(_, count)| *count > 0);
            present.for_each(|(entry, number)| count(directory.text(*entry), number));
        }
        Array::Decimal { .. }
        | Array::Padded { .. }
        | Array::Hex { .. }
        | Array::Heap(_)
        | Array::Templates { .. }
        | Array::Time(_) => return Ok(false),
    }
    Ok(true)
}
