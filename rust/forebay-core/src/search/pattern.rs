//! What one term of a query looks for in a text.

use memchr::memmem::Finder;
use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};

use super::fold::folded;
use super::needle::Needle;
use crate::error::{Error, ErrorKind, Result};

/// The most memory that one regular expression takes, compiled and while it runs: room for a dozen classes of Unicode. The
/// time of a search grows with it.
pub const MAX_REGEX_BYTES: usize = 256 * 1024;
/// The part of a text that a regular expression is looked for in: one that has to be followed state by state does so within
/// seconds.
pub const MAX_REGEX_TEXT_BYTES: usize = 64 * 1024;
/// The deepest nesting of a regular expression: it is compiled by recursion.
const MAX_REGEX_DEPTH: u32 = 50;

/// What is looked for.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// A word, a phrase or the beginning of a word.
    Text(Box<TextPattern>),
    /// A regular expression, which matches in any case.
    Regex(Regex),
}

/// A text that is looked for in folded texts.
#[derive(Clone, Debug)]
pub(super) struct TextPattern {
    finder: Finder<'static>,
    /// The length of its first character.
    step: usize,
    /// No letter or digit may stand directly before it.
    begins: bool,
    /// No letter or digit may stand directly after it.
    ends: bool,
}

impl Pattern {
    /// Makes the pattern of a text as somebody wrote it. It matches as a whole where its edges are letters or digits; with
    /// `open_end` what begins with it matches, too.
    pub(super) fn text(text: &str, open_end: bool) -> Self {
        let text = folded(text);
        let is_part = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
        Self::Text(Box::new(TextPattern {
            step: text.chars().next().map_or(1, char::len_utf8),
            begins: is_part(text.chars().next()),
            ends: !open_end && is_part(text.chars().next_back()),
            finder: Finder::new(text.as_bytes()).into_owned(),
        }))
    }

    /// Compiles a regular expression.
    ///
    /// # Errors
    /// `InvalidRequest` with what is wrong with it, or that it is too large.
    pub(super) fn regex(source: &str) -> Result<Self> {
        let mut builder = RegexBuilder::new(source);
        builder.case_insensitive(true).nest_limit(MAX_REGEX_DEPTH);
        builder.size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES);
        builder.build().map(Self::Regex).map_err(|error| refused(&error))
    }

    /// Returns whether it is in a text, of which `folded` is the folded form.
    pub(super) fn is_in(&self, text: &str, folded: &str) -> bool {
        match self {
            Self::Text(pattern) => pattern.is_in(folded),
            Self::Regex(regex) => {
                // At most three bytes further back a character begins.
                let ends = (0..4).map(|back| MAX_REGEX_TEXT_BYTES.min(text.len()).saturating_sub(back));
                regex.is_match(ends.filter_map(|end| text.get(..end)).next().unwrap_or_default())
            }
        }
    }

    /// Returns needles of which the stored bytes of whatever it is in have at least one; `None` when nothing is known.
    pub(super) fn needles(&self) -> Option<Vec<Needle>> {
        match self {
            Self::Text(pattern) => Needle::of(pattern.text()).map(|needle| vec![needle]),
            Self::Regex(regex) => {
                // Read as if case meant something, its letters stand there as they are; any case of them matches.
                let hir = regex_syntax::ParserBuilder::new().nest_limit(MAX_REGEX_DEPTH).build().parse(regex.as_str());
                needles_of(&hir.ok()?)
            }
        }
    }

    /// Returns whether it is a regular expression.
    pub(super) fn is_regex(&self) -> bool {
        matches!(self, Self::Regex(_))
    }

    /// Returns the text that is looked for, folded; `None` of a regular expression.
    pub(super) fn text_of(&self) -> Option<&str> {
        match self {
            Self::Text(pattern) => Some(pattern.text()),
            Self::Regex(_) => None,
        }
    }

    /// Returns the text that is looked for, if each of its runs of letters and digits is one in what it is found in, too.
    pub(super) fn closed_text(&self) -> Option<&str> {
        match self {
            Self::Text(pattern) => {
                let is_closed = pattern.ends || !pattern.text().ends_with(char::is_alphanumeric);
                Some(pattern.text()).filter(|_| is_closed)
            }
            Self::Regex(_) => None,
        }
    }

    /// Returns whether it is in a text as soon as it is in a part of it whose edges are not inside of a run of letters and
    /// digits.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Regex(regex) => {
                let hir = regex_syntax::ParserBuilder::new().nest_limit(MAX_REGEX_DEPTH).build().parse(regex.as_str());
                hir.is_ok_and(|hir| hir.properties().look_set().is_empty())
            }
        }
    }

    /// Returns whether it is a text with characters beyond ASCII.
    pub(super) fn is_beyond_ascii(&self) -> bool {
        matches!(self, Self::Text(pattern) if !pattern.text().is_ascii())
    }
}

impl TextPattern {
    fn text(&self) -> &str {
        // It was made of a text.
        std::str::from_utf8(self.finder.needle()).unwrap_or_default()
    }

    fn is_in(&self, folded: &str) -> bool {
        let mut from = 0;
        while let Some(found) = folded.get(from..).and_then(|rest| self.finder.find(rest.as_bytes())) {
            let (start, end) = (from + found, from + found + self.finder.needle().len());
            let (before, after) = (folded.get(..start).unwrap_or_default(), folded.get(end..).unwrap_or_default());
            let begins = !self.begins || !before.ends_with(char::is_alphanumeric);
            if begins && (!self.ends || !after.starts_with(char::is_alphanumeric)) {
                return true;
            }
            // Every other occurrence in the same run of letters and digits would follow one of them.
            let rest = folded.get(start..).unwrap_or_default();
            let run = if self.begins { rest.find(|letter: char| !letter.is_alphanumeric()) } else { Some(self.step) };
            match run {
                Some(length) => from = start + length,
                None => return false,
            }
        }
        false
    }
}

fn refused(error: &regex::Error) -> Error {
    let why = if let regex::Error::CompiledTooBig(limit) = error {
        format!("compiled it is larger than {limit} bytes; ask for fewer repetitions or classes")
    } else {
        // The text of a syntax error draws the place on lines of its own.
        error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ")
    };
    Error::new(ErrorKind::InvalidRequest, why)
}

/// Returns needles of which every match has at least one; `None` when there is a match without a known piece.
fn needles_of(hir: &Hir) -> Option<Vec<Needle>> {
    match hir.kind() {
        HirKind::Literal(literal) => Needle::of(std::str::from_utf8(&literal.0).ok()?).map(|needle| vec![needle]),
        HirKind::Capture(capture) => needles_of(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => needles_of(&repetition.sub),
        HirKind::Concat(parts) => {
            // The best is the one whose shortest needle is the longest.
            parts.iter().filter_map(needles_of).max_by_key(|needles| needles.iter().map(Needle::len).min())
        }
        HirKind::Alternation(parts) => {
            let each: Option<Vec<_>> = parts.iter().map(needles_of).collect();
            each.map(|needles| needles.into_iter().flatten().collect())
        }
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use super::*;

    fn is_in(pattern: &Pattern, text: &str) -> bool {
        pattern.is_in(text, &folded(text))
    }

    #[test]
    fn a_word_stands_alone_and_a_beginning_need_not() {
        let word = Pattern::text("Time-Out", false);
        assert!(
            ["time-out", "a TIME-OUT!", "(time-out)", "time-outs time-out", "_time-out_"]
                .iter()
                .all(|t| is_in(&word, t))
        );
        assert!(!["time-outs", "atime-out", "2time-out", "étime-out", "time out", ""].iter().any(|t| is_in(&word, t)));
        let beginning = Pattern::text("time", true);
        assert!(is_in(&beginning, "a timeout") && !is_in(&beginning, "overtime"));
        // An occurrence may overlap one that does not count.
        assert!(is_in(&Pattern::text("a-a", false), "xa-a-a") && !is_in(&Pattern::text("a-a", false), "xa-ax"));
        // Punctuation has no edges.
        assert!(is_in(&Pattern::text("->", false), "a->b") && is_in(&Pattern::text("->b", false), "->bc ->b"));
        assert!(
            is_in(&Pattern::text("ΣΊΣΥΦΟΣ", false), "σίσυφος") && is_in(&Pattern::text("disk", false), "DIſ\u{212a}")
        );
    }

    #[test]
    fn expressions_match_in_any_case_and_are_bounded() {
        assert!(is_in(&Pattern::regex(r"conn\w+ \d{3}").unwrap(), "CONNECTION 500"));
        let refused = |source: &str| Pattern::regex(source).unwrap_err().to_string();
        assert!(refused("(").contains("unclosed group"), "{}", refused("("));
        assert!(refused(r"\w{1000}").contains("fewer repetitions"), "{}", refused(r"\w{1000}"));
        assert!(refused(&"(".repeat(1000)).len() < 10_000);
        let deep = format!("{}a{}", "(?:".repeat(100), ")".repeat(100));
        assert!(refused(&deep).contains("nest"), "{}", refused(&deep));
        let far = format!("{}needle", " ".repeat(MAX_REGEX_TEXT_BYTES));
        let regex = Pattern::regex("needle").unwrap();
        assert!(!is_in(&regex, &far) && is_in(&regex, &far[10..]));
        assert!(!is_in(&regex, &far.replace(' ', "ü")), "a text is cut between characters");
    }

    #[test]
    fn every_match_of_an_expression_has_one_of_its_needles() {
        let needles = |source: &str| Pattern::regex(source).unwrap().needles().map(|needles| needles.len());
        assert_eq!(needles("time(out|d)"), Some(1));
        assert_eq!(needles("error|failed|panic"), Some(3));
        assert_eq!(needles(r"user-\d+ (gone)?"), Some(1));
        assert_eq!(needles(r"\d+"), None);
        assert_eq!(needles(r"a|\d"), None);
        assert_eq!(needles("(?i)error"), None, "letters of either case are no piece");
    }
}
