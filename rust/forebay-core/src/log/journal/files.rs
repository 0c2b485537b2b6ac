//! Which journal files a data directory has, and what each is good for.

use std::io;
use std::path::Path;

use super::journal::{JOURNAL_DIRECTORY, JournalFile};
use crate::ids::Generation;
use crate::options::Access;
use crate::status::{Damage, Status, StorageFailure};
use crate::storage::Storage;

/// The journal files of a directory.
#[derive(Debug, Default)]
pub(crate) struct JournalFiles {
    /// Files that are not sealed, oldest first.
    pub unsealed: Vec<JournalFile>,
    /// Files that can be written over.
    pub reusable: Vec<JournalFile>,
    /// The newest generation of all.
    pub newest: Generation,
}

impl JournalFiles {
    /// Finds the journal files. One whose header is unreadable is named as a damage, unless it is known to be sealed.
    ///
    /// # Errors
    /// When the directory itself cannot be read, or a file for want of descriptors or memory: that says nothing of it.
    pub(crate) fn find(storage: &dyn Storage, sealed: Generation, status: &Status, access: Access) -> io::Result<Self> {
        let mut files = Self { newest: sealed, ..Self::default() };
        for entry in storage.list(Path::new(JOURNAL_DIRECTORY))? {
            let Some(number) = entry.name.strip_suffix(".journal").and_then(|number| number.parse().ok()) else {
                continue;
            };
            files.newest = files.newest.max(Generation(number));
            let path = Path::new(JOURNAL_DIRECTORY).join(&entry.name);
            let opened = match access {
                Access::ReadWrite => storage.open(&path),
                Access::ReadOnly => storage.open_read(&path),
            };
            let damage = match opened.and_then(|file| JournalFile::identify(file, path.clone())) {
                Ok(Some(file)) if file.life.generation <= sealed => {
                    files.reusable.push(file);
                    continue;
                }
                Ok(Some(file)) => {
                    files.newest = files.newest.max(file.life.generation);
                    files.unsealed.push(file);
                    continue;
                }
                Ok(None) if Generation(number) <= sealed => continue,
                Err(error) if StorageFailure::of(&error) == StorageFailure::Refused => return Err(error),
                Ok(None) => "the journal file's header is damaged".to_owned(),
                Err(error) => format!("the journal file cannot be read: {error}"),
            };
            status.report(Damage {
                file: path.to_string_lossy().into_owned(),
                range: None,
                stream: None,
                what: damage,
            });
        }
        files.unsealed.sort_by_key(|file| file.life.generation);
        Ok(files)
    }
}
