//! Directories after crashes.

use super::*;

fn present(faulty: &Faulty, names: [&str; 2]) -> Vec<(bool, bool)> {
    let has = |crashed: &Faulty, name: &str| crashed.contents(name).is_some();
    (0..SEEDS).map(|seed| faulty.crash_seeded(seed)).map(|c| (has(&c, names[0]), has(&c, names[1]))).collect()
}

#[test]
fn a_synced_file_can_vanish_until_its_directory_is_synced() {
    let faulty = Faulty::new(1);
    let file = create(&faulty, "a");
    write(&file, 0, b"bytes");
    let _proof = file.sync_data().unwrap();
    assert_eq!(faulty.stable_contents("a"), None);
    let left = outcomes(&faulty, "a");
    assert!(
        left.contains(&None) && left.contains(&Some(b"bytes".to_vec())) && left.iter().flatten().all(|b| b == b"bytes")
    );
    faulty.sync_directory(Path::new("")).unwrap();
    assert!(outcomes(&faulty, "a").into_iter().all(|left| left.is_some_and(|b| b == b"bytes")));
}

#[test]
fn creations_and_removals_are_lost_on_their_own() {
    let faulty = Faulty::new(1);
    drop((create(&faulty, "a"), create(&faulty, "b")));
    let left = present(&faulty, ["a", "b"]);
    for case in [(false, false), (false, true), (true, false), (true, true)] {
        assert!(left.contains(&case), "created: {case:?}");
    }
    faulty.sync_directory(Path::new("")).unwrap();
    faulty.remove(Path::new("a")).unwrap();
    faulty.remove(Path::new("b")).unwrap();
    let left = present(&faulty, ["a", "b"]);
    for case in [(false, false), (false, true), (true, false), (true, true)] {
        assert!(left.contains(&case), "removed: {case:?}");
    }
    faulty.sync_directory(Path::new("")).unwrap();
    assert!(present(&faulty, ["a", "b"]).iter().all(|case| *case == (false, false)));
}

#[test]
fn a_renaming_is_atomic_and_replaces_its_target() {
    let faulty = Faulty::new(1);
    faulty.put("new", b"new".to_vec());
    faulty.put("name", b"old".to_vec());
    faulty.rename(Path::new("new"), Path::new("name")).unwrap();
    assert_eq!(faulty.contents("name").unwrap(), b"new");
    let mut seen = [false; 2];
    for seed in 0..SEEDS {
        let crashed = faulty.crash_seeded(seed);
        let done = crashed.contents("name").unwrap() == b"new";
        assert_eq!(crashed.contents("new").is_none(), done);
        seen[usize::from(done)] = true;
    }
    assert_eq!(seen, [true, true]);
    faulty.sync_directory(Path::new("")).unwrap();
    assert!(outcomes(&faulty, "name").into_iter().all(|left| left.unwrap() == b"new"));
}

#[test]
fn a_renamed_file_can_be_there_without_its_unsynced_bytes() {
    let faulty = Faulty::new(1);
    let file = create(&faulty, "new");
    write(&file, 0, b"bytes");
    faulty.rename(Path::new("new"), Path::new("name")).unwrap();
    faulty.sync_directory(Path::new("")).unwrap();
    let left = outcomes(&faulty, "name");
    assert!(left.iter().all(Option::is_some) && left.contains(&Some(Vec::new())));
}

#[test]
fn changes_of_one_name_keep_their_order() {
    let faulty = Faulty::new(1);
    faulty.put("a", b"first".to_vec());
    faulty.remove(Path::new("a")).unwrap();
    let file = create(&faulty, "a");
    write(&file, 0, b"second");
    let _proof = file.sync_data().unwrap();
    let left = outcomes(&faulty, "a");
    for case in [Some(b"first".to_vec()), None, Some(b"second".to_vec())] {
        assert!(left.contains(&case), "{case:?}");
    }
}

#[test]
fn syncing_one_directory_leaves_the_others_volatile() {
    let faulty = Faulty::new(1);
    faulty.create_directory(Path::new("x/y")).unwrap();
    drop((create(&faulty, "x/a"), create(&faulty, "x/y/b")));
    faulty.sync_directory(Path::new("x")).unwrap();
    let left = present(&faulty, ["x/a", "x/y/b"]);
    assert!(left.iter().all(|case| case.0) && left.contains(&(true, false)));
    assert!(faulty.crash().list(Path::new("x/y")).is_ok(), "directories are durable when made");
    faulty.rename(Path::new("x/y/b"), Path::new("x/b")).unwrap();
    faulty.sync_directory(Path::new("x")).unwrap();
    assert!(present(&faulty, ["x/b", "x/y/b"]).iter().all(|case| *case == (true, false)));
}

#[test]
fn a_name_used_again_never_costs_the_file_that_was_renamed_away() {
    let faulty = Faulty::new(1);
    faulty.put("a", b"old".to_vec());
    faulty.rename(Path::new("a"), Path::new("b")).unwrap();
    drop(create(&faulty, "a"));
    for seed in 0..SEEDS {
        let crashed = faulty.crash_seeded(seed);
        let old = ["a", "b"].map(|name| crashed.contents(name) == Some(b"old".to_vec()));
        assert!(old == [true, false] || old == [false, true], "seed {seed}: {:?}", crashed.files());
    }
}
