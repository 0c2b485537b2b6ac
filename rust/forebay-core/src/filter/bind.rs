//! A record's parts as the variables of an expression: only those that it uses, and of an object only the fields.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use cel::Context;
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt};
use cel::common::value::Val;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::check::{Fields, Uses};
use crate::ids::{Offset, PartitionId};
use crate::log::record::Record;

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
        Fields::None => None,
        Fields::Some(fields) => read(record.value, Chosen(fields)).or_else(|| read(record.value, Anything)),
        Fields::Whole => read(record.value, Anything),
    };
    if let Some(value) = value {
        context.add_variable_as_val("value", value);
    }
    if uses.key {
        context.add_variable_as_val("key", record.key.map_or_else(|| Box::new(CelNull) as Boxed<'v>, text));
    }
    if uses.headers {
        let headers = if record.headers.is_empty() { b"{}" } else { record.headers };
        if let Some(headers) = read(headers, Anything) {
            context.add_variable_as_val("headers", headers);
        }
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

fn read<'v, S: DeserializeSeed<'v, Value = Boxed<'v>>>(json: &'v [u8], seed: S) -> Option<Boxed<'v>> {
    seed.deserialize(&mut serde_json::Deserializer::from_slice(json)).ok()
}

/// Any JSON, whole.
struct Anything;

impl<'v> DeserializeSeed<'v> for Anything {
    type Value = Boxed<'v>;

    fn deserialize<D: Deserializer<'v>>(self, json: D) -> Result<Boxed<'v>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'v> Visitor<'v> for Anything {
    type Value = Boxed<'v>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Boxed<'v>, E> {
        Ok(Box::new(CelNull))
    }

    fn visit_bool<E: Error>(self, is: bool) -> Result<Boxed<'v>, E> {
        Ok(Box::new(CelBool::from(is)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Boxed<'v>, E> {
        Ok(Box::new(CelInt::from(number)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Boxed<'v>, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => Ok(Box::new(CelUInt::from(number))),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Boxed<'v>, E> {
        Ok(Box::new(CelDouble::from(number)))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'v str) -> Result<Boxed<'v>, E> {
        Ok(Box::new(CelString::from(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Boxed<'v>, E> {
        Ok(Box::new(CelString::from(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'v>>(self, mut list: A) -> Result<Boxed<'v>, A::Error> {
        let mut elements: Vec<Boxed<'v>> = Vec::new();
        while let Some(element) = list.next_element_seed(Anything)? {
            elements.push(element);
        }
        Ok(Box::new(CelList::from(elements)))
    }

    fn visit_map<A: MapAccess<'v>>(self, mut object: A) -> Result<Boxed<'v>, A::Error> {
        let mut entries: HashMap<CelMapKey<'v>, Boxed<'v>> = HashMap::new();
        // Of a name that comes twice, the last counts.
        while let Some(name) = object.next_key::<String>()? {
            entries.insert(CelMapKey::String(CelString::from(name)), object.next_value_seed(Anything)?);
        }
        Ok(Box::new(CelMap::from(entries)))
    }
}

/// An object of which only some fields are read; anything else is refused.
#[derive(Clone, Copy)]
struct Chosen<'v>(&'v BTreeSet<String>);

impl<'v> DeserializeSeed<'v> for Chosen<'v> {
    type Value = Boxed<'v>;

    fn deserialize<D: Deserializer<'v>>(self, json: D) -> Result<Boxed<'v>, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'v> Visitor<'v> for Chosen<'v> {
    type Value = Boxed<'v>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'v>>(self, mut object: A) -> Result<Boxed<'v>, A::Error> {
        let mut entries: HashMap<CelMapKey<'v>, Boxed<'v>> = HashMap::with_capacity(self.0.len());
        while let Some(name) = object.next_key_seed(Name(self.0))? {
            match name {
                Some(name) => drop(entries.insert(CelMapKey::from(name), object.next_value_seed(Anything)?)),
                None => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Box::new(CelMap::from(entries)))
    }
}

/// The name of a field, if it is one of those that are read.
struct Name<'v>(&'v BTreeSet<String>);

impl<'v> DeserializeSeed<'v> for Name<'v> {
    type Value = Option<&'v str>;

    fn deserialize<D: Deserializer<'v>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'v> Visitor<'v> for Name<'v> {
    type Value = Option<&'v str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.get(name).map(String::as_str))
    }
}
