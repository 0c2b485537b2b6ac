//! It is a filesystem at all: what it does without faults.

use std::io::ErrorKind;

use super::*;

#[test]
fn files_and_directories_work_as_on_a_disk() {
    let faulty = Faulty::new(1);
    let missing = |result: std::io::Result<Arc<dyn StorageFile>>| result.unwrap_err().kind() == ErrorKind::NotFound;
    assert!(missing(faulty.open(Path::new("a"))) && missing(faulty.open_read(Path::new("a"))));
    assert!(missing(faulty.create(Path::new("no/a"))) && faulty.list(Path::new("no")).is_err());
    faulty.create_directory(Path::new("d/e")).unwrap();
    let file = create(&faulty, "d/b");
    assert_eq!(faulty.create(Path::new("./d/b")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    drop((create(&faulty, "d/a"), create(&faulty, "d/e/c")));
    file.write_at(b"abcd", 2).unwrap();
    file.write_at(b"", 6).unwrap();
    let names: Vec<_> = faulty.list(Path::new("d")).unwrap().into_iter().map(|e| (e.name, e.bytes)).collect();
    assert_eq!(names, [("a".to_owned(), 0), ("b".to_owned(), 6)]);
    assert_eq!(read(&file, 0, 6).unwrap(), b"\0\0abcd");
    assert_eq!(file.read_at(&mut [0; 9], 4).unwrap(), 2);
    assert_eq!(file.read_at(&mut [0; 9], 6).unwrap(), 0);
    file.set_length(3).unwrap();
    file.set_length(5).unwrap();
    assert_eq!((file.length().unwrap(), faulty.contents("d/b").unwrap()), (5, b"\0\0a\0\0".to_vec()));
    faulty.rename(Path::new("d/b"), Path::new("d/a")).unwrap();
    faulty.remove(Path::new("d/a")).unwrap();
    faulty.sync_directory(Path::new("d")).unwrap();
    assert_eq!(read(&file, 2, 1).unwrap(), b"a", "an open file outlives its name");
    assert!(faulty.remove(Path::new("d/a")).is_err() && faulty.rename(Path::new("d/a"), Path::new("x")).is_err());
}

#[test]
fn a_file_opened_for_reading_cannot_be_written() {
    let faulty = Faulty::new(1);
    faulty.put("a", b"x".to_vec());
    let file = faulty.open_read(Path::new("a")).unwrap();
    assert!(file.write_at(b"y", 0).is_err() && file.set_length(0).is_err());
    assert_eq!(read(&file, 0, 1).unwrap(), b"x");
}

#[test]
fn one_lock_at_a_time_over_all_clones() {
    let faulty = Faulty::new(1);
    let other = faulty.clone();
    let lock = faulty.lock().unwrap();
    assert!(lock.is_some() && other.lock().unwrap().is_none());
    assert!(faulty.crash().lock().unwrap().is_some());
    assert_eq!(faulty.list(Path::new("")).unwrap()[0].name, "LOCK", "as on a disk");
    drop(lock);
    assert!(other.lock().unwrap().is_some());
}
