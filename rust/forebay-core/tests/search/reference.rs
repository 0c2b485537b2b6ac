//! What a search has to find, told by a look at every event that was written.

use std::cmp::Ordering;

use forebay_core::search::{Comparison, Conditions, MetadataCondition};
use regex::RegexBuilder;

use crate::common::Random;
use crate::event::{Event, Value, text};

#[derive(Clone, Debug)]
pub enum Term {
    Word(String),
    Prefix(String),
    Phrase(String),
    Regex(&'static str),
}

/// Conditions as a test knows them, beside the request that they make.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub terms: Vec<(bool, Term)>,
    pub conditions: Conditions,
}

fn small(letter: char) -> char {
    match letter {
        'ſ' => 's',
        '\u{212a}' => 'k',
        'ς' => 'σ',
        'ẞ' => 'ß',
        _ => letter.to_lowercase().next().unwrap(),
    }
}

fn letters(text: &str) -> Vec<char> {
    text.chars().map(small).collect()
}

/// Whether `wanted` is in the text, alone: without a letter or digit beside its own.
fn stands_in(wanted: &str, text: &str, open_end: bool) -> bool {
    let (wanted, text) = (letters(wanted), letters(text));
    (0..text.len()).any(|at| {
        let end = at + wanted.len();
        let is_there = text.get(at..end) == Some(&wanted[..]);
        let is_part = |letter: Option<&char>| letter.is_some_and(|letter| letter.is_alphanumeric());
        let begins = !is_part(wanted.first()) || at == 0 || !is_part(text.get(at - 1));
        let ends = open_end || !is_part(wanted.last()) || !is_part(text.get(end));
        is_there && begins && ends
    })
}

impl Term {
    fn is_in(&self, text: &str) -> bool {
        match self {
            Self::Word(word) => stands_in(word.trim_matches(|letter: char| !letter.is_alphanumeric()), text, false),
            Self::Prefix(beginning) => stands_in(beginning, text, true),
            Self::Phrase(phrase) => stands_in(phrase, text, false),
            Self::Regex(source) => RegexBuilder::new(source).case_insensitive(true).build().unwrap().is_match(text),
        }
    }

    fn write(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Prefix(beginning) => format!("{beginning}*"),
            Self::Phrase(phrase) => format!("\"{}\"", phrase.replace('\\', "\\\\").replace('"', "\\\"")),
            Self::Regex(source) => format!("/{}/", source.replace('/', "\\/")),
        }
    }
}

fn scalars<'v>(value: &'v Value, all: &mut Vec<&'v str>) {
    match value {
        Value::Text(text) => all.push(text),
        Value::Plain(word) if matches!(word.as_str(), "true" | "false" | "null") => {}
        Value::Plain(number) => all.push(number),
        Value::List(inner) => inner.iter().for_each(|value| scalars(value, all)),
        Value::Nested(inner) => inner.iter().for_each(|(_, value)| scalars(value, all)),
    }
}

fn at_path<'v>(metadata: &'v [(String, Value)], path: &str) -> Option<&'v Value> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let (_, value) = metadata.iter().rfind(|(of, _)| of == name)?;
    match (rest, value) {
        (None, value) => Some(value),
        (Some(rest), Value::Nested(inner)) => at_path(inner, rest),
        _ => None,
    }
}

fn holds(condition: &MetadataCondition, event: &Event) -> bool {
    let value = event.metadata.as_ref().and_then(|metadata| at_path(metadata, &condition.path));
    let Some(value) = value else { return false };
    match (condition.is, value) {
        (Comparison::Equal, Value::Text(text)) => *text == condition.value,
        (Comparison::Equal, Value::Plain(text)) => *text == condition.value && text != "null",
        (_, Value::Plain(text)) => {
            let Ok(number) = text.parse::<f64>() else { return false };
            let order = number.partial_cmp(&condition.value.parse().unwrap()).unwrap();
            match condition.is {
                Comparison::Equal => order == Ordering::Equal,
                Comparison::Above => order == Ordering::Greater,
                Comparison::AtLeast => order != Ordering::Less,
                Comparison::Below => order == Ordering::Less,
                Comparison::AtMost => order != Ordering::Greater,
            }
        }
        _ => false,
    }
}

fn level(text: &str) -> String {
    let level: String = letters(text).into_iter().collect();
    if level == "warning" { "warn".to_owned() } else { level }
}

impl Wanted {
    pub fn new(terms: Vec<(bool, Term)>, conditions: Conditions) -> Self {
        let written =
            terms.iter().map(|(excluded, term)| format!("{}{}", if *excluded { "-" } else { "" }, term.write()));
        let query = written.collect::<Vec<_>>().join(" ");
        Self { terms, conditions: Conditions { query, ..conditions } }
    }

    pub fn matches(&self, event: &Event) -> bool {
        let Conditions { level: wanted, service, project_id, projects, start_time, end_time, .. } = &self.conditions;
        let mut texts = vec![event.message.as_str()];
        event.metadata.iter().flatten().for_each(|(_, value)| scalars(value, &mut texts));
        let is_found = |term: &Term| texts.iter().any(|text| term.is_in(text));
        let by_name = |name: &str, value: &Option<String>| {
            let value = value.clone()?;
            Some(MetadataCondition { path: name.to_owned(), is: Comparison::Equal, value })
        };
        let named = [by_name("user_id", &self.conditions.user_id), by_name("request_id", &self.conditions.request_id)];
        self.terms.iter().all(|(excluded, term)| is_found(term) != *excluded)
            && wanted.as_ref().is_none_or(|wanted| level(wanted) == level(&event.level))
            && service.as_ref().is_none_or(|service| *service == event.service)
            && project_id.as_ref().is_none_or(|project| *project == event.project)
            && projects.as_ref().is_none_or(|projects| projects.contains(&event.project))
            && start_time.is_none_or(|start| event.time >= start)
            && end_time.is_none_or(|end| event.time <= end)
            && named.iter().flatten().chain(&self.conditions.metadata).all(|condition| holds(condition, event))
    }

    /// Makes conditions that are often met by what an event says.
    pub fn any(random: &mut Random, events: &[Event]) -> Self {
        let event = &events[random.below(events.len() as u64) as usize];
        let terms = (0..random.below(3)).filter_map(|_| Some((random.one_in(4), term(random)?))).collect();
        let mut conditions = Conditions::default();
        if random.one_in(4) {
            let other = random.one_in(2);
            conditions.level = Some(if other { event.level.to_uppercase() } else { event.level.clone() });
        }
        conditions.service = random.one_in(5).then(|| event.service.clone());
        conditions.project_id = random.one_in(6).then(|| event.project.clone());
        conditions.projects = random.one_in(4).then(|| vec!["p0".to_owned(), "p3".to_owned()]);
        conditions.start_time = random.one_in(4).then_some(event.time);
        conditions.end_time = random.one_in(4).then_some(event.time + 3_000_000);
        conditions.user_id = random.one_in(12).then(|| "42".to_owned());
        conditions.request_id = random.one_in(16).then(|| "500".to_owned());
        if random.one_in(5) {
            let pick = random.below(5) as usize;
            let is = [Comparison::Equal, Comparison::Above, Comparison::AtLeast, Comparison::Below, Comparison::AtMost]
                [pick];
            let path = ["status", "ns.status", "ü", "user_id", "ns.ns.user_id"][random.below(5) as usize].to_owned();
            let value = ["42", "500", "-7", "1000"][random.below(4) as usize].to_owned();
            conditions.metadata.push(MetadataCondition { path, is, value });
        }
        Self::new(terms, conditions)
    }
}

/// One term of what events say, in another case; `None` where none can be made of it.
fn term(random: &mut Random) -> Option<Term> {
    let said = text(random);
    let said = if random.one_in(2) { said.to_uppercase() } else { said };
    Some(match random.below(6) {
        0..=2 => {
            let word = said.split_whitespace().next()?.trim_matches(|letter: char| !letter.is_alphanumeric());
            // A word that begins like a phrase or an expression would be one.
            Term::Word((!word.is_empty()).then(|| word.to_owned())?)
        }
        3 => {
            let word = said.split_whitespace().next()?.trim_matches(|letter: char| !letter.is_alphanumeric());
            let beginning: String = word.chars().take(3).collect();
            Term::Prefix((!beginning.is_empty()).then_some(beginning)?)
        }
        4 => Term::Phrase((!said.trim().is_empty()).then(|| said.trim_end().to_owned())?),
        _ => {
            let all = [r"time\w+", r"^\d+$", r"re(try|dis)|db-pool", "диск|ошиб", r"disk", r"a/b|x\n", "[^a-z]k"];
            Term::Regex(all[random.below(all.len() as u64) as usize])
        }
    })
}
