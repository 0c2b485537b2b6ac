//! Pages: none skips a hit or gives one twice.

use forebay_core::search::{Conditions, CountBy, Group, MAX_BUCKETS, SearchBudget, SearchRequest, StatsRequest};

use crate::common::sealing_soon;
use crate::event::Event;
use crate::reference::{Term, Wanted};
use crate::world::{Place, World, places, search, stats};

fn word(text: &str) -> Wanted {
    Wanted::new(vec![(false, Term::Word(text.to_owned()))], Conditions::default())
}

/// All pages by cursor, with something done between two of them.
fn by_cursor(world: &mut World, request: &SearchRequest, mut between: impl FnMut(&mut World)) -> Vec<Place> {
    let (mut all, mut request) = (Vec::new(), request.clone());
    loop {
        let page = search(&world.engine, &request).unwrap();
        all.extend(places(&page));
        let Some(cursor) = page.cursor else { return all };
        assert_eq!(page.hits.len(), request.limit);
        request.cursor = Some(cursor);
        between(world);
    }
}

#[test]
fn pages_by_offset_and_by_cursor_are_one_list() {
    let mut world = World::new(11, &sealing_soon());
    world.append_any(200);
    world.seal();
    world.append_any(100);
    let wanted = word("timeout");
    let all = world.expected(&wanted);
    assert!(all.len() > 50, "{}", all.len());
    for count in [true, false] {
        for limit in [1, 7, 100] {
            let request =
                SearchRequest { conditions: wanted.conditions.clone(), limit, count, ..SearchRequest::default() };
            assert_eq!(by_cursor(&mut world, &request, |_| {}), all, "limit {limit}");
            let mut by_offset = Vec::new();
            for offset in (0..all.len() + limit).step_by(limit) {
                let page = search(&world.engine, &SearchRequest { offset, ..request.clone() }).unwrap();
                by_offset.extend(places(&page));
                assert_eq!(page.cursor.is_some(), offset + limit < all.len(), "offset {offset}");
            }
            assert_eq!(by_offset, all, "limit {limit}");
        }
    }
}

#[test]
fn newer_events_shift_no_cursor_and_sealing_loses_none() {
    let mut world = World::new(12, &sealing_soon());
    world.append_any(150);
    let wanted = word("timeout");
    let all = world.expected(&wanted);
    let request = SearchRequest { conditions: wanted.conditions.clone(), limit: 5, ..SearchRequest::default() };
    let mut rounds = 0;
    let found = by_cursor(&mut world, &request, |world| {
        let newer = |mut event: Event| {
            event.time += 60_000_000;
            event
        };
        let events = (0..10).map(|_| newer(Event::any(&mut world.random))).collect();
        world.append(events);
        rounds += 1;
        if rounds == 3 {
            world.seal();
        }
    });
    assert_eq!(found, all);
    // Its total is that of all pages.
    let now = search(&world.engine, &request).unwrap();
    let later = search(&world.engine, &SearchRequest { cursor: now.cursor.clone(), ..request }).unwrap();
    assert_eq!((now.total, later.total), (Some(world.expected(&wanted).len() as u64), now.total));
}

#[test]
fn the_answer_is_json_with_the_events_as_consumers_get_them() {
    let mut world = World::new(13, &sealing_soon());
    world.append_any(3);
    let answer = search(&world.engine, &SearchRequest { limit: 2, ..SearchRequest::default() }).unwrap().to_json();
    let json: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    let hits = json["hits"].as_array().unwrap();
    assert_eq!((hits.len(), &json["total"], &json["totalIsExact"]), (2, &3.into(), &true.into()));
    assert_eq!((&json["complete"], &json["stoppedBy"], &json["recordsLost"]), (&true.into(), &().into(), &0.into()));
    assert_eq!(json["scanned"]["records"], 3);
    assert!(json["cursor"].is_string() && json["scanned"]["seconds"].is_f64());
    let (place, (_, value)) = world.events.last_key_value().unwrap();
    let text = String::from_utf8(answer).unwrap();
    assert!(text.contains(&format!("\"value\":{value}}}")), "{text}");
    assert_eq!((&hits[0]["partition"], &hits[0]["offset"]), (&place.1.into(), &place.2.into()));
    assert!(hits[0]["eventId"].as_str().unwrap().ends_with(&format!("_{}_{}", place.1, place.2)), "{text}");
}

#[test]
fn events_are_counted_by_the_interval() {
    let mut world = World::new(14, &sealing_soon());
    world.append_any(200);
    let (start, interval) = (1_700_000_000_000_000, 1_000_000);
    let conditions =
        Conditions { start_time: Some(start), end_time: Some(start + 20 * interval), ..Conditions::default() };
    let request =
        StatsRequest { conditions, by: CountBy::Time, interval: Some(interval), budget: SearchBudget::default() };
    let counted = stats(&world.engine, &request).unwrap();
    let mut wanted = std::collections::BTreeMap::new();
    for (time, ..) in world.events.keys() {
        *wanted.entry(time - time % interval).or_insert(0_u64) += 1;
    }
    let group = |group: &Group| match group {
        Group::Interval { start, count } => (*start, *count),
        Group::Value { .. } => panic!("{group:?}"),
    };
    assert_eq!(counted.groups.iter().map(group).collect::<Vec<_>>(), wanted.into_iter().collect::<Vec<_>>());
    let json: serde_json::Value = serde_json::from_slice(&counted.to_json()).unwrap();
    assert_eq!((&json["total"], &json["complete"]), (&200.into(), &true.into()));
    assert!(json["groups"][0]["start"].is_i64() && json["groups"][0]["count"].is_u64());
    let refused = |request: StatsRequest| stats(&world.engine, &request).unwrap_err().detail().to_owned();
    assert!(refused(StatsRequest { interval: Some(0), ..request.clone() }).starts_with("interval: must be given"));
    assert!(refused(StatsRequest { conditions: Conditions::default(), ..request.clone() }).contains("end_time"));
    let many = Conditions { end_time: Some(start + MAX_BUCKETS * interval), ..request.conditions.clone() };
    assert!(refused(StatsRequest { conditions: many, ..request.clone() }).contains("more than 1000"));
    let enough = Conditions { end_time: Some(start + MAX_BUCKETS * interval - 1), ..request.conditions.clone() };
    assert!(stats(&world.engine, &StatsRequest { conditions: enough, ..request }).is_ok());
}
