//! Directories: names that are volatile until their directory is synced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::odds::Odds;
use crate::random::Random;

/// The number of a file; names point to it.
pub(super) type InodeId = u64;

#[derive(Clone, Debug)]
enum Change {
    Link { path: PathBuf, inode: InodeId },
    Unlink { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
}

impl Change {
    fn paths(&self) -> Vec<&PathBuf> {
        match self {
            Self::Link { path, .. } | Self::Unlink { path } => vec![path],
            Self::Rename { from, to } => vec![from, to],
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, InodeId>) {
        match self {
            Self::Link { path, inode } => {
                names.insert(path.clone(), *inode);
            }
            Self::Unlink { path } => {
                names.remove(path);
            }
            Self::Rename { from, to } => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    live: BTreeMap<PathBuf, InodeId>,
    stable: BTreeMap<PathBuf, InodeId>,
    pending: Vec<Change>,
    directories: BTreeSet<PathBuf>,
}

/// Returns the path without `.` components, so that `./a` and `a` are one name.
pub(super) fn normal(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

impl Names {
    pub(super) fn find(&self, path: &Path) -> Option<InodeId> {
        self.live.get(path).copied()
    }

    pub(super) fn find_stable(&self, path: &Path) -> Option<InodeId> {
        self.stable.get(path).copied()
    }

    pub(super) fn live(&self) -> impl Iterator<Item = (&PathBuf, InodeId)> {
        self.live.iter().map(|(path, inode)| (path, *inode))
    }

    pub(super) fn in_directory<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = (&'a Path, InodeId)> {
        self.live().filter(move |(path, _)| parent(path) == directory).map(|(path, inode)| (path.as_path(), inode))
    }

    pub(super) fn is_directory(&self, path: &Path) -> bool {
        path.as_os_str().is_empty() || self.directories.contains(path)
    }

    pub(super) fn has_parent(&self, path: &Path) -> bool {
        self.is_directory(parent(path))
    }

    /// Durable at once, with all parents, as `Storage::create_directory` promises.
    pub(super) fn create_directory(&mut self, path: &Path) {
        let ancestors = path.ancestors().filter(|a| !a.as_os_str().is_empty());
        self.directories.extend(ancestors.map(Path::to_path_buf));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    pub(super) fn link(&mut self, path: PathBuf, inode: InodeId) {
        self.change(Change::Link { path, inode });
    }

    pub(super) fn unlink(&mut self, path: PathBuf) {
        self.change(Change::Unlink { path });
    }

    pub(super) fn rename(&mut self, from: PathBuf, to: PathBuf) {
        self.change(Change::Rename { from, to });
    }

    /// Makes the directory's changes durable, and what they build upon: a file renamed into the directory cannot be
    /// there without having been created.
    pub(super) fn sync(&mut self, directory: &Path) {
        let mut needed = BTreeSet::new();
        let mut synced = vec![false; self.pending.len()];
        for (index, change) in self.pending.iter().enumerate().rev() {
            let paths = change.paths();
            if paths.iter().any(|path| parent(path) == directory || needed.contains(*path)) {
                synced[index] = true;
                needed.extend(paths.into_iter().cloned());
            }
        }
        let mut synced = synced.into_iter();
        self.pending.retain(|change| {
            let synced = synced.next().unwrap_or(false);
            if synced {
                change.apply(&mut self.stable);
            }
            !synced
        });
    }

    /// Returns what a power loss leaves: a change is kept or lost on its own, but never kept when an earlier one to the
    /// same name was lost.
    pub(super) fn survive(&self, random: &mut Random) -> Self {
        let odds = Odds::draw(random);
        let mut stable = self.stable.clone();
        let mut lost = BTreeSet::new();
        for change in &self.pending {
            let paths = change.paths();
            if odds.keeps(random) && !paths.iter().any(|path| lost.contains(*path)) {
                change.apply(&mut stable);
            } else {
                lost.extend(paths.into_iter().cloned());
            }
        }
        Self { live: stable.clone(), stable, pending: Vec::new(), directories: self.directories.clone() }
    }

    /// Returns all files that some name points to, or may point to after a crash.
    pub(super) fn reachable(&self) -> BTreeSet<InodeId> {
        let created = self.pending.iter().filter_map(|change| match change {
            Change::Link { inode, .. } => Some(*inode),
            Change::Unlink { .. } | Change::Rename { .. } => None,
        });
        self.live.values().chain(self.stable.values()).copied().chain(created).collect()
    }
}
