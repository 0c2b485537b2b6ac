//! Bytes that are not what was written.

use super::World;
use crate::history::point::POINT_BYTES;

const FINE: &str = "history/fine-00000000000000000000.points";

#[test]
fn every_single_flipped_byte_takes_its_own_point_and_no_other() {
    let mut world = World::new();
    world.run(4, 1);
    let whole = world.ages(1).0;
    for byte in 0..4 * POINT_BYTES {
        for mask in [0x01, 0x80, 0xff] {
            assert!(world.storage.flip(FINE, byte as u64, mask));
            let mut left = whole.clone();
            left.remove(byte / POINT_BYTES);
            assert_eq!(world.restarted().ages(1), (left, 1), "byte {byte}, mask {mask:#x}");
            world.storage.flip(FINE, byte as u64, mask);
        }
    }
    assert_eq!(world.ages(1), (whole, 0));
}

#[test]
fn a_file_of_any_length_and_of_garbage_stops_nothing() {
    let mut world = World::new();
    world.run(3, 1);
    let whole = world.storage.contents(FINE).unwrap();
    for length in 0..whole.len() {
        world.storage.put(FINE, &whole[..length]);
        let mut torn = world.restarted();
        let points = length / POINT_BYTES;
        let damaged = u64::from(!length.is_multiple_of(POINT_BYTES));
        assert_eq!((torn.ages(1).0.len(), torn.ages(1).1), (points, damaged), "{length} bytes");
        // The next point has a place behind the torn one, which is whole again when it lacked nothing but zeros.
        torn.run(1, 1);
        let lacking = &whole[length..length.next_multiple_of(POINT_BYTES)];
        let healed = damaged > 0 && lacking.iter().all(|byte| *byte == 0);
        let (points, damaged) = if healed { (points + 2, 0) } else { (points + 1, damaged) };
        assert_eq!((torn.ages(1).0.len(), torn.ages(1).1), (points, damaged), "{length} bytes");
    }
    world.storage.put(FINE, vec![0xa5; 1_000_000]);
    assert_eq!(world.restarted().ages(1), (vec![], 360));
}

#[test]
fn a_point_in_another_ones_place_is_not_taken_for_it() {
    let mut world = World::new();
    world.run(2, 1);
    let bytes = world.storage.contents(FINE).unwrap();
    world.storage.put(FINE, [&bytes[POINT_BYTES..], &bytes[..POINT_BYTES]].concat());
    assert_eq!(world.restarted().ages(1), (vec![], 2));
}

#[test]
fn a_place_that_cannot_be_read_takes_its_own_point_and_no_other() {
    let mut world = World::new();
    world.run(5, 1);
    let position = POINT_BYTES as u64;
    assert!(world.storage.break_reads(FINE, position + 10..position + 20));
    assert_eq!(world.ages(1), (vec![40, 20, 10, 0], 1));
}

#[test]
fn files_of_other_names_are_left_alone() {
    let mut world = World::new();
    for name in ["fine-1.points", "fine-99999999999999999999.points", "fine-x.points", "notes", "fine-"] {
        world.storage.put(format!("history/{name}"), *b"mine");
    }
    let mut world = {
        world.run(1, 1);
        world.restarted()
    };
    world.run(1, 1);
    assert_eq!(world.ages(1), (vec![10, 0], 0));
    world.history.reset().unwrap();
    assert_eq!(world.files().len(), 5);
}
