//! What a function has made of a batch.

use std::ops::Range;

use crate::json::{elements, validate};

/// The longest text of a failure that is kept.
const MAX_FAILURE_CHARACTERS: usize = 1024;

/// What became of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FunctionResult<'a> {
    /// These values, in order; none: it is dropped.
    Values(&'a [Range<usize>]),
    /// It failed, and why.
    Failed(&'a str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stored {
    Values(Range<usize>),
    Failed(Box<str>),
}

/// The results of a batch, in the order of its values. Each value is valid JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    bytes: Vec<u8>,
    values: Vec<Range<usize>>,
    results: Vec<Stored>,
    is_too_large: bool,
}

impl Answer {
    /// Returns the answer of a batch that has become more than one answer holds: fewer values are to be given.
    pub(crate) fn too_large() -> Self {
        Self { is_too_large: true, ..Self::default() }
    }

    pub(crate) fn is_too_large(&self) -> bool {
        self.is_too_large
    }

    /// Returns how many values it is about.
    pub(crate) fn len(&self) -> usize {
        self.results.len()
    }

    /// Reads the answer to a call of `count` values.
    ///
    /// # Errors
    /// Names what is wrong with it.
    pub(crate) fn read(body: &[u8], count: usize) -> Result<Self, String> {
        let cut = || "the answer is cut short".to_owned();
        let (length, rest) = body.split_first_chunk().ok_or_else(cut)?;
        let (failures, results) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(cut)?;
        let failures: Vec<(usize, String)> =
            serde_json::from_slice(failures).map_err(|error| format!("the failures cannot be read: {error}"))?;
        // A value is stored as it comes, and read without being checked again.
        validate(results).map_err(|error| format!("the results are no JSON: {error}"))?;
        let mut answer = Self { bytes: results.to_vec(), ..Self::default() };
        let mut failures = failures.into_iter().peekable();
        for element in elements(results).ok_or("the results are no array")? {
            let index = answer.results.len();
            match failures.next_if(|(failed, _)| *failed == index) {
                Some((_, why)) => answer.push_failure(&why),
                None => answer.take_element(results, element),
            }
        }
        match (answer.results.len(), failures.next()) {
            (found, None) if found == count => Ok(answer),
            (found, None) => Err(format!("the answer has {found} results for {count} values")),
            (_, Some((index, _))) => Err(format!("the failure of value {index} is out of order")),
        }
    }

    /// Takes one element of the results as what became of a value.
    fn take_element(&mut self, results: &[u8], element: Range<usize>) {
        let first = self.values.len();
        let json = results.get(element.clone()).unwrap_or_default();
        match elements(json) {
            Some(several) => {
                let moved = several.map(|range| range.start + element.start..range.end + element.start);
                self.values.extend(moved);
            }
            None if json == b"null" => {}
            None => self.values.push(element),
        }
        self.results.push(Stored::Values(first..self.values.len()));
    }

    /// Adds a value that became this one.
    pub(crate) fn push_value(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let (first, start) = (self.values.len(), self.bytes.len());
        write(&mut self.bytes);
        self.values.push(start..self.bytes.len());
        self.results.push(Stored::Values(first..first + 1));
    }

    /// Adds one that failed.
    pub(crate) fn push_failure(&mut self, why: &str) {
        let why: String = why.chars().take(MAX_FAILURE_CHARACTERS).collect();
        self.results.push(Stored::Failed(why.into()));
    }

    /// Adds the results of the values that come behind.
    pub(crate) fn append(&mut self, other: &Self) {
        let (bytes, values) = (self.bytes.len(), self.values.len());
        self.bytes.extend_from_slice(&other.bytes);
        self.values.extend(other.values.iter().map(|range| range.start + bytes..range.end + bytes));
        self.results.extend(other.results.iter().map(|result| match result {
            Stored::Values(range) => Stored::Values(range.start + values..range.end + values),
            Stored::Failed(why) => Stored::Failed(why.clone()),
        }));
    }

    /// Returns what became of each value.
    pub(crate) fn results(&self) -> impl Iterator<Item = FunctionResult<'_>> {
        self.results.iter().map(|result| match result {
            Stored::Values(range) => FunctionResult::Values(self.values.get(range.clone()).unwrap_or_default()),
            Stored::Failed(why) => FunctionResult::Failed(why),
        })
    }

    /// Returns one of the values.
    pub(crate) fn value(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// Returns the bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use super::*;

    fn body(failures: &str, results: &str) -> Vec<u8> {
        let mut body = u32::try_from(failures.len()).unwrap().to_le_bytes().to_vec();
        body.extend_from_slice(failures.as_bytes());
        body.extend_from_slice(results.as_bytes());
        body
    }

    fn shown(answer: &Answer) -> Vec<String> {
        let text = |range: &Range<usize>| String::from_utf8(answer.value(range).to_vec()).unwrap();
        let shown = answer.results().map(|result| match result {
            FunctionResult::Values(values) => values.iter().map(text).collect::<Vec<_>>().join(" "),
            FunctionResult::Failed(why) => format!("! {why}"),
        });
        shown.collect()
    }

    #[test]
    fn null_drops_an_array_fans_out_and_failures_stand_at_their_places() {
        let results = r#"[{"a":1}, null,[ ],[1, "x,]",[2]],null,0]"#;
        let answer = Answer::read(&body(r#"[[4,"no"]]"#, results), 6).unwrap();
        assert_eq!(shown(&answer), [r#"{"a":1}"#, "", "", r#"1 "x,]" [2]"#, "! no", "0"]);
    }

    #[test]
    fn answers_are_joined_in_order() {
        let mut all = Answer::read(&body("[]", "[1,[2,3]]"), 2).unwrap();
        all.push_failure("gone");
        all.append(&Answer::read(&body(r#"[[1,"x"]]"#, r#"[[4],null,{"b":5}]"#), 3).unwrap());
        all.push_value(|out| out.extend_from_slice(b"6"));
        assert_eq!(shown(&all), ["1", "2 3", "! gone", "4", "! x", r#"{"b":5}"#, "6"]);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for (failures, results, count, wanted) in [
            ("[]", "[1,2]", 3, "2 results for 3"),
            ("[]", "[1,2,3]", 2, "3 results for 2"),
            ("[]", "{}", 0, "no array"),
            ("[]", "[1,", 2, "no JSON"),
            ("[]", "[01]", 1, "no JSON"),
            ("{", "[]", 0, "cannot be read"),
            (r#"[[1,"b"],[0,"a"]]"#, "[1,2]", 2, "value 0 is out of order"),
            (r#"[[2,"b"]]"#, "[1,2]", 2, "value 2 is out of order"),
        ] {
            let error = Answer::read(&body(failures, results), count).unwrap_err();
            assert!(error.contains(wanted), "{error}: {wanted}");
        }
        assert!(Answer::read(&[1, 0], 0).unwrap_err().contains("cut short"));
        assert!(Answer::read(&[9, 0, 0, 0, b'['], 0).unwrap_err().contains("cut short"));
    }
}
