//! Searching blocks of columns finds what a look at every event does.

use forebay_core::search::{Comparison, Conditions, MetadataCondition, SearchRequest};
use forebay_core::{LOGS, Options};

use crate::common::{sealing_soon, until};
use crate::reference::{Term, Wanted};
use crate::world::{World, query, search};

/// A log whose events are in blocks of columns.
fn world(seed: u64, events: usize) -> World {
    let mut world = World::new(seed, &Options { logs_partitions: 1, ..sealing_soon() });
    world.append_regular(events);
    world.seal();
    let request = SearchRequest { conditions: query("nobody-wrote-this"), ..SearchRequest::default() };
    let scanned = search(&world.engine, &request).unwrap().progress.scanned;
    let written: usize = world.events.values().map(|(_, value)| value.len()).sum();
    assert!(scanned.records as usize == events && scanned.bytes as usize * 2 < written, "{scanned:?} of {written}");
    world
}

fn term(term: Term) -> Wanted {
    Wanted::new(vec![(false, term)], Conditions::default())
}

#[test]
fn any_search_finds_what_it_says() {
    for seed in 40..43 {
        let mut world = world(seed, 1200);
        for _ in 0..80 {
            let wanted = world.any_wanted();
            world.check(&wanted);
        }
    }
}

#[test]
fn numbers_ids_and_phrases_with_them_are_found() {
    let world = world(44, 1500);
    let mut terms = Vec::new();
    for (event, _) in world.events.values().take(24) {
        let words = event.message.split_whitespace().map(str::to_owned);
        terms.extend(words.clone().map(Term::Word));
        terms.extend(words.clone().filter(|word| word.len() > 2).map(|word| {
            let end = word.char_indices().nth(2).map_or(word.len(), |(at, _)| at);
            Term::Prefix(word[..end].trim_matches(|letter: char| !letter.is_alphanumeric()).to_owned())
        }));
        let all: Vec<String> = words.collect();
        terms.extend(all.windows(2).map(|pair| Term::Phrase(pair.join(" "))));
        terms.extend(all.windows(3).map(|words| Term::Phrase(words.join(" "))));
        if !event.message.is_empty() {
            terms.push(Term::Phrase(event.message.clone()));
        }
    }
    let more = ["10.42.7.7", "10.42.7", "42.7.7", "req_0", "007", "0", "-7", "7", "dead", "beef", "ms", "5ms"];
    terms.extend(more.map(|word| Term::Word(word.to_owned())));
    terms.push(Term::Phrase("dead beef".to_owned()));
    let regexes =
        [r"10\.42\.\d+\.1\b", "^conn", "[a-f]{4}", r"\d{4} of", "ETIM?", "timeo", r"took 1\d\.", "refused$", "7.0"];
    terms.extend(regexes.map(Term::Regex));
    terms.retain(|term| match term {
        Term::Word(word) | Term::Prefix(word) => {
            word.chars().any(char::is_alphanumeric) && !word.starts_with(['"', '/', '-'])
        }
        Term::Phrase(_) | Term::Regex(_) => true,
    });
    for (index, wanted) in terms.into_iter().enumerate() {
        if index % 3 == 0 {
            world.check(&Wanted::new(vec![(true, wanted.clone())], Conditions::default()));
        }
        world.check(&term(wanted));
    }
}

#[test]
fn conditions_on_the_metadata_hold_of_columns() {
    let world = world(45, 1200);
    for path in ["status", "user_id", "ns.status", "ns.user_id", "ü", "tags", "ns", "request_id"] {
        for value in ["0", "7", "42", "-7", "500", "42.0", "1000"] {
            for is in [Comparison::Equal, Comparison::Above, Comparison::AtMost] {
                let condition = MetadataCondition { path: path.to_owned(), is, value: value.to_owned() };
                let conditions = Conditions { metadata: vec![condition], ..Conditions::default() };
                world.check(&Wanted::new(Vec::new(), conditions));
            }
        }
    }
    for value in ["true", "false", "null", "a", "retry", ""] {
        if !value.is_empty() {
            let (is, value) = (Comparison::Equal, value.to_owned());
            let metadata = vec![MetadataCondition { path: "user_id".to_owned(), is, value }];
            world.check(&Wanted::new(Vec::new(), Conditions { metadata, ..Conditions::default() }));
        }
    }
    let id = world.events.values().find_map(|(event, _)| match event.metadata.as_deref() {
        Some([(name, crate::event::Value::Text(id)), ..]) if name == "request_id" => Some(id.clone()),
        _ => None,
    });
    world.check(&Wanted::new(Vec::new(), Conditions { request_id: id, ..Conditions::default() }));
}

/// Small parts are rows; merged they are columns, and stay what they are when they are merged again.
#[test]
fn rows_become_columns_when_they_are_merged() {
    let mut world = World::new(46, &Options { logs_partitions: 1, ..sealing_soon() });
    for _ in 0..9 {
        world.append_regular(100);
        world.seal();
    }
    until("merging", || world.engine.counters().segments_merged.get() > 0);
    for _ in 0..30 {
        let wanted = world.any_wanted();
        world.check(&wanted);
    }
    let sealed = world.engine.stream_report(LOGS).unwrap();
    assert!(sealed.stored_bytes < sealed.raw_bytes / 3, "{} of {}", sealed.stored_bytes, sealed.raw_bytes);
}

#[test]
fn a_search_of_columns_ends_when_it_is_told_to() {
    let world = world(47, 2000);
    let cancel = forebay_core::search::SearchCancel::default();
    cancel.cancel();
    let request = SearchRequest { conditions: query("/[a-z]+ .*x/"), ..SearchRequest::default() };
    let caller = forebay_core::search::Caller { token: b"test", cancel: &cancel };
    let outcome = world.engine.search(&request, caller).unwrap();
    assert!(!outcome.progress.is_complete() && !outcome.total_is_exact);
}
