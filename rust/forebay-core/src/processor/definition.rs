//! What a user says of a processor, checked but for the streams that it names.

use serde::Serialize;
use serde_json::Value;

use super::fields::{Fields, malformed};
use super::plan::Plan;
use crate::error::Result;
use crate::stream::{DEAD_LETTER_SUFFIX, check_name};
use crate::window::MAX_WINDOW_MILLIS;

/// Operations of one processor.
pub const MAX_OPERATIONS: usize = 64;
/// Aggregations of one processor, and paths that it groups by.
pub const MAX_AGGREGATIONS: usize = 64;
/// The longest path to a field, in bytes.
pub const MAX_PATH_BYTES: usize = 1024;
/// The largest definition, as JSON.
pub const MAX_DEFINITION_BYTES: usize = 256 * 1024;
/// The most tasks of one processor that run at once.
pub const MAX_PARALLELISM: i64 = 64;

/// The longest name: its stream of failed records has an ending more.
const MAX_NAME_BYTES: usize = 249 - DEAD_LETTER_SUFFIX.len();
const HOUR: i64 = 3_600_000;

/// A processor's definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessorDefinition {
    /// The name, unique among processors.
    pub name: String,
    /// The stream that is read.
    pub source: String,
    /// What is done with its records, in order.
    pub operations: Vec<Operation>,
    /// The stream that results go to.
    pub sink: String,
    /// Where reading begins.
    pub offset: StartOffset,
    /// The rest.
    pub config: Config,
}

/// Where a processor begins to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StartOffset {
    /// Behind the last record that there is when the processor is made.
    #[default]
    Latest,
    /// At the first record that is kept.
    Earliest,
}

/// One step of the way of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Operation {
    /// Keeps the records for which a predicate is true.
    Filter {
        /// The predicate: see [`crate::predicate::Filter`].
        predicate: String,
    },
    /// Replaces each value by what a function makes of it: nothing, one value, or several.
    Map {
        /// The function's name.
        function: String,
    },
    /// Cuts time into windows.
    Window(Window),
    /// Computes what a window's records have in common.
    Aggregate {
        /// What is computed.
        #[serde(flatten)]
        aggregations: Aggregations,
        /// The paths, within the value, of what one result each is computed for.
        #[serde(skip_serializing_if = "GroupBy::is_none")]
        group_by: GroupBy,
    },
}

/// The kinds of windows, in milliseconds of event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "windowType", rename_all = "lowercase")]
pub enum Window {
    /// One after the other.
    Tumbling {
        /// The length of each.
        duration: i64,
    },
    /// Overlapping ones.
    Sliding {
        /// The length of each.
        duration: i64,
        /// From the start of one to the start of the next.
        slide: i64,
    },
    /// By key, ended by a pause.
    Session {
        /// The pause.
        gap: i64,
    },
}

/// One aggregation of a field; as it was written, unchecked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AggregationOf {
    /// Its name.
    pub aggregation: String,
    /// The field's path within the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// One aggregation, or several at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Aggregations {
    /// As `aggregation` and `field` say it.
    One(AggregationOf),
    /// As the list `aggregations` says it.
    Several {
        /// Each of them.
        aggregations: Vec<AggregationOf>,
    },
}

impl Aggregations {
    /// Returns all of them, in order.
    #[must_use]
    pub fn all(&self) -> &[AggregationOf] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several { aggregations } => aggregations,
        }
    }
}

/// The paths that results are grouped by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum GroupBy {
    /// All records are one group, whose key is null.
    None,
    /// The key is the value at this path.
    One(String),
    /// The key is the array of the values at these.
    Several(Vec<String>),
}

impl GroupBy {
    fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// Returns the paths, in order.
    #[must_use]
    pub fn paths(&self) -> &[String] {
        match self {
            Self::None => &[],
            Self::One(path) => std::slice::from_ref(path),
            Self::Several(paths) => paths,
        }
    }
}

/// The results that a processor gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Emit {
    /// One of each window and key, once the window is closed.
    #[default]
    Final,
    /// Those of open windows that have changed as well, each second.
    Update,
}

/// Settings of a processor, in milliseconds where they are times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// The most of its tasks that run at once.
    pub parallelism: i64,
    /// The longest time between two writings of the position: what a crash has it read again.
    pub checkpoint_interval: i64,
    /// By how much records may be behind the newest one of their partition without being late.
    pub allowed_lateness: i64,
    /// The time after which a partition without records holds nothing back.
    pub idle_timeout: i64,
    /// By how much a record may be ahead of the clock and still move the watermark; 0 for any.
    pub max_future: i64,
    /// By how much a record may be ahead of the clock and still be taken; 0 for any.
    #[serde(skip_serializing_if = "is_zero")]
    pub drop_future: i64,
    /// The time of quiet in all partitions after which open windows are closed; 0 for never.
    pub idle_close: i64,
    /// Which results are given.
    pub emit: Emit,
    /// The stream that late records go to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_sink: Option<String>,
    /// The path of the event time within the value; the record's own time without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp_field: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Default for Config {
    fn default() -> Self {
        Self {
            parallelism: 1,
            checkpoint_interval: 10_000,
            allowed_lateness: 0,
            idle_timeout: 10_000,
            max_future: 300_000,
            drop_future: 0,
            idle_close: 0,
            emit: Emit::Final,
            late_sink: None,
            timestamp_field: None,
        }
    }
}

/// The processor whose place a new one takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Succession {
    /// Its id or its name.
    pub(super) from: String,
    pub(super) state: State,
}

/// What becomes of open windows when a definition changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// They are taken over.
    Keep,
    /// They are forgotten, without results.
    Discard,
}

impl ProcessorDefinition {
    /// Reads a definition.
    ///
    /// # Errors
    /// `Malformed` that names the place: `operations[1].predicate: …`.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let mut fields = fields_of(json)?;
        let definition = Self::read(&mut fields)?;
        fields.end()?;
        Ok(definition)
    }

    /// Reads the definition of a processor that is to be made, and which one it takes the place of.
    ///
    /// # Errors
    /// As [`ProcessorDefinition::parse`].
    pub(super) fn parse_new(json: &[u8]) -> Result<(Self, Option<Succession>)> {
        let mut fields = fields_of(json)?;
        let from = fields.text("from")?;
        let state = match fields.text("state")?.as_deref() {
            None | Some("keep") => State::Keep,
            Some("discard") => State::Discard,
            Some(other) => return Err(fields.refuse("state", format_args!("{other:?} is not keep or discard"))),
        };
        let has_offset = fields.has("offset");
        let definition = Self::read(&mut fields)?;
        if from.is_none() && state == State::Discard {
            return Err(fields.refuse("state", "goes with from, the processor whose state it is"));
        }
        if from.is_some() && has_offset {
            return Err(fields.refuse("offset", "does not go with from: it goes on where that processor stands"));
        }
        fields.end()?;
        Ok((definition, from.map(|from| Succession { from, state })))
    }

    fn read(fields: &mut Fields) -> Result<Self> {
        let name = fields.required_text("name")?;
        check_name("name", &name).map_err(|error| malformed(error.detail()))?;
        if name.len() > MAX_NAME_BYTES {
            return Err(fields.refuse("name", format_args!("has more than {MAX_NAME_BYTES} bytes")));
        }
        let source = fields.required_text("source")?;
        let sink = fields.required_text("sink")?;
        check_name("sink", &sink).map_err(|error| malformed(error.detail()))?;
        let operations = operations(fields)?;
        let offset = match fields.text("offset")?.as_deref() {
            None | Some("latest") => StartOffset::Latest,
            Some("earliest") => StartOffset::Earliest,
            Some(other) => return Err(fields.refuse("offset", format_args!("{other:?} is not latest or earliest"))),
        };
        let config = match fields.take("config") {
            None => Config::default(),
            Some(value) => Config::parse(Fields::new("config.", value)?)?,
        };
        Ok(Self { name, source, operations, sink, offset, config })
    }

    /// Reads a definition and compiles it, without looking at streams.
    ///
    /// # Errors
    /// `Malformed` that names the place.
    pub fn check(json: &[u8]) -> Result<Self> {
        let definition = Self::parse(json)?;
        Plan::new(&definition)?;
        Ok(definition)
    }

    /// Returns the definition as JSON, with every default in it.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Texts and numbers always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Config {
    fn parse(mut fields: Fields) -> Result<Self> {
        let default = Self::default();
        let emit = match fields.text("emit")?.as_deref() {
            None | Some("final") => Emit::Final,
            Some("update") => Emit::Update,
            Some(other) => return Err(fields.refuse("emit", format_args!("{other:?} is not final or update"))),
        };
        let mut millis = |field, least, most, default| Ok(fields.number(field, least, most)?.unwrap_or(default));
        let config = Self {
            parallelism: millis("parallelism", 1, MAX_PARALLELISM, default.parallelism)?,
            checkpoint_interval: millis("checkpointInterval", 10, HOUR, default.checkpoint_interval)?,
            allowed_lateness: millis("allowedLateness", 0, MAX_WINDOW_MILLIS, default.allowed_lateness)?,
            idle_timeout: millis("idleTimeout", 10, 24 * HOUR, default.idle_timeout)?,
            max_future: millis("maxFuture", 0, MAX_WINDOW_MILLIS, default.max_future)?,
            drop_future: millis("dropFuture", 0, MAX_WINDOW_MILLIS, default.drop_future)?,
            idle_close: millis("idleClose", 0, 24 * 365 * HOUR, default.idle_close)?,
            emit,
            late_sink: None,
            timestamp_field: None,
        };
        let late_sink = fields.text("lateSink")?;
        if let Some(name) = &late_sink {
            check_name("config.lateSink", name).map_err(|error| malformed(error.detail()))?;
        }
        let timestamp_field = fields.text("timestampField")?;
        if let Some(path) = &timestamp_field {
            check_path(path).map_err(|what| fields.refuse("timestampField", what))?;
        }
        fields.end()?;
        Ok(Self { late_sink, timestamp_field, ..config })
    }
}

/// Returns the fields of a definition.
fn fields_of(json: &[u8]) -> Result<Fields> {
    if json.len() > MAX_DEFINITION_BYTES {
        return Err(malformed(&format!("the definition has more than {MAX_DEFINITION_BYTES} bytes")));
    }
    crate::json::validate(json).map_err(|error| malformed(&error.to_string()))?;
    let value = serde_json::from_slice(json).map_err(|error| malformed(&error.to_string()))?;
    Fields::new("", value)
}

fn operations(fields: &mut Fields) -> Result<Vec<Operation>> {
    let list = match fields.take("operations") {
        Some(Value::Array(list)) if (1..=MAX_OPERATIONS).contains(&list.len()) => list,
        Some(_) | None => {
            return Err(fields.refuse("operations", format_args!("must be a list of 1 to {MAX_OPERATIONS} operations")));
        }
    };
    let read = |(index, value)| operation(Fields::new(&format!("operations[{index}]."), value)?);
    list.into_iter().enumerate().map(read).collect()
}

fn operation(mut fields: Fields) -> Result<Operation> {
    let operation = match fields.required_text("type")?.as_str() {
        "filter" => Operation::Filter { predicate: fields.required_text("predicate")? },
        "map" => Operation::Map { function: fields.required_text("function")? },
        "window" => Operation::Window(window(&mut fields)?),
        "aggregate" => {
            Operation::Aggregate { aggregations: aggregations(&mut fields)?, group_by: group_by(&mut fields)? }
        }
        other => {
            let what = format_args!("{other:?} is not filter, map, window or aggregate");
            return Err(fields.refuse("type", what));
        }
    };
    fields.end()?;
    Ok(operation)
}

fn window(fields: &mut Fields) -> Result<Window> {
    match fields.required_text("windowType")?.as_str() {
        "tumbling" => Ok(Window::Tumbling { duration: fields.required_number("duration", 1, MAX_WINDOW_MILLIS)? }),
        "sliding" => Ok(Window::Sliding {
            duration: fields.required_number("duration", 1, MAX_WINDOW_MILLIS)?,
            slide: fields.required_number("slide", 1, MAX_WINDOW_MILLIS)?,
        }),
        "session" => Ok(Window::Session { gap: fields.required_number("gap", 1, MAX_WINDOW_MILLIS)? }),
        other => Err(fields.refuse("windowType", format_args!("{other:?} is not tumbling, sliding or session"))),
    }
}

fn aggregations(fields: &mut Fields) -> Result<Aggregations> {
    let Some(list) = fields.take("aggregations") else { return Ok(Aggregations::One(aggregation(fields)?)) };
    let Value::Array(list) = list else { return Err(fields.refuse("aggregations", "must be a list")) };
    if !(1..=MAX_AGGREGATIONS).contains(&list.len()) {
        return Err(fields.refuse("aggregations", format_args!("must be 1 to {MAX_AGGREGATIONS} aggregations")));
    }
    let read = |(index, value)| {
        let mut one = Fields::new(&fields.place_of(&format!("aggregations[{index}].")), value)?;
        let read = aggregation(&mut one)?;
        one.end()?;
        Ok(read)
    };
    Ok(Aggregations::Several { aggregations: list.into_iter().enumerate().map(read).collect::<Result<_>>()? })
}

fn aggregation(fields: &mut Fields) -> Result<AggregationOf> {
    let aggregation = fields.required_text("aggregation")?;
    let field = fields.text("field")?;
    if let Some(path) = &field {
        check_path(path).map_err(|what| fields.refuse("field", what))?;
    }
    Ok(AggregationOf { aggregation, field })
}

fn group_by(fields: &mut Fields) -> Result<GroupBy> {
    let found = match fields.take("groupBy") {
        None => GroupBy::None,
        Some(Value::String(path)) => GroupBy::One(path),
        Some(Value::Array(list)) if (1..=MAX_AGGREGATIONS).contains(&list.len()) => {
            let text = |value| {
                let Value::String(path) = value else {
                    return Err(fields.refuse("groupBy", "must be a path, or a list of paths"));
                };
                Ok(path)
            };
            GroupBy::Several(list.into_iter().map(text).collect::<Result<_>>()?)
        }
        Some(_) => {
            let what = format_args!("must be a path, or a list of 1 to {MAX_AGGREGATIONS} paths");
            return Err(fields.refuse("groupBy", what));
        }
    };
    for path in found.paths() {
        check_path(path).map_err(|what| fields.refuse("groupBy", what))?;
    }
    Ok(found)
}

/// Checks a path: names from object to object, with dots between them.
fn check_path(path: &str) -> std::result::Result<(), String> {
    if path.len() > MAX_PATH_BYTES {
        return Err(format!("the path has more than {MAX_PATH_BYTES} bytes"));
    }
    match path.split('.').any(str::is_empty) {
        true => Err(format!("{path:?} is no path: names with dots between them, within the value")),
        false => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    const WHOLE: &str = r#"{"name":"fraud-detection","source":"transactions","operations":[
        {"type":"filter","predicate":"value.amount > 1000"},
        {"type":"window","windowType":"tumbling","duration":300000},
        {"type":"aggregate","aggregation":"count","groupBy":"userId"}],
        "sink":"fraud-alerts","config":{"parallelism":4,"checkpointInterval":60000}}"#;

    fn refusal(json: &str) -> String {
        ProcessorDefinition::parse(json.as_bytes()).unwrap_err().detail().to_owned()
    }

    #[test]
    fn a_definition_comes_back_with_its_defaults() {
        let definition = ProcessorDefinition::parse(WHOLE.as_bytes()).unwrap();
        assert_eq!((definition.config.parallelism, definition.config.checkpoint_interval), (4, 60_000));
        assert_eq!(definition.config.idle_timeout, 10_000);
        assert_eq!(definition.offset, StartOffset::Latest);
        let json = definition.to_json();
        assert_eq!(ProcessorDefinition::parse(&json).unwrap(), definition);
        let text = String::from_utf8(json).unwrap();
        assert!(text.contains(r#"{"type":"window","windowType":"tumbling","duration":300000}"#), "{text}");
        assert!(text.contains(r#"{"type":"aggregate","aggregation":"count","groupBy":"userId"}"#), "{text}");
    }

    #[test]
    fn several_aggregations_and_paths() {
        let json = WHOLE.replace(
            r#""aggregation":"count","groupBy":"userId""#,
            r#""aggregations":[{"aggregation":"count"},{"aggregation":"sum","field":"a.b"}],"groupBy":["a","b"]"#,
        );
        let definition = ProcessorDefinition::parse(json.as_bytes()).unwrap();
        assert_eq!(ProcessorDefinition::parse(&definition.to_json()).unwrap(), definition);
        let Some(Operation::Aggregate { aggregations, group_by }) = definition.operations.last() else {
            unreachable!("an aggregate is the last operation");
        };
        assert_eq!((aggregations.all().len(), group_by.paths()), (2, &["a".to_owned(), "b".to_owned()][..]));
    }

    #[test]
    fn errors_name_the_place() {
        for (from, to, wanted) in [
            (r#""name":"fraud-detection","#, "", "name: is missing"),
            (r#""filter""#, r#""sort""#, r#"operations[0].type: "sort" is not"#),
            (r#""filter""#, r#""map""#, "operations[0].function: is missing"),
            (r#""predicate":"value.amount > 1000""#, r#""predicate":7"#, "operations[0].predicate: must be a text"),
            (r#""duration":300000"#, r#""duration":0"#, "operations[1].duration: must be a whole number of 1 to"),
            (r#""duration":300000"#, r#""duration":1,"slide":2"#, "operations[1].slide: there is no such field"),
            (r#""tumbling""#, r#""hopping""#, r#"operations[1].windowType: "hopping" is not"#),
            (r#""userId""#, r#""a..b""#, "operations[2].groupBy: \"a..b\" is no path"),
            (r#""userId""#, "[1]", "operations[2].groupBy: must be a path"),
            (r#""parallelism":4"#, r#""parallelism":65"#, "config.parallelism: must be"),
            (r#""parallelism":4"#, r#""speed":4"#, "config.speed: there is no such field"),
            (r#""sink":"fraud-alerts""#, r#""sink":"a b""#, "sink"),
            (r#""config":"#, r#""offset":7,"config":"#, "offset: must be a text"),
        ] {
            let json = WHOLE.replace(from, to);
            assert_ne!(json, WHOLE, "{from}");
            let found = refusal(&json);
            assert!(found.starts_with(wanted), "{found}");
        }
        assert!(refusal("[]").contains("must be an object"));
        assert!(refusal("{").contains("end"), "{}", refusal("{"));
        let many = format!("{}{}", WHOLE, " ".repeat(MAX_DEFINITION_BYTES));
        assert!(refusal(&many).contains("bytes"));
    }
}
