//! One condition on the values of a column.

use std::borrow::Cow;

use super::texts::Word;
use crate::json::JsonStr;
use crate::log::segment::columns::{each_run, is_plain};
use crate::search::fold::fold_into;
use crate::search::matcher::Test;
use crate::search::needle::Needle;
use crate::search::pattern::Pattern;
use crate::search::watch::Watch;

/// What is looked for in the values of a column.
pub(super) struct Wanted<'w> {
    kind: Kind<'w>,
    /// The values are strings as JSON escapes them.
    is_string: bool,
    pub(super) watch: &'w Watch<'w>,
    /// The word that is looked for, in small letters.
    word: Option<Vec<u8>>,
    folded: String,
    lowered: Vec<u8>,
    was_interrupted: bool,
}

enum Kind<'w> {
    Term(&'w TermPlan<'w>),
    Test(&'w Test),
    Word(&'w Word),
    Bytes(&'w dyn Fn(&[u8]) -> bool),
}

/// A term of a query, and what can be told by it before a text is read.
pub(super) struct TermPlan<'q> {
    pub(super) pattern: &'q Pattern,
    /// The pieces between its runs of letters and digits that are variables, and those: of a text whose every run is a whole
    /// run of what it is found in.
    pub(super) parts: Option<Parts>,
    /// It is found in a text if it is found in a part of it.
    pub(super) is_local: bool,
    needles: Option<Vec<Needle>>,
    words: Vec<Vec<u8>>,
}

/// A text as templates have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) pieces: Vec<String>,
    pub(super) variables: Vec<Vec<u8>>,
}

impl Parts {
    /// Splits a text; `None` for one with a backslash, which templates have as an escape.
    pub(super) fn of(text: &str) -> Option<Self> {
        if text.contains('\\') {
            return None;
        }
        let (mut parts, mut from) = (Self::default(), 0);
        each_run(text.as_bytes(), |range, is_variable| {
            if is_variable {
                parts.pieces.push(text.get(from..range.start).unwrap_or_default().to_owned());
                from = range.end;
                parts.variables.push(text.get(range).unwrap_or_default().as_bytes().to_vec());
            }
        });
        parts.pieces.push(text.get(from..).unwrap_or_default().to_owned());
        Some(parts)
    }
}

impl<'q> TermPlan<'q> {
    pub(super) fn new(pattern: &'q Pattern) -> Self {
        let parts = pattern.closed_text().and_then(Parts::of);
        let mut words = Vec::new();
        if let Some(text) = pattern.closed_text().filter(|text| !text.contains('\\')) {
            each_run(text.as_bytes(), |range, _| words.push(text.as_bytes().get(range).unwrap_or_default().to_vec()));
        }
        Self { pattern, parts, is_local: pattern.is_local(), needles: pattern.needles(), words }
    }

    /// Returns whether one of the needles may be in what `may_have` tells, run of letters and digits by run. Without
    /// needles, anything may.
    pub(super) fn may_be_where(&self, mut may_have: impl FnMut(&[u8]) -> bool) -> bool {
        let Some(needles) = &self.needles else { return true };
        needles.iter().any(|needle| {
            let mut longest: &[u8] = b"";
            each_run(needle.bytes(), |range, _| {
                let run = needle.bytes().get(range).unwrap_or_default();
                if run.len() > longest.len() {
                    longest = run;
                }
            });
            longest.is_empty() || may_have(longest)
        })
    }
}

/// What numbers are asked.
pub(super) enum Numeric {
    /// None of them can be it.
    Never,
    /// Whether they are this one.
    Word(Word),
    /// Each of them, as a text.
    Each,
}

impl<'w> Wanted<'w> {
    pub(super) fn term(plan: &'w TermPlan<'w>, is_string: bool, watch: &'w Watch<'w>) -> Self {
        Self::new(Kind::Term(plan), is_string, watch)
    }

    pub(super) fn test(test: &'w Test, is_string: bool, watch: &'w Watch<'w>) -> Self {
        Self::new(Kind::Test(test), is_string, watch)
    }

    /// Looks for texts as they are stored.
    pub(super) fn bytes(is_it: &'w dyn Fn(&[u8]) -> bool, watch: &'w Watch<'w>) -> Self {
        Self::new(Kind::Bytes(is_it), true, watch)
    }

    /// Looks for a variable of a template.
    pub(super) fn word(word: &'w Word, watch: &'w Watch<'w>) -> Self {
        Self { word: Some(word.text.to_ascii_lowercase()), ..Self::new(Kind::Word(word), true, watch) }
    }

    fn new(kind: Kind<'w>, is_string: bool, watch: &'w Watch<'w>) -> Self {
        Self { kind, is_string, watch, word: None, folded: String::new(), lowered: Vec::new(), was_interrupted: false }
    }

    /// Returns whether a value, as it is stored, is or has what is looked for.
    pub(super) fn is_in(&mut self, stored: &[u8]) -> bool {
        let plan = match &self.kind {
            Kind::Bytes(is_it) => return is_it(stored),
            Kind::Test(test) => return test.holds_of(stored, self.is_string),
            Kind::Word(Word { text, any_case: true, .. }) => return stored.eq_ignore_ascii_case(text),
            Kind::Word(Word { text, .. }) => return *stored == **text,
            Kind::Term(plan) => *plan,
        };
        if !self.is_string && matches!(stored.first(), Some(b't' | b'f' | b'n')) {
            return false;
        }
        if plan.pattern.is_regex() && self.watch.is_over().is_some() {
            self.was_interrupted = true;
            return false;
        }
        let text = if self.is_string { unescaped(stored) } else { Cow::Borrowed(stored) };
        let text = String::from_utf8_lossy(&text);
        fold_into(&text, &mut self.folded);
        plan.pattern.is_in(&text, &self.folded)
    }

    /// Returns the term, if it is one.
    pub(super) fn plan(&self) -> Option<&'w TermPlan<'w>> {
        match &self.kind {
            Kind::Term(plan) => Some(plan),
            Kind::Test(_) | Kind::Word(_) | Kind::Bytes(_) => None,
        }
    }

    /// Returns the text that a value has to be as a whole, if JSON may write it in one way only but for escapes by number.
    pub(super) fn whole_text(&self) -> Option<&'w str> {
        match &self.kind {
            Kind::Test(Test::Text(text)) => {
                let is_plain = |letter: char| matches!(letter, ' '..='~') && !matches!(letter, '"' | '\\' | '/');
                Some(text.as_str()).filter(|text| text.chars().all(is_plain))
            }
            Kind::Test(Test::Level(_) | Test::Number(..)) | Kind::Term(_) | Kind::Word(_) | Kind::Bytes(_) => None,
        }
    }

    pub(super) fn numeric(&self) -> Numeric {
        let may_be = |text: &[u8]| text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
        let plan = match &self.kind {
            Kind::Test(Test::Text(text)) => {
                return Numeric::Word(Word { text: text.clone().into_bytes(), is_whole: true, any_case: false });
            }
            Kind::Test(Test::Level(level)) if !may_be(level.as_bytes()) => return Numeric::Never,
            Kind::Word(word) => return Numeric::Word((*word).clone()),
            Kind::Test(_) | Kind::Bytes(_) => return Numeric::Each,
            Kind::Term(plan) => plan,
        };
        match plan.pattern.text_of() {
            Some(text) if !may_be(text.as_bytes()) => Numeric::Never,
            Some(text) if plan.parts.is_some() && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                Numeric::Word(Word { text: text.as_bytes().to_vec(), is_whole: false, any_case: true })
            }
            Some(_) => Numeric::Each,
            None if plan.may_be_where(may_be) => Numeric::Each,
            None => Numeric::Never,
        }
    }

    /// Returns the words that a text must have, each as a whole run of letters and digits.
    pub(super) fn words(&self) -> impl Iterator<Item = &[u8]> {
        self.plan().map(|plan| plan.words.as_slice()).unwrap_or_default().iter().chain(&self.word).map(Vec::as_slice)
    }

    /// Returns whether it is known that nothing is found in any text of these bytes.
    pub(super) fn is_absent(&mut self, stored: &[u8]) -> bool {
        let Some(needles) = self.plan().and_then(|plan| plan.needles.as_ref()) else { return false };
        if !is_plain(stored) {
            return false;
        }
        self.lowered.clear();
        self.lowered.extend_from_slice(stored);
        self.lowered.make_ascii_lowercase();
        !needles.iter().any(|needle| needle.find(&self.lowered, 0).is_some())
    }

    pub(super) fn was_interrupted(&self) -> bool {
        self.was_interrupted
    }
}

/// Returns what a string stands for.
pub(super) fn unescaped(stored: &[u8]) -> Cow<'_, [u8]> {
    JsonStr::of_raw(stored).unescape()
}
