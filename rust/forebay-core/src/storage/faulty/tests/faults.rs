//! Injected faults.

use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use super::*;
use crate::storage::faulty::fault::{Effect, Fault, Operation};

const LIMIT: Duration = Duration::from_secs(10);

fn is_eio(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

#[test]
fn the_nth_write_to_a_path_fails_and_is_counted() {
    let faulty = Faulty::new(1);
    let (journal, other) = (create(&faulty, "journal-1"), create(&faulty, "other"));
    let fault = faulty.inject(Fault::nth(Operation::Write, 2).on("journal").times(2));
    write(&other, 0, b"x");
    write(&journal, 0, b"1");
    write(&other, 0, b"y");
    assert!(is_eio(&fails(&journal, 1, b"2")) && is_eio(&fails(&journal, 1, b"2")));
    write(&journal, 1, b"3");
    assert_eq!((faulty.hits(fault), faulty.contents("journal-1").unwrap()), (2, b"13".to_vec()));
    assert_eq!(faulty.calls(Operation::Write), 6);
    let full = faulty.inject(Fault::next(Operation::Write).always().no_space());
    assert_eq!(fails(&journal, 0, b"z").kind(), ErrorKind::StorageFull);
    faulty.clear(full);
    write(&journal, 0, b"z");
}

#[test]
fn a_failed_write_leaves_a_part() {
    let faulty = Faulty::new(1);
    let file = durable(&faulty, "a", &[0; 2000]);
    faulty.inject(Fault::next(Operation::Write).effect(Effect::Partial));
    fails(&file, 0, &[1; 2000]);
    let ones = faulty.contents("a").unwrap().iter().take_while(|byte| **byte == 1).count();
    assert!(ones > 0 && ones < 2000);
    let _proof = file.sync_data().unwrap();
    assert_eq!(faulty.stable_contents("a"), faulty.contents("a"));
}

#[test]
fn a_failed_write_appears_later() {
    let faulty = Faulty::new(1);
    let file = durable(&faulty, "a", &[0; 1024]);
    faulty.inject(Fault::next(Operation::Write).effect(Effect::Later));
    fails(&file, 0, &[1; 1024]);
    assert_eq!(read(&file, 0, 1024).unwrap(), vec![0; 1024]);
    assert!(outcomes(&faulty, "a").contains(&Some(vec![1; 1024])), "after a crash");
    write(&file, 0, &[2; 512]);
    let _proof = file.sync_data().unwrap();
    assert_eq!(read(&file, 0, 1024).unwrap(), [[2; 512], [1; 512]].concat(), "after a sync, under what came later");
    assert_eq!(faulty.stable_contents("a"), faulty.contents("a"));
}

#[test]
fn after_a_failed_sync_the_next_succeeds_and_a_crash_loses_the_bytes() {
    let faulty = Faulty::new(1);
    let file = durable(&faulty, "a", &[0; 8192]);
    write(&file, 0, &[1; 8192]);
    faulty.inject(Fault::next(Operation::Sync));
    assert!(is_eio(&file.sync_data().unwrap_err()));
    let _proof = file.sync_data().unwrap();
    assert_eq!(read(&file, 0, 8192).unwrap(), vec![1; 8192]);
    assert!(outcomes(&faulty, "a").into_iter().all(|left| left.unwrap() == vec![0; 8192]));
    write(&file, 10, b"2");
    let _proof = file.sync_data().unwrap();
    let stable = faulty.stable_contents("a").unwrap();
    assert_eq!((stable[0], stable[10], stable[4095], stable[4096]), (1, b'2', 1, 0), "its page is dirty again");
}

#[test]
fn a_failed_sync_keeps_a_part_or_leaves_the_pages_dirty() {
    let faulty = Faulty::new(1);
    let file = durable(&faulty, "a", &[0; 8192]);
    write(&file, 0, &[1; 8192]);
    faulty.inject(Fault::next(Operation::Sync).effect(Effect::Later));
    assert!(file.sync_data().is_err());
    assert_eq!(faulty.stable_contents("a").unwrap(), vec![0; 8192]);
    faulty.inject(Fault::next(Operation::Sync).effect(Effect::Partial));
    assert!(file.sync_data().is_err());
    let stable = faulty.stable_contents("a").unwrap();
    assert!(stable.contains(&0) && stable.contains(&1));
    assert!(outcomes(&faulty, "a").into_iter().all(|left| left.unwrap() == stable));
    write(&file, 0, &[2; 8192]);
    faulty.inject(Fault::next(Operation::Sync).effect(Effect::Later));
    assert!(file.sync_data().is_err());
    let _proof = file.sync_data().unwrap();
    assert_eq!(faulty.stable_contents("a").unwrap(), vec![2; 8192]);
}

#[test]
fn a_full_disk_refuses_growth_only_and_can_be_made_larger() {
    let faulty = Faulty::new(1);
    let file = durable(&faulty, "a", &[0; 1000]);
    faulty.set_capacity(Some(1500));
    assert_eq!(faulty.free_bytes().unwrap(), 500);
    assert_eq!(file.set_length(1501).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(fails(&file, 900, &[1; 700]).kind(), ErrorKind::StorageFull);
    assert_eq!(faulty.contents("a").unwrap()[900..], [1; 600], "a write leaves what fits");
    assert_eq!(faulty.create(Path::new("b")).unwrap_err().kind(), ErrorKind::StorageFull);
    write(&file, 0, &[2; 1500]);
    faulty.set_capacity(Some(2000));
    file.set_length(2000).unwrap();
    faulty.remove(Path::new("a")).unwrap();
    drop(create(&faulty, "b"));
    assert!(faulty.crash().free_bytes().is_ok_and(|free| free <= 2000));
}

#[test]
fn reads_of_a_broken_range_fail_and_reads_before_it_end_there() {
    let faulty = Faulty::new(1);
    let file = durable(&faulty, "a", &[5; 1000]);
    assert!(faulty.break_reads("a", 400..500));
    assert_eq!(file.read_at(&mut [0; 1000], 0).unwrap(), 400);
    assert!(is_eio(&read(&file, 0, 1000).unwrap_err()) && is_eio(&read(&file, 499, 1).unwrap_err()));
    assert!(read(&file, 500, 500).is_ok() && read(&file, 0, 400).is_ok());
    faulty.rename(Path::new("a"), Path::new("b")).unwrap();
    faulty.sync_directory(Path::new("")).unwrap();
    let crashed = faulty.crash();
    assert!(read(&crashed.open_read(Path::new("b")).unwrap(), 450, 1).is_err());
    assert!(crashed.heal_reads("b") && read(&crashed.open(Path::new("b")).unwrap(), 450, 1).is_ok());
    assert!(read(&file, 450, 1).is_err() && !faulty.break_reads("a", 0..1), "universes are apart");
}

#[test]
fn a_flipped_bit_stays() {
    let faulty = Faulty::new(1);
    let file = durable(&faulty, "a", &[0; 10]);
    write(&file, 5, &[1; 10]);
    assert!(faulty.flip("a", 3, 0x80) && faulty.flip("a", 14, 2));
    assert!(!faulty.flip("a", 15, 1) && !faulty.flip("b", 0, 1));
    let _proof = file.sync_data().unwrap();
    assert_eq!(faulty.crash().contents("a").unwrap(), [0, 0, 0, 0x80, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3]);
}

#[test]
fn a_stalled_sync_covers_only_what_was_written_before_it() {
    let faulty = Faulty::new(1);
    let file = durable(&faulty, "a", &[0; 2]);
    write(&file, 0, b"1");
    faulty.stall_syncs(true);
    let syncing = Arc::clone(&file);
    let syncer = thread::spawn(move || syncing.sync_data().map(drop));
    assert!(faulty.wait_stalled(1, LIMIT));
    write(&file, 1, b"2");
    assert!(!faulty.wait_stalled(2, Duration::from_millis(1)));
    faulty.stall_syncs(false);
    syncer.join().unwrap().unwrap();
    assert_eq!(faulty.stable_contents("a").unwrap(), b"1\0");
}

#[test]
fn stalled_calls_end_when_the_machine_halts() {
    let faulty = Faulty::new(1);
    let file = durable(&faulty, "a", b"");
    faulty.stall_writes(true);
    let writing = Arc::clone(&file);
    let writer = thread::spawn(move || writing.write_at(b"x", 0));
    assert!(faulty.wait_stalled(1, LIMIT));
    faulty.halt();
    assert!(is_eio(&writer.join().unwrap().unwrap_err()));
    assert!(file.sync_data().is_err() && file.length().is_err() && faulty.list(Path::new("")).is_err());
    assert!(faulty.crash().list(Path::new("")).is_ok(), "the next universe runs");
}

#[test]
fn every_crash_point_can_be_visited() {
    let workload = |faulty: &Faulty| -> std::io::Result<u64> {
        let file = faulty.create(Path::new("a"))?;
        faulty.sync_directory(Path::new(""))?;
        for round in 1..=3 {
            file.write_at(&[round], 0)?;
            let _proof = file.sync_data()?;
        }
        Ok(faulty.calls(Operation::Write))
    };
    let complete = |points: u64| {
        let faulty = Faulty::new(points);
        faulty.halt_after(points);
        workload(&faulty).is_ok()
    };
    let done: Vec<bool> = (0..10).map(complete).collect();
    assert_eq!(done, [false, false, false, false, false, false, false, false, true, true]);
}
