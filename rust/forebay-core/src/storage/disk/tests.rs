#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::ErrorKind;
use std::path::Path;

use tempfile::TempDir;

use super::Disk;
use crate::storage::{Storage, read_exact_at};

fn disk() -> (TempDir, Disk) {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::new(directory.path().join("new/root")).unwrap();
    (directory, disk)
}

/// Writes at 3, behind three bytes that are there, and compares what is read back.
fn round_trip(written: &[u8]) {
    let (_directory, disk) = disk();
    let file = disk.create(Path::new("a")).unwrap();
    file.write_at(b"abc", 0).unwrap();
    file.write_at(written, 3).unwrap();
    let expected = [b"abc", written].concat();
    let mut bytes = vec![0; expected.len()];
    read_exact_at(file.as_ref(), &mut bytes, 0).unwrap();
    assert!(bytes == expected && file.length().unwrap() == expected.len() as u64);
    assert_eq!(file.read_at(&mut [0; 8], expected.len() as u64).unwrap(), 0, "nothing behind the end");
}

#[test]
fn what_is_written_at_a_position_comes_back() {
    for length in [0, 1, 2, 4095, 4096, 4097, 3 << 20] {
        round_trip(&(0..length).map(|index| (index % 251) as u8).collect::<Vec<_>>());
    }
}

#[test]
fn one_lock_at_a_time() {
    let (_directory, disk) = disk();
    let second = Disk::new(disk.root()).unwrap();
    let lock = disk.lock().unwrap();
    assert!(lock.is_some() && second.lock().unwrap().is_none() && disk.lock().unwrap().is_none());
    drop(lock);
    assert!(second.lock().unwrap().is_some());
}

#[test]
fn lists_regular_files_sorted_with_their_lengths() {
    let (_directory, disk) = disk();
    disk.create_directory(Path::new("d/inner/deep")).unwrap();
    disk.create_directory(Path::new("d/inner/deep")).unwrap();
    for (index, name) in ["b", "a", "c10", "c9", "B"].into_iter().enumerate() {
        let file = disk.create(&Path::new("d").join(name)).unwrap();
        file.write_at(&[0; 8][..index], 0).unwrap();
    }
    let listed: Vec<_> = disk.list(Path::new("d")).unwrap().into_iter().map(|e| (e.name, e.bytes)).collect();
    let expected = [("B", 4), ("a", 1), ("b", 0), ("c10", 2), ("c9", 3)];
    assert_eq!(listed, expected.map(|(name, bytes)| (name.to_owned(), bytes)));
    assert!(disk.list(Path::new("d/inner/deep")).unwrap().is_empty());
    assert_eq!(disk.list(Path::new("none")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn sets_the_length_and_fills_with_zeros() {
    let (_directory, disk) = disk();
    let file = disk.create(Path::new("a")).unwrap();
    file.write_at(b"abcdef", 0).unwrap();
    file.set_length(2).unwrap();
    file.set_length(100_000).unwrap();
    let mut bytes = vec![1; 100_000];
    read_exact_at(file.as_ref(), &mut bytes, 0).unwrap();
    assert!(bytes[..2] == *b"ab" && bytes[2..].iter().all(|byte| *byte == 0));
    let eof = read_exact_at(file.as_ref(), &mut bytes, 1).unwrap_err();
    assert_eq!((eof.kind(), file.length().unwrap()), (ErrorKind::UnexpectedEof, 100_000));
    let _proof = file.sync_data().unwrap();
}

#[test]
fn creates_once_renames_over_and_removes() {
    let (_directory, disk) = disk();
    let (a, b) = (Path::new("a"), Path::new("b"));
    disk.create(a).unwrap().write_at(b"a", 0).unwrap();
    disk.create(b).unwrap();
    assert_eq!(disk.create(a).unwrap_err().kind(), ErrorKind::AlreadyExists);
    disk.rename(a, b).unwrap();
    disk.sync_directory(Path::new("")).unwrap();
    assert_eq!(disk.open(a).unwrap_err().kind(), ErrorKind::NotFound);
    let file = disk.open_read(b).unwrap();
    assert_eq!(file.length().unwrap(), 1);
    assert!(file.write_at(b"x", 0).is_err() && file.set_length(0).is_err());
    disk.remove(b).unwrap();
    assert_eq!(disk.remove(b).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(disk.free_bytes().unwrap() > 0);
}

/// A device with blocks larger than the alignment refuses what is aligned to less, as any does for these five bytes.
#[test]
fn what_the_device_refuses_past_the_cache_goes_by_way_of_it() {
    let (_directory, disk) = disk();
    let path = Path::new("a");
    let file = disk.create_uncached(path).unwrap();
    file.write_at(b"hello", 3).unwrap();
    let _synced = file.sync_data().unwrap();
    let file = disk.open_uncached(path).unwrap();
    let mut bytes = [0; 5];
    read_exact_at(file.as_ref(), &mut bytes, 3).unwrap();
    assert_eq!(&bytes, b"hello");
    let file = disk.open_uncached(path).unwrap();
    file.write_at(b"jawohl", 5).unwrap();
    read_exact_at(disk.open_read(path).unwrap().as_ref(), &mut bytes, 4).unwrap();
    assert_eq!(&bytes, b"ejawo");
}
