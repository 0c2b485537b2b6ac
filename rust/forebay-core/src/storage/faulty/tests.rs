#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bytes;
mod faults;
mod filesystem;
mod names;

use std::path::Path;
use std::sync::Arc;

use crate::storage::faulty::universe::Faulty;
use crate::storage::{Storage, StorageFile, read_exact_at};

/// Crash seeds a test tries. What happens in one of 64 sectors and more comes up in it with certainty enough: the seeds
/// are fixed.
const SEEDS: u64 = 300;

fn create(faulty: &Faulty, path: &str) -> Arc<dyn StorageFile> {
    faulty.create(Path::new(path)).unwrap()
}

/// Returns a file of `bytes` that is durable with its name.
fn durable(faulty: &Faulty, path: &str, bytes: &[u8]) -> Arc<dyn StorageFile> {
    faulty.put(path, bytes);
    faulty.open(Path::new(path)).unwrap()
}

fn write(file: &Arc<dyn StorageFile>, position: u64, bytes: &[u8]) {
    file.write_at(bytes, position).unwrap();
}

fn fails(file: &Arc<dyn StorageFile>, position: u64, bytes: &[u8]) -> std::io::Error {
    file.write_at(bytes, position).unwrap_err()
}

fn read(file: &Arc<dyn StorageFile>, position: u64, length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    read_exact_at(file.as_ref(), &mut bytes, position).map(|()| bytes)
}

/// Returns the file's contents after each crash seed.
fn outcomes(faulty: &Faulty, path: &str) -> Vec<Option<Vec<u8>>> {
    (0..SEEDS).map(|seed| faulty.crash_seeded(seed).contents(path)).collect()
}
