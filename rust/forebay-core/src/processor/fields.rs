//! Reading the fields of a definition's JSON, each once, with errors that name the place.

use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind, Result};

/// The fields of one object that are not read yet.
pub(super) struct Fields {
    /// The object's place: empty for the outermost, else as `operations[1].`.
    place: String,
    left: Map<String, Value>,
}

impl Fields {
    /// # Errors
    /// `Malformed`: the value is no object.
    pub(super) fn new(place: &str, value: Value) -> Result<Self> {
        let Value::Object(left) = value else {
            let what = if place.is_empty() { "the definition" } else { place.trim_end_matches('.') };
            return Err(malformed(&format!("{what}: must be an object")));
        };
        Ok(Self { place: place.to_owned(), left })
    }

    /// Returns an error about a field.
    pub(super) fn refuse(&self, field: &str, what: impl std::fmt::Display) -> Error {
        malformed(&format!("{}{field}: {what}", self.place))
    }

    /// Returns the place of something within this object.
    pub(super) fn place_of(&self, within: &str) -> String {
        format!("{}{within}", self.place)
    }

    /// Takes a field; a `null` is none.
    pub(super) fn take(&mut self, field: &str) -> Option<Value> {
        self.left.remove(field).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.left.get(field).is_some_and(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, field: &str) -> Result<Option<String>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(self.refuse(field, "must be a text that is not empty")),
        }
    }

    pub(super) fn required_text(&mut self, field: &str) -> Result<String> {
        let found = self.text(field)?;
        found.ok_or_else(|| self.refuse(field, "is missing"))
    }

    /// Takes a whole number within these bounds.
    pub(super) fn number(&mut self, field: &str, least: i64, most: i64) -> Result<Option<i64>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        // A whole number may come as a decimal one.
        let whole = |double: f64| (double.fract() == 0.0 && double.abs() < 9e15).then_some(double as i64);
        let number = value.as_i64().or_else(|| value.as_f64().and_then(whole));
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.refuse(field, format_args!("must be a whole number of {least} to {most}"))),
        }
    }

    pub(super) fn required_number(&mut self, field: &str, least: i64, most: i64) -> Result<i64> {
        let found = self.number(field, least, most)?;
        found.ok_or_else(|| self.refuse(field, "is missing"))
    }

    /// Refuses fields that nobody has taken.
    pub(super) fn end(mut self) -> Result<()> {
        self.left.retain(|_, value| !value.is_null());
        match self.left.keys().next() {
            None => Ok(()),
            Some(field) => Err(self.refuse(field, "there is no such field")),
        }
    }
}

pub(super) fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::Malformed, what)
}
