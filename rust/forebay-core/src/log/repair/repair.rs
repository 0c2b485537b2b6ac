//! Makes a damaged data directory start again, without deleting a byte.
//!
//! Damaged bytes are copied into the quarantine, with a description, before anything else changes. Then damaged
//! segments are replaced by ones with the sound blocks, what is sound of an unsealed journal is sealed, and last a new
//! base of the tables is written, whose rename makes all of it count. Only then are the files that it replaces moved
//! aside. A repair that is interrupted leaves the directory as damaged as it was, or repaired; it is simply run again.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::quarantine::{Item, Manifest, OffsetRange};
use super::read_progress::ReadProgress;
use super::rebuild::Rebuild;
use super::salvage::{Salvage, rewrite};
use super::survey::{Finding, Survey, path_of};
use super::verify::{lock, unusable};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Timestamp;
use crate::log::journal::JOURNAL_DIRECTORY;
use crate::log::state::{STATE_DIRECTORY, write_base};
use crate::storage::Storage;
use crate::stream::SEGMENT_DIRECTORY;
use crate::stream::SegmentName;

/// Selects between doing a repair and only planning it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// Nothing is changed.
    No,
    /// It is done.
    Yes,
}

/// The outcome of a repair, or of its plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Damages that were found.
    pub findings: Vec<Finding>,
    /// The directory of the copies, relative to the data directory; `None` when there was nothing to repair.
    pub quarantine: Option<String>,
    /// Copies in the quarantine.
    pub items: Vec<Item>,
    /// Offsets whose records are gone.
    pub lost: Vec<OffsetRange>,
    /// Offsets that stay unused, since lost records may have had them.
    pub skipped: Vec<OffsetRange>,
    /// Notes on what was made anew, and on anything else an operator should know.
    pub notes: Vec<String>,
    /// Records taken over from the journal.
    pub salvaged_records: u64,
}

struct Plan {
    manifest: Manifest,
    segments: Vec<SegmentName>,
    rebuild: Option<Rebuild>,
    /// Moved aside at the end: from, to.
    moves: Vec<(String, String)>,
}

/// Repairs the directory, or says what that would do.
///
/// # Errors
/// `DirectoryLocked` while a process has the directory open; `StorageUnavailable` when it cannot be read, when the disk
/// has no room for the copies, or when a write fails. Then run it again.
pub fn repair(storage: &Arc<dyn Storage>, apply: Apply) -> Result<RepairReport> {
    repair_with(storage, apply, &ReadProgress::default())
}

/// Repairs the directory as [`repair`] does, and says in `progress` how far it is with looking for damage. What it
/// copies and writes afterwards does not count.
///
/// # Errors
/// Fails as [`repair`] does.
pub fn repair_with(storage: &Arc<dyn Storage>, apply: Apply, progress: &ReadProgress) -> Result<RepairReport> {
    let _lock = lock(storage)?;
    let failed = |error: io::Error| unusable(storage, &error);
    let survey = Survey::of(storage.as_ref(), progress).map_err(failed)?;
    if survey.findings.is_empty() {
        return Ok(RepairReport::default());
    }
    let mut plan = Plan::of(storage.as_ref(), &survey).map_err(failed)?;
    let salvaged_records = plan.salvage().iter().map(Salvage::records).sum();
    if apply == Apply::Yes {
        plan.check_room(storage)?;
        plan.apply(storage.as_ref(), &survey).map_err(failed)?;
    }
    let Manifest { directory, items, lost, skipped, notes, .. } = plan.manifest;
    let findings = survey.findings;
    Ok(RepairReport { findings, quarantine: Some(directory), items, lost, skipped, notes, salvaged_records })
}

impl Plan {
    fn of(storage: &dyn Storage, survey: &Survey) -> io::Result<Self> {
        let mut manifest = Manifest::new(Timestamp::now());
        let rebuild = survey.needs_rebuilding().then(|| Rebuild::plan(storage, survey)).transpose()?;
        let mut segments = Vec::new();
        let named = survey.parts.iter().map(|(_, part)| part.name);
        for name in named.chain(rebuild.iter().flat_map(|rebuild| rebuild.adopted.iter().copied())) {
            let path = path_of(name);
            let damaged = survey.findings.iter().find(|finding| finding.damage.file == path).map(|of| &of.damage.what);
            let damaged = damaged.map(String::as_str);
            let adopted = survey.segments.get(&name).and_then(|segment| segment.damages.first()).map(|of| of.what);
            let Some(what) = damaged.or(adopted) else { continue };
            if segments.contains(&name) {
                continue;
            }
            segments.push(name);
            for range in survey.segments.get(&name).map_or_else(Vec::new, |segment| segment.rest()) {
                manifest.put_aside(&path, Some(range), range.1, what);
            }
            manifest.notes.push(format!("{path}: written anew with its sound blocks"));
        }
        let mut plan = Self { manifest, segments, rebuild, moves: Vec::new() };
        plan.put_files_aside(survey);
        plan.name_losses(survey);
        Ok(plan)
    }

    fn salvage(&self) -> &[Salvage] {
        self.rebuild.as_ref().map_or(&[], |rebuild| &rebuild.salvage)
    }

    fn put_files_aside(&mut self, survey: &Survey) {
        let Some(rebuild) = &self.rebuild else { return };
        let manifest = &mut self.manifest;
        let mut whole = |path: &str, bytes: u64, what: &str| {
            manifest.put_aside(path, None, bytes, what);
            let to = manifest.items.iter().find(|item| item.from == path).map(|item| item.to.clone());
            self.moves.extend(to.map(|to| (path.to_owned(), to)));
        };
        for journal in survey.journals.iter().filter(|journal| !journal.damages.is_empty()) {
            let what = journal.damages.first().map_or("", |(_, _, what)| what);
            whole(&journal.path, journal.bytes, what);
        }
        for entry in &survey.state_files {
            let path = format!("{STATE_DIRECTORY}/{}", entry.name);
            let damage = survey.findings.iter().find(|finding| finding.damage.file == path);
            whole(&path, entry.bytes, damage.map_or("replaced by a new base", |finding| &finding.damage.what));
        }
        let (generation, salvage) = (rebuild.generation, &rebuild.salvage);
        manifest.notes.push(format!("the tables are written anew, as of generation {generation}"));
        for salvage in salvage {
            let (from, records) = (&salvage.path, salvage.records());
            manifest.notes.push(format!("{from}: {records} records are sealed in {}", path_of(salvage.name)));
        }
        manifest.notes.extend(rebuild.notes.iter().cloned());
        manifest.skipped.clone_from(&rebuild.skipped);
    }

    fn name_losses(&mut self, survey: &Survey) {
        let named = || survey.findings.iter().flat_map(|finding| finding.offsets.iter().cloned()).collect();
        let mut lost: Vec<OffsetRange> = self.rebuild.as_ref().map_or_else(named, |rebuild| rebuild.losses(survey));
        lost.sort();
        lost.dedup();
        self.manifest.lost = lost;
    }

    fn check_room(&self, storage: &Arc<dyn Storage>) -> Result<()> {
        let needed = self.manifest.bytes() + self.salvage().iter().map(Salvage::bytes).sum::<u64>();
        let free = storage.free_bytes().map_err(|error| unusable(storage, &error))?;
        if needed > free {
            let detail =
                format!("the repair needs {needed} bytes for copies, and {free} are free; nothing was changed");
            return Err(Error::new(ErrorKind::StorageUnavailable, detail));
        }
        Ok(())
    }

    fn apply(&mut self, storage: &dyn Storage, survey: &Survey) -> io::Result<()> {
        self.manifest.write(storage)?;
        for name in &self.segments {
            rewrite(storage, *name, survey.segments.get(name))?;
        }
        let Some(rebuild) = &mut self.rebuild else { return Ok(()) };
        for salvage in std::mem::take(&mut rebuild.salvage) {
            for (stream, part) in salvage.write(storage, |stream| rebuild.compression(stream))? {
                rebuild.put_part(stream, &part);
            }
        }
        storage.sync_directory(Path::new(SEGMENT_DIRECTORY))?;
        write_base(storage, (rebuild.generation, rebuild.sequence), &rebuild.rows)?;
        for (from, to) in &self.moves {
            storage.rename(Path::new(from), Path::new(to))?;
        }
        for directory in [self.manifest.directory.as_str(), JOURNAL_DIRECTORY, STATE_DIRECTORY] {
            storage.sync_directory(Path::new(directory))?;
        }
        Ok(())
    }
}
