use std::collections::BTreeMap;

use serde::Serialize;

/// Different failures that are told apart; others are counted together.
const MAX_FAILURES: usize = 100;

/// What failed, where, and for how many records.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    operation: String,
    error: String,
    count: u64,
}

/// What a preview tells of records that are not in the results.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures {
    /// Records that all filters have chosen.
    pub(super) chosen: u64,
    by_kind: BTreeMap<(String, String), u64>,
}

impl Failures {
    pub(super) fn note(&mut self, operation: &str, error: &str) {
        let mut kind = (operation.to_owned(), error.to_owned());
        if self.by_kind.len() >= MAX_FAILURES && !self.by_kind.contains_key(&kind) {
            "other failures".clone_into(&mut kind.1);
        }
        *self.by_kind.entry(kind).or_default() += 1;
    }

    pub(super) fn all(self) -> Vec<Failure> {
        let all = self.by_kind.into_iter();
        all.map(|((operation, error), count)| Failure { operation, error, count }).collect()
    }
}
