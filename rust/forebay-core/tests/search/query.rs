//! Any query over any events, wherever these are stored.

use crate::common::{model_seeds, sealing_soon, small};
use crate::event::Event;
use crate::reference::{Term, Wanted};
use crate::world::{World, query, search};
use forebay_core::Options;
use forebay_core::search::{Conditions, SearchRequest};

#[test]
fn a_search_finds_what_a_look_at_every_event_finds() {
    for seed in model_seeds(6) {
        let mut world = World::new(seed, &Options { logs_partitions: 3, ..sealing_soon() });
        for events in [120, 1, 80] {
            world.append_any(events);
            world.seal();
        }
        world.append_any(60);
        world.check(&Wanted::new(Vec::new(), Conditions::default()));
        for _ in 0..60 {
            let wanted = world.any_wanted();
            world.check(&wanted);
        }
    }
}

/// Words that few blocks have, and few records of a block.
#[test]
fn blocks_that_are_left_out_by_their_bytes_have_nothing_to_find() {
    for seed in model_seeds(2) {
        let mut world = World::new(seed, &Options { logs_partitions: 1, ..sealing_soon() });
        let mut events: Vec<Event> = (0..4_000).map(|_| Event::any(&mut world.random)).collect();
        for (index, event) in events.iter_mut().enumerate() {
            if index % 1_300 == 7 {
                event.message = ["a Rare\u{1f4a5}one", "RARE", "rare \u{212a}elvin"][index / 1_300 % 3].to_owned();
            }
        }
        events.chunks(500).for_each(|events| world.append(events.to_vec()));
        world.seal();
        for term in ["rare", "kelvin", "absent"] {
            let wanted = Wanted::new(vec![(false, Term::Word(term.to_owned()))], Conditions::default());
            world.check(&wanted);
            assert_eq!(world.expected(&wanted).is_empty(), term == "absent");
        }
        for _ in 0..8 {
            let wanted = world.any_wanted();
            world.check(&wanted);
        }
    }
}

#[test]
fn what_is_in_memory_alone_is_found_likewise() {
    for seed in model_seeds(6) {
        let mut world = World::new(seed, &small());
        for _ in 0..20 {
            world.append_any(10);
        }
        for _ in 0..60 {
            let wanted = world.any_wanted();
            world.check(&wanted);
        }
    }
}

#[test]
fn letters_match_in_any_case_however_they_are_written() {
    let mut world = World::new(5, &sealing_soon());
    world.append_any(400);
    for sealed in [false, true] {
        if sealed {
            world.seal();
        }
        for word in [
            "DISK",
            "timeout",
            "ошибка",
            "σίσυφος",
            "GRÖẞE",
            "größe",
            "10.42.17.99",
            "17",
            "db-pool",
            "db",
            "1e3",
            "500",
        ] {
            let wanted = Wanted::new(vec![(false, Term::Word(word.to_owned()))], Conditions::default());
            world.check(&wanted);
            assert!(word == "GRÖẞE" || !world.expected(&wanted).is_empty(), "{word}");
        }
        let excluded = Wanted::new(vec![(true, Term::Word("timeout".to_owned()))], Conditions::default());
        world.check(&excluded);
    }
}

/// A million steps for each character of each text, if one tried them one by one.
#[test]
fn a_hostile_expression_takes_no_longer_than_others() {
    let mut world = World::new(6, &sealing_soon());
    world.append_any(300);
    for hostile in ["/(a+)+$b/", "/(a|aa)+c/", "/(.*)*x(.*)*y(.*)*z(.*)*!/", "/(x?){64}x{64}/"] {
        let request = SearchRequest { conditions: query(hostile), ..SearchRequest::default() };
        let outcome = search(&world.engine, &request).unwrap();
        assert!(outcome.progress.is_complete(), "{hostile}: {:?}", outcome.progress);
    }
}
