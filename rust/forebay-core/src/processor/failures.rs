use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Different failures that are told apart; others are counted together.
const MAX_FAILURES: usize = 100;

/// What a preview tells of records that are not in the results.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures {
    /// Records that all filters have chosen.
    pub(super) chosen: u64,
    by_kind: BTreeMap<(String, String), u64>,
}

impl Failures {
    pub(super) fn note(&mut self, operation: &str, error: &str) {
        let kind = (operation.to_owned(), error.to_owned());
        if self.by_kind.len() < MAX_FAILURES || self.by_kind.contains_key(&kind) {
            *self.by_kind.entry(kind).or_default() += 1;
        } else {
            *self.by_kind.entry((operation.to_owned(), "other failures".to_owned())).or_default() += 1;
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let all = self.by_kind.iter();
        all.map(|((operation, error), count)| json!({"operation": operation, "error": error, "count": count})).collect()
    }
}
