//! Points of one resolution: small files of points of one size, appended to and deleted whole.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::point::{POINT_BYTES, Point};
use crate::storage::{Storage, StorageFile, read_exact_at, remove_if_there};

/// The directory of the files.
const HISTORY_DIRECTORY: &str = "history";

/// Points in one file: an hour of fine ones, so that a day of them is few files and deleting one frees little at once.
pub(super) const FILE_POINTS: u64 = 360;

/// A name that says more than this was not written by this program: numbers count points.
const MAX_NUMBER: u64 = 1 << 48;

/// The interval between the points of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolution {
    /// 10 seconds, for a day.
    Fine,
    /// A minute, for a week.
    Coarse,
}

impl Resolution {
    /// Returns the finest one that reaches back so many hours.
    #[must_use]
    pub(super) const fn reaching(hours: u32) -> Self {
        if hours <= 24 { Self::Fine } else { Self::Coarse }
    }

    /// Returns the time from point to point.
    #[must_use]
    pub(super) const fn interval(self) -> Duration {
        match self {
            Self::Fine => Duration::from_secs(10),
            Self::Coarse => Duration::from_secs(60),
        }
    }

    /// Returns the least number of points that are kept. They are counted and not timed: the wall clock may be set, and
    /// a server that was down keeps what it had.
    pub(super) const fn kept(self) -> u64 {
        match self {
            Self::Fine => 24 * 360,
            Self::Coarse => 7 * 24 * 60,
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Fine => "fine-",
            Self::Coarse => "coarse-",
        }
    }
}

/// One file: the number of its first point, and how many places for points are taken, whatever is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PointFile {
    first: u64,
    points: u64,
}

impl PointFile {
    fn path(self, resolution: Resolution) -> PathBuf {
        PathBuf::from(format!("{HISTORY_DIRECTORY}/{}{:020}.points", resolution.prefix(), self.first))
    }

    fn named(name: &str, bytes: u64, resolution: Resolution) -> Option<Self> {
        let digits = name.strip_prefix(resolution.prefix())?.strip_suffix(".points")?;
        let first: u64 = digits.parse().ok().filter(|first| *first <= MAX_NUMBER && digits.len() == 20)?;
        // A torn point has its place too: the next one is written behind it.
        Some(Self { first, points: bytes.div_ceil(POINT_BYTES as u64).min(FILE_POINTS) })
    }
}

/// The writing side.
#[derive(Debug)]
pub(super) struct Series {
    storage: Arc<dyn Storage>,
    resolution: Resolution,
    files: VecDeque<PointFile>,
    /// The last file, when it is written to.
    open: Option<Arc<dyn StorageFile>>,
    /// The number of the next point.
    next: u64,
    /// Names were made that are not durable.
    unnamed: bool,
}

impl Series {
    /// Finds what is there.
    pub(super) fn load(storage: &Arc<dyn Storage>, resolution: Resolution) -> io::Result<Self> {
        let entries = match storage.list(HISTORY_DIRECTORY.as_ref()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed?,
        };
        let named = entries.iter().filter_map(|entry| PointFile::named(&entry.name, entry.bytes, resolution));
        let files: VecDeque<PointFile> = named.collect();
        let next = files.back().map_or(0, |last| last.first + last.points);
        Ok(Self { storage: Arc::clone(storage), resolution, files, open: None, next, unnamed: false })
    }

    pub(super) fn files(&self) -> Vec<PointFile> {
        self.files.iter().copied().collect()
    }

    /// Returns the number that the next point has to have.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Writes the next point; one that fails leaves its place to the following one.
    pub(super) fn append(&mut self, point: &Point) -> io::Result<()> {
        let file = match &self.open {
            Some(file) => Arc::clone(file),
            None => self.begin()?,
        };
        let taken = self.files.back().map_or(0, |last| last.points);
        if let Err(error) = file.write_at(&point.encode(), taken * POINT_BYTES as u64) {
            self.open = None;
            return Err(error);
        }
        self.open = Some(file);
        self.next += 1;
        if let Some(last) = self.files.back_mut() {
            last.points += 1;
            if last.points == FILE_POINTS {
                self.sync()?;
                self.open = None;
            }
        }
        self.retain()
    }

    /// Returns the file for the next point: the last one, or a new one when that is full.
    fn begin(&mut self) -> io::Result<Arc<dyn StorageFile>> {
        if let Some(last) = self.files.back().filter(|last| last.points < FILE_POINTS) {
            return self.storage.open(&last.path(self.resolution));
        }
        self.storage.create_directory(HISTORY_DIRECTORY.as_ref())?;
        let new = PointFile { first: self.next, points: 0 };
        let path = new.path(self.resolution);
        let file = self.storage.create(&path)?;
        self.files.push_back(new);
        self.unnamed = true;
        Ok(file)
    }

    /// Makes everything durable that was written.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if let Some(file) = &self.open {
            let _synced = file.sync_data()?;
        }
        if self.unnamed {
            self.storage.sync_directory(HISTORY_DIRECTORY.as_ref())?;
            self.unnamed = false;
        }
        Ok(())
    }

    fn retain(&mut self) -> io::Result<()> {
        let mut points: u64 = self.files.iter().map(|file| file.points).sum();
        while let Some(first) = self.files.front().copied()
            && points - first.points >= self.resolution.kept()
        {
            remove_if_there(self.storage.as_ref(), &first.path(self.resolution))?;
            self.files.pop_front();
            points -= first.points;
        }
        Ok(())
    }

    /// Deletes every point, durably.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.open = None;
        if self.files.is_empty() {
            return Ok(());
        }
        while let Some(last) = self.files.back() {
            remove_if_there(self.storage.as_ref(), &last.path(self.resolution))?;
            self.files.pop_back();
        }
        self.storage.sync_directory(HISTORY_DIRECTORY.as_ref())
    }
}

/// Returns one file's points, oldest first, and how many more there should be. A file that retention or a reset has
/// deleted meanwhile has none.
pub(super) fn read(storage: &dyn Storage, resolution: Resolution, file: PointFile) -> (Vec<Point>, u64) {
    let taken = file.points as usize;
    let opened = match storage.open_read(&file.path(resolution)) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (Vec::new(), 0),
        Err(_) => return (Vec::new(), file.points),
    };
    let mut bytes = vec![0; taken * POINT_BYTES];
    if read_exact_at(opened.as_ref(), &mut bytes, 0).is_err() {
        // One by one: what cannot be read is left as zeros, which are no point.
        for (place, position) in bytes.chunks_exact_mut(POINT_BYTES).zip((0..).step_by(POINT_BYTES)) {
            if read_exact_at(opened.as_ref(), place, position).is_err() {
                place.fill(0);
            }
        }
    }
    let places = bytes.chunks_exact(POINT_BYTES).zip(file.first..);
    let points: Vec<Point> = places.filter_map(|(bytes, number)| Point::decode(bytes, number)).collect();
    let missing = taken - points.len();
    (points, missing as u64)
}
