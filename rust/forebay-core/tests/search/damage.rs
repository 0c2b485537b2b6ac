//! Damaged blocks are counted and left out; what cannot be read now is an error.

use forebay_core::search::Caller;
use forebay_core::search::{Conditions, ExportFormat, ExportRequest, SearchBudget, SearchCancel, SearchRequest};
use forebay_core::storage::faulty::{Fault, Operation};
use forebay_core::{ErrorKind, Options};

use crate::common::sealing_soon;
use crate::world::{World, search};

/// The place of a byte in the first block of a segment.
const IN_FIRST_BLOCK: u64 = 32 + 64 + 100;

fn sealed(seed: u64) -> (World, std::path::PathBuf) {
    let mut world = World::new(seed, &Options { logs_partitions: 1, ..sealing_soon() });
    world.append_any(100);
    world.seal();
    let mut paths = world.storage.files().into_iter().map(|(path, _)| path);
    let segment = paths.find(|path| path.to_string_lossy().ends_with(".segment")).unwrap();
    (world, segment)
}

#[test]
fn a_damaged_block_is_counted_and_the_rest_is_found() {
    let (mut world, segment) = sealed(31);
    world.append_any(50);
    world.seal();
    assert!(world.storage.flip(&segment, IN_FIRST_BLOCK, 1));
    let request = SearchRequest { limit: 100, ..SearchRequest::default() };
    let outcome = search(&world.engine, &request).unwrap();
    assert_eq!((outcome.total, outcome.progress.scanned.lost), (Some(50), 100));
    assert!(outcome.progress.is_complete() && outcome.hits.iter().all(|hit| hit.offset.0 >= 100));
    assert!(!world.engine.report().damages.is_empty());
    let (conditions, budget) = (Conditions::default(), SearchBudget::default());
    let export = ExportRequest { conditions, position: None, max_bytes: 1 << 20, format: ExportFormat::Json, budget };
    let step = world.engine.search_export(&export, Caller { token: b"t", cancel: &SearchCancel::default() }).unwrap();
    assert_eq!((step.progress.scanned.matched, step.progress.scanned.lost, step.is_done), (50, 100, true));
}

#[test]
fn what_cannot_be_read_now_is_an_error_and_found_later() {
    let (world, _) = sealed(32);
    for nth in 1..6 {
        let fault = world.storage.inject(Fault::nth(Operation::Read, nth).on("segments/").always());
        match search(&world.engine, &SearchRequest::default()) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::StorageUnavailable, "{error}"),
            // Later than all that is read.
            Ok(outcome) => assert_eq!(outcome.total, Some(100)),
        }
        world.storage.clear(fault);
        assert_eq!(search(&world.engine, &SearchRequest::default()).unwrap().total, Some(100));
    }
    assert_eq!(world.engine.report().damages, []);
}
