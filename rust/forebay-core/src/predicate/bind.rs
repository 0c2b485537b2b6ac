//! A record's parts as the variables of an expression: only those that it uses, and of an object only the fields.

use std::collections::{BTreeSet, HashMap};

use cel::Context;
use cel::common::types::{CelBool, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString};
use cel::common::value::Val;

use super::check::{AllowedFields, Uses};
use super::json::{Json, JsonKind};
use super::number::Number;
use super::view;
use crate::ids::{Offset, PartitionId};
use crate::record::Record;

type Boxed<'v> = Box<dyn Val + 'v>;

/// Binds what is used. What cannot be read stays unbound, and fails the expression only where it is reached.
pub(super) fn bind<'v>(
    context: &mut Context<'_, 'v>,
    uses: &'v Uses,
    partition: PartitionId,
    offset: Offset,
    record: &Record<'v>,
) {
    let value = match &uses.value {
        AllowedFields::None => None,
        AllowedFields::Some(fields) => chosen(record.value, fields).or_else(|| whole(record.value)),
        AllowedFields::Whole => whole(record.value),
    };
    if let Some(value) = value {
        context.add_variable_as_val("value", value);
    }
    if uses.key {
        context.add_variable_as_val("key", record.key.map_or_else(|| Box::new(CelNull) as Boxed<'v>, text));
    }
    if uses.headers
        && let Some(headers) = whole(view::headers(record))
    {
        context.add_variable_as_val("headers", headers);
    }
    if uses.partition {
        context.add_variable_as_val("partition", Box::new(CelInt::from(i64::from(partition.0))));
    }
    if uses.offset {
        context.add_variable_as_val("offset", Box::new(CelInt::from(i64::try_from(offset.0).unwrap_or(i64::MAX))));
    }
    if uses.timestamp {
        context.add_variable_as_val("timestamp", Box::new(CelInt::from(record.timestamp.millis())));
    }
}

/// A key need not be UTF-8 when a program appended it; what is not shows as U+FFFD, as everywhere.
fn text<'v>(bytes: &'v [u8]) -> Boxed<'v> {
    Box::new(CelString::from(String::from_utf8_lossy(bytes)))
}

/// Values inside one another, beyond which one is not read: each is a call on the stack of a reader's thread.
const MAX_NESTING: usize = 128;

/// Returns all of the value.
fn whole(json: &[u8]) -> Option<Boxed<'_>> {
    let mut json = Json::new(json);
    let value = value(&mut json, 0)?;
    json.ends().then_some(value)
}

/// Only these fields of an object; nothing of anything else.
fn chosen<'v>(json: &'v [u8], fields: &'v BTreeSet<String>) -> Option<Boxed<'v>> {
    let mut json = Json::new(json);
    let value = (json.kind()? == JsonKind::Object).then(|| object(&mut json, 0, Some(fields)))??;
    json.ends().then_some(value)
}

fn value<'v>(json: &mut Json<'v>, nesting: usize) -> Option<Boxed<'v>> {
    if nesting > MAX_NESTING {
        return None;
    }
    match json.kind()? {
        JsonKind::Null => json.word("null").map(|()| Box::new(CelNull) as Boxed<'v>),
        JsonKind::False => json.word("false").map(|()| Box::new(CelBool::from(false)) as Boxed<'v>),
        JsonKind::True => json.word("true").map(|()| Box::new(CelBool::from(true)) as Boxed<'v>),
        JsonKind::Number => Number::parse(json.number()?)?.into_val(),
        JsonKind::Text => json.text().map(|text| Box::new(CelString::from(text)) as Boxed<'v>),
        JsonKind::List => list(json, nesting),
        JsonKind::Object => object(json, nesting, None),
    }
}

fn list<'v>(json: &mut Json<'v>, nesting: usize) -> Option<Boxed<'v>> {
    json.take(b'[');
    let mut elements: Vec<Boxed<'v>> = Vec::new();
    let mut more = !json.take(b']');
    while more {
        elements.push(value(json, nesting + 1)?);
        more = json.goes_on(b']')?;
    }
    Some(Box::new(CelList::from(elements)))
}

fn object<'v>(json: &mut Json<'v>, nesting: usize, fields: Option<&'v BTreeSet<String>>) -> Option<Boxed<'v>> {
    json.take(b'{');
    let mut entries: HashMap<CelMapKey<'v>, Boxed<'v>> = HashMap::new();
    let mut more = !json.take(b'}');
    while more {
        let name = json.name()?;
        match fields.map(|fields| fields.get(name.as_ref())) {
            // The last one counts where a name comes twice.
            None => drop(entries.insert(CelMapKey::String(CelString::from(name)), value(json, nesting + 1)?)),
            Some(Some(field)) => drop(entries.insert(CelMapKey::from(field.as_str()), value(json, nesting + 1)?)),
            Some(None) => json.skip()?,
        }
        more = json.goes_on(b'}')?;
    }
    Some(Box::new(CelMap::from(entries)))
}
