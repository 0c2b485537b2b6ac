//! A log with events of a test, and the answers of its searches.

use std::collections::{BTreeMap, BTreeSet};

use forebay_core::search::{
    Caller, Conditions, CountBy, ExportFormat, ExportRequest, Exported, Group, SearchBudget, SearchCancel,
    SearchOutcome, SearchRequest, StatsOutcome, StatsRequest,
};
use forebay_core::storage::faulty::Faulty;
use forebay_core::{Engine, LOGS, NewRecord, Options, Result};

use crate::common::{Random, open, wait_sealed};
use crate::event::Event;
use crate::reference::Wanted;

/// Time, partition, offset: newest first.
pub type Place = (i64, u32, u64);

pub struct World {
    pub engine: Engine,
    pub storage: Faulty,
    pub events: BTreeMap<Place, (Event, String)>,
    pub random: Random,
}

pub fn search(engine: &Engine, request: &SearchRequest) -> Result<SearchOutcome> {
    engine.search(request, Caller { token: b"test", cancel: &SearchCancel::default() })
}

pub fn stats(engine: &Engine, request: &StatsRequest) -> Result<StatsOutcome> {
    engine.search_stats(request, Caller { token: b"test", cancel: &SearchCancel::default() })
}

pub fn places(outcome: &SearchOutcome) -> Vec<Place> {
    outcome.hits.iter().map(|hit| (hit.timestamp.0, hit.partition.0, hit.offset.0)).collect()
}

pub fn query(text: &str) -> Conditions {
    Conditions { query: text.to_owned(), ..Conditions::default() }
}

impl World {
    pub fn new(seed: u64, options: &Options) -> Self {
        let storage = Faulty::new(seed);
        let engine = open(&storage, options).unwrap();
        Self { engine, storage, events: BTreeMap::new(), random: Random::new(seed) }
    }

    pub fn append(&mut self, events: Vec<Event>) {
        let values = events.iter().map(|event| event.json(&mut self.random)).collect();
        self.append_as(events, values);
    }

    /// Appends events of few shapes.
    pub fn append_regular(&mut self, count: usize) {
        let events: Vec<Event> = (0..count).map(|_| Event::regular(&mut self.random)).collect();
        for events in events.chunks(500) {
            let values = events.iter().map(|event| event.regular_json(&mut self.random)).collect();
            self.append_as(events.to_vec(), values);
        }
    }

    fn append_as(&mut self, events: Vec<Event>, values: Vec<String>) {
        let record = |value: &String| NewRecord {
            key: None,
            value: value.clone().into_bytes(),
            headers: Vec::new(),
            timestamp: None,
        };
        let appended = self.engine.append(LOGS, &values.iter().map(record).collect::<Vec<_>>(), None).unwrap();
        for ((event, value), (partition, offset)) in events.into_iter().zip(values).zip(appended.places) {
            self.events.insert((event.time, partition.0, offset.0), (event, value));
        }
    }

    pub fn append_any(&mut self, count: u64) {
        let events: Vec<Event> = (0..count).map(|_| Event::any(&mut self.random)).collect();
        // More are more than one commit takes.
        events.chunks(500).for_each(|events| self.append(events.to_vec()));
    }

    pub fn seal(&self) {
        wait_sealed(&self.engine);
    }

    /// What is to be found, newest first.
    pub fn expected(&self, wanted: &Wanted) -> Vec<Place> {
        let matching = self.events.iter().rev().filter(|(_, (event, _))| wanted.matches(event));
        matching.map(|(place, _)| *place).collect()
    }

    pub fn any_wanted(&mut self) -> Wanted {
        let events: Vec<Event> = self.events.values().map(|(event, _)| event.clone()).collect();
        Wanted::any(&mut self.random, &events)
    }

    /// Holds a search of each kind to what every event says.
    pub fn check(&self, wanted: &Wanted) {
        let all = self.expected(wanted);
        let what = format!("{:?}", wanted.conditions);
        let request = SearchRequest { conditions: wanted.conditions.clone(), limit: 100, ..SearchRequest::default() };
        let counted = search(&self.engine, &request).unwrap();
        assert_eq!(places(&counted), all.iter().take(100).copied().collect::<Vec<_>>(), "{what}");
        assert_eq!((counted.total, counted.total_is_exact), (Some(all.len() as u64), true), "{what}");
        assert!(counted.progress.is_complete() && counted.progress.scanned.lost == 0, "{what}");
        assert_eq!(counted.cursor.is_some(), all.len() > 100, "{what}");
        for hit in &counted.hits {
            let (_, value) = &self.events[&(hit.timestamp.0, hit.partition.0, hit.offset.0)];
            assert_eq!(hit.value, value.as_bytes(), "{what}");
        }
        let few = search(&self.engine, &SearchRequest { count: false, offset: 2, limit: 3, ..request }).unwrap();
        assert_eq!(places(&few), all.iter().skip(2).take(3).copied().collect::<Vec<_>>(), "{what}");
        assert_eq!((few.total, few.total_is_exact), (None, false));
        self.check_counts(wanted, &all);
        assert_eq!(
            self.export(&wanted.conditions, 2_000),
            all.iter().map(|(_, partition, offset)| (*partition, *offset)).collect()
        );
    }

    fn check_counts(&self, wanted: &Wanted, all: &[Place]) {
        for by in [CountBy::Level, CountBy::Service, CountBy::ProjectId] {
            let request = StatsRequest {
                conditions: wanted.conditions.clone(),
                by,
                interval: None,
                budget: SearchBudget::default(),
            };
            let counted = stats(&self.engine, &request).unwrap();
            let mut counts: BTreeMap<String, u64> = BTreeMap::new();
            for place in all {
                let event = &self.events[place].0;
                let value = match by {
                    CountBy::Level if event.level.eq_ignore_ascii_case("warning") => "warn".to_owned(),
                    CountBy::Level => event.level.to_lowercase(),
                    CountBy::Service => event.service.clone(),
                    _ => event.project.clone(),
                };
                *counts.entry(value).or_default() += 1;
            }
            let group = |group: &Group| match group {
                Group::Value { value, count } => (value.clone(), *count),
                Group::Interval { .. } => panic!("{group:?}"),
            };
            assert_eq!(counted.groups.iter().map(group).collect::<BTreeMap<_, _>>(), counts, "{by:?} {wanted:?}");
            assert_eq!((counted.total, counted.other), (all.len() as u64, 0));
        }
    }

    /// Partition and offset of all that an export gives, in steps of so many bytes.
    pub fn export(&self, conditions: &Conditions, max_bytes: usize) -> BTreeSet<(u32, u64)> {
        let (mut places, mut last) = (BTreeSet::new(), None);
        for exported in self.exported(conditions, max_bytes, ExportFormat::Json) {
            for line in exported.lines().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let event: serde_json::Value = serde_json::from_slice(line).unwrap();
                let number = |name: &str| event[name].as_u64().unwrap();
                let place = (u32::try_from(number("partition")).unwrap(), number("offset"));
                assert!(last < Some(place), "in the order of the log: {place:?} after {last:?}");
                last = Some(place);
                places.insert(place);
            }
        }
        places
    }

    /// What the steps of an export give, each of so many bytes.
    pub fn exported(&self, conditions: &Conditions, max_bytes: usize, format: ExportFormat) -> Vec<Exported> {
        let (conditions, budget) = (conditions.clone(), SearchBudget::default());
        let mut request = ExportRequest { conditions, position: None, max_bytes, format, budget };
        let mut all = Vec::new();
        loop {
            let caller = Caller { token: b"test", cancel: &SearchCancel::default() };
            let step = self.engine.search_export(&request, caller).unwrap();
            assert_eq!((step.expired, step.progress.scanned.lost), (0, 0));
            all.push(step.exported);
            request.position = Some(step.position);
            if step.is_done {
                return all;
            }
        }
    }
}
