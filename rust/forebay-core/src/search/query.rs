//! The full text of a search as people write it.

use super::pattern::Pattern;
use crate::error::{Error, ErrorKind, Result};

/// The longest query: pages of words, and still compiled at once.
pub const MAX_QUERY_BYTES: usize = 16 * 1024;
/// The most terms of a query: as many as one number has bits, which say what of a record was found.
pub const MAX_TERMS: usize = 64;
/// The most regular expressions of a query, each of which takes milliseconds to compile.
pub const MAX_REGEXES: usize = 8;

/// A query: every term has to be found in a record, in any of its texts, and no excluded one may be.
///
/// A record's texts are its `message`, and each string and number in its `metadata`, numbers as they are written. Terms
/// are separated by white space, and letters match in any case:
///
/// - `word` matches where it occurs in a text with no letter or digit directly before or after it. White space ends a word,
///   and punctuation around it does not belong to it; inside of it, punctuation does: `10.42.17.99` and `db-pool` are one
///   word each. What has neither letter nor digit matches wherever it occurs.
/// - `prefix*` matches likewise, whatever comes after it.
/// - `"a phrase"` matches as it is written, white space included. `\"` is a quotation mark in it, `\\` a backslash.
/// - `/regex/` is a regular expression; `\/` is a slash in it. A word with slashes inside of it is none.
/// - `-` directly before any of these excludes the records in which it is found.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    pub(super) terms: Vec<Term>,
}

/// One term.
#[derive(Clone, Debug)]
pub(super) struct Term {
    /// It must not be found.
    pub(super) is_excluded: bool,
    /// What is looked for.
    pub(super) pattern: Pattern,
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// `InvalidRequest` naming the byte where a term begins that cannot be read.
    pub(super) fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_QUERY_BYTES {
            let detail = format!("query: has {} bytes, more than the limit of {MAX_QUERY_BYTES}", text.len());
            return Err(Error::new(ErrorKind::InvalidRequest, detail));
        }
        let mut query = Self::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let at = text.len() - rest.len();
            let (term, after) = read_term(rest).map_err(|error| refused(at, error.detail()))?;
            query.terms.push(term);
            let regexes = query.terms.iter().filter(|term| matches!(term.pattern, Pattern::Regex(_))).count();
            if query.terms.len() > MAX_TERMS || regexes > MAX_REGEXES {
                let why = format!("is one too many: {MAX_TERMS} terms are allowed, {MAX_REGEXES} regular expressions");
                return Err(refused(at, &why));
            }
            rest = after.trim_start();
        }
        Ok(query)
    }
}

fn refused(at: usize, why: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("query: the term at byte {at}: {why}"))
}

/// Reads one term, and returns what follows it.
fn read_term(text: &str) -> Result<(Term, &str)> {
    let excluded = text.strip_prefix('-').filter(|rest| !rest.is_empty() && !rest.starts_with(char::is_whitespace));
    let (is_excluded, text) = excluded.map_or((false, text), |rest| (true, rest));
    let (pattern, rest) = if let Some(phrase) = text.strip_prefix('"') {
        read_phrase(phrase)?
    } else if let Some((source, rest)) = text.strip_prefix('/').and_then(find_regex) {
        (Pattern::regex(source)?, rest)
    } else {
        let (word, rest) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
        (word_pattern(word)?, rest)
    };
    Ok((Term { is_excluded, pattern }, rest))
}

fn read_phrase(text: &str) -> Result<(Pattern, &str)> {
    let mut phrase = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' if phrase.is_empty() => {
                return Err(Error::new(ErrorKind::InvalidRequest, "a phrase must not be empty; leave it out"));
            }
            '"' => return Ok((Pattern::text(&phrase, false), text.get(at + 1..).unwrap_or_default())),
            '\\' => match letters.clone().next() {
                Some((_, escaped @ ('"' | '\\'))) => {
                    phrase.push(escaped);
                    letters.next();
                }
                _ => phrase.push(letter),
            },
            _ => phrase.push(letter),
        }
    }
    let detail = "the phrase does not end; add a quotation mark, or write \\\" for one that is looked for";
    Err(Error::new(ErrorKind::InvalidRequest, detail))
}

/// Returns the expression that ends at the first slash without a backslash, and what follows; `None` when the term does not
/// end there, too, or is empty: then it is a word.
fn find_regex(text: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let end = text.find(|letter| match letter {
        _ if is_escaped => {
            is_escaped = false;
            false
        }
        '\\' => {
            is_escaped = true;
            false
        }
        _ => letter == '/',
    })?;
    let rest = text.get(end + 1..)?;
    let is_whole = end > 0 && (rest.is_empty() || rest.starts_with(char::is_whitespace));
    is_whole.then_some((text.get(..end)?, rest))
}

fn word_pattern(word: &str) -> Result<Pattern> {
    let is_edge = |letter: char| !letter.is_alphanumeric();
    if let Some(beginning) = word.strip_suffix('*') {
        if beginning.is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "nothing stands before the *; say how the word begins"));
        }
        let inner = beginning.trim_start_matches(is_edge);
        return Ok(Pattern::text(if inner.is_empty() { beginning } else { inner }, true));
    }
    let inner = word.trim_matches(is_edge);
    Ok(Pattern::text(if inner.is_empty() { word } else { inner }, false))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use proptest::prelude::*;

    use super::super::fold::folded;
    use super::*;

    fn matches(query: &str, text: &str) -> bool {
        let query = Query::parse(query).unwrap();
        let folded = folded(text);
        query.terms.iter().all(|term| term.pattern.is_in(text, &folded) != term.is_excluded)
    }

    fn refusal(query: &str) -> String {
        Query::parse(query).unwrap_err().detail().to_owned()
    }

    #[test]
    fn each_kind_of_term_finds_what_it_says() {
        let text = r#"[db-pool] Connection to 10.42.17.99:5432 "timed out" after 30s at /var/log/app"#;
        for query in [
            "",
            " \t",
            "connection",
            "CONNECTION timed",
            "10.42.17.99",
            "db-pool",
            "[db-pool]",
            "17.99",
            "5432,",
            "conn*",
            "\"connection to\"",
            "\"\\\"timed out\\\"\"",
            "/conn\\w+ to/",
            "/\\/var\\/log/",
            "/var/log/app",
            "-refused",
            "-\"out timed\"",
            "connection -/\\d{5}/",
            "-con",
            "30s",
            "/a/b -x -/y/ -z".strip_prefix("/a/b ").unwrap(),
        ] {
            assert!(matches(query, text), "{query:?}");
        }
        for query in
            ["conn", "onnection*", "\"connection  to\"", "-connection", "10.42.17.9", "db-poo", "/\\d{5}/", "a/b"]
        {
            assert!(!matches(query, text), "{query:?}");
        }
        assert!(matches("a - b", "a - b") && !matches("a - b", "a b") && matches("a\\b", "a\\b"));
        assert!(matches("\"\\d\"", "\\d"), "a backslash that escapes nothing is one");
    }

    #[test]
    fn a_refusal_says_where_and_what_to_do() {
        assert_eq!(
            refusal("fine \"not fine"),
            "query: the term at byte 5: the phrase does not end; add a quotation mark, or write \\\" for one that is \
             looked for"
        );
        assert!(
            refusal("a *").starts_with("query: the term at byte 2: nothing stands before the *"),
            "{}",
            refusal("a *")
        );
        assert!(refusal("\"\"").contains("must not be empty"));
        assert!(refusal("x /(/").starts_with("query: the term at byte 2: regex parse error"), "{}", refusal("x /(/"));
        assert!(!refusal("/(/").contains('\n'));
    }

    #[test]
    fn what_is_too_much_is_refused_at_once() {
        assert!(refusal(&"a ".repeat(5_000_000)).contains("more than the limit of 16384"));
        assert!(Query::parse(&"a".repeat(MAX_QUERY_BYTES)).is_ok());
        assert!(Query::parse(&"a ".repeat(MAX_TERMS)).is_ok());
        assert!(refusal(&"a ".repeat(MAX_TERMS + 1)).contains("at byte 128: is one too many"));
        assert!(Query::parse(&"/a/ ".repeat(MAX_REGEXES)).is_ok());
        assert!(refusal(&"/a/ ".repeat(MAX_REGEXES + 1)).contains("one too many"));
        let alternatives = format!("/{}/", (0..3_000).map(|n| n.to_string()).collect::<Vec<_>>().join("|"));
        assert!(
            Query::parse(&alternatives).is_ok_and(|query| query.terms.len() == 1)
                || refusal(&alternatives).len() < 1000
        );
        assert!(refusal("/(a{1000}){1000}/").contains("larger than"), "{}", refusal("/(a{1000}){1000}/"));
    }

    #[test]
    fn an_expression_that_explodes_elsewhere_is_linear() {
        let text = "a".repeat(60_000);
        assert!(!matches("/^(a+)+$/ -/^(a|aa)+$/ /(a*)*b/", &text));
        assert!(!matches("/(.*a){12}b/", &text));
    }

    proptest! {
        #[test]
        fn any_text_is_a_query_or_refused(text in "\\PC{0,200}") {
            let _either = Query::parse(&text);
        }

        #[test]
        fn any_text_of_signs_is_a_query_or_refused(text in "[-\"/\\\\* a(){}|+?0-9ü]{0,60}", searched in "[-\"/\\\\ a0ü]{0,40}") {
            if let Ok(query) = Query::parse(&text) {
                let folded = folded(&searched);
                for term in &query.terms {
                    let _either = term.pattern.is_in(&searched, &folded);
                }
            }
        }
    }
}
