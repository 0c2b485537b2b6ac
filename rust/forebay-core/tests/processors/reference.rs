//! What the results have to be, by brute force.

use std::collections::BTreeMap;

use crate::world::{Event, Read};

pub const WINDOW: i64 = 100;
pub const LATENESS: i64 = 20;

/// Counts by window end and user, of what is more than 1000 and not late, for the windows that end by the watermark.
pub fn counts(events: &[Event], partitions: u32) -> BTreeMap<(i64, String), u64> {
    let mut found = BTreeMap::new();
    let mut reached = i64::MAX;
    for partition in 0..partitions {
        let mut watermark = i64::MIN;
        for event in events.iter().filter(|event| event.partition == partition) {
            let end = event.millis.div_euclid(WINDOW) * WINDOW + WINDOW;
            if event.amount > 1000 && end > watermark {
                *found.entry((end, format!("u{}", event.user))).or_default() += 1;
            }
            watermark = watermark.max(event.millis - LATENESS);
        }
        reached = reached.min(watermark);
    }
    found.retain(|(end, _), _| *end <= reached);
    found
}

/// The same, as the sink has them; each result once, those of one partition in order.
pub fn given(sink: &[Read]) -> BTreeMap<(i64, String), u64> {
    let mut found = BTreeMap::new();
    let mut last: BTreeMap<u32, (i64, String)> = BTreeMap::new();
    for read in sink {
        let value: serde_json::Value = serde_json::from_str(&read.value).unwrap();
        let key = read.key.clone().unwrap();
        assert_eq!(value["key"], *key);
        let place = (read.millis + 1, key);
        if let Some(before) = last.insert(read.partition, place.clone()) {
            assert!(before < place, "{before:?}, then {place:?} in partition {}", read.partition);
        }
        let count = value["count"].as_u64().unwrap();
        assert_eq!(found.insert(place.clone(), count), None, "{place:?} is there twice");
    }
    found
}
