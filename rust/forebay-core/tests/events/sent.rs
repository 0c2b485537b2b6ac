//! Any events, sent as a batch: what is stored re-parses to what was sent, and the bad ones are named by their places.

use forebay_core::Options;
use forebay_core::storage::faulty::Faulty;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::common::{open, small};
use crate::{batch, records};

fn free_form() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,6}", inner, 0..4).prop_map(|map| map.into_iter().collect())
        ]
    })
}

/// An event, its fields in any order, with what may be left out or `null`.
fn any_event() -> impl Strategy<Value = Vec<(String, Value)>> {
    let data = prop::collection::btree_map("\\PC{0,6}", free_form(), 0..4);
    let optional =
        |present: BoxedStrategy<Value>| prop_oneof![Just(None), Just(Some(Value::Null)), present.prop_map(Some)];
    let id = "\\PC{1,30}".prop_map(Value::from).boxed();
    let time = (-62_135_596_800_000_i64..=253_402_300_799_999).prop_map(Value::from).boxed();
    let extra = prop::collection::btree_map("x\\PC{0,6}", free_form(), 0..3);
    ("\\PC{1,20}", "\\PC{1,20}", data, optional(id), optional(time), extra).prop_flat_map(
        |(kind, source, data, id, time, extra)| {
            let mut fields: Vec<(String, Value)> = extra.into_iter().collect();
            fields.push(("type".into(), kind.into()));
            fields.push(("source".into(), source.into()));
            fields.push(("data".into(), data.into_iter().collect()));
            fields.extend(id.map(|id| ("id".to_owned(), id)));
            fields.extend(time.map(|time| ("timestamp".to_owned(), time)));
            Just(fields).prop_shuffle()
        },
    )
}

fn text_of(fields: &[(String, Value)], blank: &str) -> String {
    let member = |(name, value): &(String, Value)| format!("{}{blank}:{blank}{value}", json!(name));
    let members: Vec<_> = fields.iter().map(member).collect();
    format!("{{{blank}{}{blank}}}", members.join(&format!("{blank},{blank}")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn what_is_stored_is_what_was_sent_with_id_and_time(
        events in prop::collection::vec((any_event(), prop::bool::weighted(0.2)), 1..12),
        blank in prop_oneof![Just(""), Just(" "), Just("\n\t")],
    ) {
        let engine = open(&Faulty::new(10), &Options { events_partitions: 1, ..small() }).unwrap();
        let texts: Vec<String> = events
            .iter()
            .map(|(fields, spoilt)| {
                let kept: Vec<_> = fields.iter().filter(|(name, _)| !spoilt || name != "data").cloned().collect();
                text_of(&kept, blank)
            })
            .collect();
        let (status, answer) = batch(&engine, &format!("[{}]", texts.join(","))).unwrap();
        let bad: Vec<usize> = (0..events.len()).filter(|index| events[*index].1).collect();
        let named: Vec<usize> =
            answer["errors"].as_array().unwrap().iter().map(|one| one["index"].as_u64().unwrap() as usize).collect();
        prop_assert_eq!(&named, &bad);
        prop_assert_eq!(status, if bad.len() < events.len() { 200 } else { 400 });
        let stored = records(&engine);
        let good: Vec<_> = events.iter().filter(|(_, spoilt)| !spoilt).map(|(fields, _)| fields).collect();
        prop_assert_eq!(stored.len(), good.len());
        for ((time, key, value), fields) in stored.iter().zip(good) {
            let mut sent: serde_json::Map<String, Value> = fields.iter().cloned().collect();
            let stored: serde_json::Map<String, Value> = serde_json::from_str(value).unwrap();
            for name in ["id", "timestamp"] {
                if sent.get(name).is_none_or(Value::is_null) {
                    sent.insert(name.to_owned(), stored[name].clone());
                }
            }
            prop_assert!(stored["id"].as_str().is_some_and(|id| !id.is_empty()));
            prop_assert_eq!(time.0, stored["timestamp"].as_i64().unwrap() * 1000);
            prop_assert_eq!(Some(key.as_str()), stored["source"].as_str());
            prop_assert_eq!(stored, sent);
        }
    }
}
