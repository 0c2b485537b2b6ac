//! A file's bytes after crashes.

use super::*;

#[test]
fn what_was_synced_survives_every_crash() {
    let faulty = Faulty::new(1);
    let file = durable(&faulty, "a", b"");
    let bytes: Vec<u8> = (0..5000u32).map(|i| i as u8).collect();
    write(&file, 0, &bytes);
    write(&file, 100, b"again");
    let _proof = file.sync_data().unwrap();
    write(&file, 5000, &[7; 3000]);
    let mut expected = bytes;
    expected[100..105].copy_from_slice(b"again");
    for (seed, left) in outcomes(&faulty, "a").into_iter().enumerate() {
        assert_eq!(left.unwrap()[..5000], expected[..], "seed {seed}");
    }
}

#[test]
fn what_was_not_synced_is_kept_lost_and_torn_in_some_crashes() {
    let faulty = Faulty::new(1);
    let file = durable(&faulty, "a", &[0; 4096]);
    write(&file, 0, &[1; 4096]);
    let left: Vec<Vec<u8>> = outcomes(&faulty, "a").into_iter().flatten().collect();
    assert!(left.contains(&vec![0; 4096]) && left.contains(&vec![1; 4096]));
    let whole = |sector: &[u8]| sector.iter().all(|byte| *byte == sector[0]);
    let by_sector = |bytes: &&Vec<u8>| bytes.chunks(512).all(whole) && !whole(bytes);
    assert!(left.iter().any(|bytes| by_sector(&bytes)), "torn between sectors");
    assert!(left.iter().flat_map(|b| b.chunks(512)).any(|s| s[0] == 1 && s[511] == 0), "torn inside of a sector");
    assert!(left.iter().flatten().any(|byte| *byte > 1), "garbage");
    faulty.set_garbling(false);
    assert!(outcomes(&faulty, "a").into_iter().flatten().flatten().all(|byte| byte <= 1));
}

#[test]
fn a_later_write_can_be_kept_while_an_earlier_one_is_lost_unless_they_share_a_sector() {
    let faulty = Faulty::new(1);
    faulty.set_garbling(false);
    let file = durable(&faulty, "a", &[0; 1024]);
    write(&file, 0, &[1; 100]);
    write(&file, 200, &[2; 100]);
    write(&file, 512, &[3; 100]);
    let left: Vec<Vec<u8>> = outcomes(&faulty, "a").into_iter().flatten().collect();
    assert!(left.iter().any(|b| b[0] == 0 && b[200] == 0 && b[512] == 3), "the last one alone");
    assert!(left.iter().all(|b| b[200] == 0 || b[0..100] == [1; 100]), "one sector, in order");
}

#[test]
fn bytes_beside_an_unsynced_write_are_never_damaged() {
    let faulty = Faulty::new(1);
    let file = durable(&faulty, "a", &[9; 1500]);
    write(&file, 300, &[1; 700]);
    for left in outcomes(&faulty, "a").into_iter().flatten() {
        assert!(left[..300].iter().chain(&left[1000..]).all(|byte| *byte == 9));
    }
}

#[test]
fn an_unsynced_length_is_any_of_the_past_ones_and_zeros_fill_what_was_lost() {
    let faulty = Faulty::new(1);
    faulty.set_garbling(false);
    let file = durable(&faulty, "a", &[9; 100]);
    write(&file, 100, &[1; 900]);
    file.set_length(4000).unwrap();
    let left: Vec<Vec<u8>> = outcomes(&faulty, "a").into_iter().flatten().collect();
    for length in [100, 1000, 4000] {
        assert!(left.iter().any(|b| b.len() == length), "length {length}");
    }
    assert!(left.iter().all(|b| [100, 1000, 4000].contains(&b.len()) && b[..100] == [9; 100]));
    assert!(left.iter().any(|b| b.len() == 4000 && b[100..] == vec![0; 3900]));
    let _proof = file.sync_data().unwrap();
    assert!(outcomes(&faulty, "a").into_iter().flatten().all(|b| b.len() == 4000 && b[999] == 1));
}

#[test]
fn a_lost_cut_brings_back_the_old_bytes_but_not_what_was_written_behind_it() {
    let faulty = Faulty::new(1);
    faulty.set_garbling(false);
    let file = durable(&faulty, "a", &[9; 1024]);
    file.set_length(0).unwrap();
    write(&file, 0, &[1; 512]);
    let left: Vec<Vec<u8>> = outcomes(&faulty, "a").into_iter().flatten().collect();
    assert!(left.iter().any(|b| b.len() == 1024) && left.iter().any(|b| b.is_empty()));
    assert!(left.iter().all(|b| b.len() != 1024 || *b == vec![9; 1024]));
    assert!(left.iter().all(|b| b.len() != 512 || !b.contains(&9)), "the cut bytes are gone");
}

#[test]
fn the_death_of_the_process_keeps_all_that_was_written_but_does_not_sync_it() {
    let faulty = Faulty::new(1);
    let file = durable(&faulty, "a", &[0; 512]);
    write(&file, 0, &[1; 512]);
    let lock = faulty.lock().unwrap().unwrap();
    let after = faulty.kill();
    drop(lock);
    assert_eq!(after.contents("a").unwrap(), vec![1; 512]);
    assert!(after.lock().unwrap().is_some());
    assert_eq!(after.stable_contents("a").unwrap(), vec![0; 512]);
    assert!(outcomes(&after, "a").contains(&Some(vec![0; 512])));
}

#[test]
fn the_same_seed_leaves_the_same_and_the_original_goes_on() {
    let faulty = Faulty::new(1);
    let file = durable(&faulty, "a", &[0; 4096]);
    write(&file, 0, &[1; 4096]);
    assert_eq!(outcomes(&faulty, "a"), outcomes(&faulty, "a"));
    let left = faulty.crash();
    write(&file, 0, &[2; 4096]);
    assert!(!left.contents("a").unwrap().contains(&2) && faulty.contents("a").unwrap() == vec![2; 4096]);
    assert_eq!(left.contents("a"), left.stable_contents("a"), "after a crash all is stable");
    let drawn: Vec<_> = (0..SEEDS).map(|_| faulty.crash().contents("a")).collect();
    assert!(drawn.iter().any(|other| *other != drawn[0]), "each crash draws its own seed");
}
