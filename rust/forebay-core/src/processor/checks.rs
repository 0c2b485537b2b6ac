//! What is checked of a definition beside its own words.

use std::collections::HashMap;

use super::definition::ProcessorDefinition;
use super::fields::malformed;
use super::rows::ProcessorId;
use crate::error::{Error, Result};
use crate::status::Damage;
use crate::stream::{VIEWS_PREFIX, is_reserved};

/// Refuses sinks that only the engine writes to, and a way from a sink back to its source.
pub(super) fn check_streams<'d>(
    definition: &'d ProcessorDefinition,
    others: impl Iterator<Item = &'d ProcessorDefinition>,
) -> Result<()> {
    let late = definition.config.late_sink.as_deref().map(|name| ("config.lateSink", name));
    for (field, name) in [("sink", &*definition.sink)].into_iter().chain(late) {
        // The engine's own processors write streams of their names.
        if is_reserved(name) && !(name.starts_with(VIEWS_PREFIX) && name == definition.name) {
            return Err(malformed(&format!(
                "{field}: the stream {name:?} is the engine's own and cannot be written to"
            )));
        }
    }
    let mut ways: HashMap<&str, Vec<(&str, &str)>> = HashMap::new();
    for one in others.chain([definition]) {
        let sinks = [Some(&*one.sink), one.config.late_sink.as_deref()];
        ways.entry(&one.source).or_default().extend(sinks.into_iter().flatten().map(|sink| (&*one.name, sink)));
    }
    match cycle(&ways, &definition.source) {
        None => Ok(()),
        Some(names) => Err(malformed(&format!("sink: its records would come back to its source, by way of {names}"))),
    }
}

/// Returns the names of the processors on a way from a stream back to it.
fn cycle(ways: &HashMap<&str, Vec<(&str, &str)>>, from: &str) -> Option<String> {
    let mut seen = vec![from];
    let mut stack: Vec<(&str, Vec<&str>)> = vec![(from, Vec::new())];
    while let Some((stream, names)) = stack.pop() {
        for (name, sink) in ways.get(stream).into_iter().flatten() {
            let names: Vec<_> = names.iter().copied().chain([*name]).collect();
            if *sink == from {
                return Some(names.join(", "));
            }
            if !seen.contains(sink) {
                seen.push(sink);
                stack.push((sink, names));
            }
        }
    }
    None
}

/// A processor's row that cannot be read: the processor does not run, and the row stays.
pub(super) fn unreadable(id: ProcessorId, error: &Error) -> Damage {
    let what = format!("the row of the processor {id} cannot be read: {}", error.detail());
    Damage { file: "state".to_owned(), range: None, stream: None, what }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    fn definition(name: &str, source: &str, sink: &str) -> ProcessorDefinition {
        let operations = r#"[{"type":"filter","predicate":"value.a > 1"}]"#;
        let json = format!(r#"{{"name":"{name}","source":"{source}","sink":"{sink}","operations":{operations}}}"#);
        ProcessorDefinition::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn cycles_are_named() {
        let others = [definition("one", "a", "b"), definition("two", "b", "c"), definition("far", "x", "y")];
        let check = |new: &ProcessorDefinition| check_streams(new, others.iter());
        assert!(check(&definition("three", "c", "d")).is_ok());
        assert!(check(&definition("three", "a", "c")).is_ok());
        let error = check(&definition("three", "c", "a")).unwrap_err();
        assert!(error.detail().ends_with("by way of three, one, two"), "{error}");
        assert!(check(&definition("own", "z", "z")).unwrap_err().detail().ends_with("by way of own"));
        assert!(check(&definition("own", "z", "logs")).unwrap_err().detail().contains("engine's own"));
        assert!(check(&definition("own", "z", "one.dead-letter")).is_err());
        assert!(check(&definition("own", "one.dead-letter", "z")).is_ok());
    }
}
