//! Exports in every format: what they tell of an event is what the event says.

use std::collections::BTreeMap;

use forebay_core::Timestamp;
use forebay_core::search::{COLUMN_NAMES, CSV_HEAD, Columns, Conditions, ExportFormat, Exported, TextColumn};
use forebay_core::time::format_micros;

use crate::common::sealing_soon;
use crate::event::{Event, Value};
use crate::world::World;

/// What a spreadsheet would take for the beginning of a formula.
const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

fn world(seed: u64) -> World {
    let mut world = World::new(seed, &sealing_soon());
    world.append_any(300);
    world.seal();
    world.append_any(100);
    world
}

/// The events by their ids but for the stream's: `<partition>_<offset>`.
fn by_id(world: &World) -> BTreeMap<String, &Event> {
    let named =
        world.events.iter().map(|((_, partition, offset), (event, _))| (format!("{partition}_{offset}"), event));
    named.collect()
}

fn id_of(event_id: &str) -> String {
    event_id.splitn(3, '_').nth(2).unwrap().to_owned()
}

fn lines(world: &World, format: ExportFormat) -> String {
    let steps = world.exported(&Conditions::default(), 2_000, format);
    assert!(steps.len() > 10, "it takes steps");
    String::from_utf8(steps.iter().flat_map(|step| step.lines().to_vec()).collect()).unwrap()
}

/// The text of a value of the metadata, as searches compare it.
fn text(event: &Event, name: &str) -> Option<String> {
    let (_, value) = event.metadata.as_ref()?.iter().rfind(|(of, _)| of == name)?;
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Plain(word) => (word != "null").then(|| word.clone()),
        Value::Nested(_) | Value::List(_) => None,
    }
}

/// The fields of CSV (RFC 4180), and whether each was quoted.
fn parsed(csv: &str) -> Vec<Vec<(String, bool)>> {
    let (mut rows, mut row, mut letters) = (Vec::new(), Vec::new(), csv.chars().peekable());
    while letters.peek().is_some() {
        let (mut field, is_quoted) = (String::new(), letters.next_if_eq(&'"').is_some());
        let mut is_open = is_quoted;
        while is_open {
            match letters.next().expect("a quoted field ends") {
                '"' if letters.next_if_eq(&'"').is_none() => is_open = false,
                letter => field.push(letter),
            }
        }
        while let Some(letter) = letters.next_if(|letter| !matches!(letter, ',' | '\r')) {
            assert!(!is_quoted && letter != '"' && letter != '\n', "{letter:?} stands outside of quotation marks");
            field.push(letter);
        }
        row.push((field, is_quoted));
        if letters.next() == Some('\r') {
            assert_eq!(letters.next(), Some('\n'));
            rows.push(std::mem::take(&mut row));
        }
    }
    assert!(row.is_empty());
    rows
}

#[test]
fn csv_has_a_row_for_each_event_and_no_formula() {
    let world = world(71);
    let events = by_id(&world);
    let rows = parsed(&(CSV_HEAD.to_owned() + &lines(&world, ExportFormat::Csv)));
    assert_eq!(rows.len(), events.len() + 1);
    let names: Vec<&str> = rows[0].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.join(","), CSV_HEAD.trim_end());
    let mut defused = 0;
    for row in &rows[1..] {
        let event = events[&id_of(&row[7].0)];
        let expected = [
            Some(format_micros(Timestamp(event.time))),
            Some(event.level.clone()),
            Some(event.service.clone()),
            Some(event.project.clone()),
            Some(event.message.clone()),
            text(event, "request_id"),
            text(event, "user_id"),
        ];
        for ((field, is_quoted), expected) in row.iter().zip(&expected) {
            assert!(!field.starts_with(FORMULA), "{field:?}");
            let is_formula = expected.as_ref().is_some_and(|text| text.starts_with(FORMULA));
            let field = if is_formula { field.strip_prefix('\'').unwrap() } else { field };
            defused += usize::from(is_formula);
            // An empty text is in quotation marks, and what is not there is not.
            assert_eq!((!field.is_empty() || *is_quoted).then(|| field.to_owned()), *expected);
        }
        check_metadata(event, (!row[8].0.is_empty()).then_some(&row[8].0));
    }
    assert!(defused > 5, "the events have no formulas, so that this tries nothing");
}

fn check_metadata(event: &Event, json: Option<&str>) {
    assert_eq!(event.metadata.is_some(), json.is_some());
    let (Some(members), Some(json)) = (&event.metadata, json) else { return };
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).unwrap();
    assert!(members.iter().all(|(name, _)| object.contains_key(name)), "{json}");
}

#[test]
fn txt_has_a_line_for_each_event() {
    let world = world(72);
    let text = lines(&world, ExportFormat::Txt);
    let mut expected: Vec<String> = Vec::new();
    for (event, _) in world.events.values() {
        let time = format_micros(Timestamp(event.time));
        let message = event.message.replace('\n', "\\n");
        expected.push(format!("{time} {} {} {message}", event.level, event.service));
    }
    let mut found: Vec<&str> = text.strip_suffix('\n').unwrap().split('\n').collect();
    expected.sort();
    found.sort_unstable();
    assert_eq!(found, expected);
}

fn cell(column: &TextColumn, row: usize) -> Option<&str> {
    let is_there = column.validity[row / 8] & 1 << (row % 8) != 0;
    let [from, to] = [row, row + 1].map(|index| usize::try_from(column.offsets[index]).unwrap());
    is_there.then(|| std::str::from_utf8(&column.bytes[from..to]).unwrap())
}

#[test]
fn columns_have_a_row_for_each_event() {
    let world = world(73);
    let mut events = by_id(&world);
    for step in world.exported(&Conditions::default(), 2_000, ExportFormat::Columns) {
        let Exported::Columns(columns) = step else { panic!("columns were asked for") };
        let Columns { timestamps, texts } = *columns;
        for column in &texts {
            assert_eq!(
                (column.offsets.len(), column.validity.len()),
                (timestamps.len() + 1, timestamps.len().div_ceil(8))
            );
            assert_eq!((0..timestamps.len()).filter(|row| cell(column, *row).is_none()).count(), column.missing);
        }
        for (row, time) in timestamps.iter().enumerate() {
            let cells: BTreeMap<_, _> =
                COLUMN_NAMES.into_iter().zip(texts.iter().map(|column| cell(column, row))).collect();
            let event = events.remove(&id_of(cells["event_id"].unwrap())).expect("each is there once");
            assert_eq!(*time, event.time);
            assert_eq!(cells["level"], Some(event.level.as_str()));
            assert_eq!(cells["service"], Some(event.service.as_str()));
            assert_eq!(cells["project_id"], Some(event.project.as_str()));
            assert_eq!(cells["message"], Some(event.message.as_str()));
            assert_eq!(cells["request_id"], text(event, "request_id").as_deref());
            assert_eq!(cells["user_id"], text(event, "user_id").as_deref());
            check_metadata(event, cells["metadata"]);
        }
    }
    assert!(events.is_empty());
}
