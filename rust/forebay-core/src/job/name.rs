//! Names of queues: each priority of a name is a queue of its own.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

/// Longest base name of a queue.
const MAX_NAME_CHARACTERS: usize = 64;
/// The beginning of a queue's full name.
const PREFIX: &str = "queue:";

/// How soon a job is handed out, compared with others of its queue's base name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Before all others.
    High,
    /// Before low ones.
    #[default]
    Normal,
    /// When nothing else waits.
    Low,
}

impl Priority {
    /// Every priority, the first to be handed out first.
    pub const ALL: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

    /// Returns its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
        }
    }

    /// Reads a priority's name.
    ///
    /// # Errors
    /// `InvalidRequest` naming all of them.
    pub fn named(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|priority| priority.name() == name).ok_or_else(|| {
            Error::new(ErrorKind::InvalidRequest, format!("priority is {name:?}, must be high, normal or low"))
        })
    }

    pub(super) fn number(self) -> u8 {
        self as u8
    }

    pub(super) fn of_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// One queue: `queue:NAME:high`, `queue:NAME` or `queue:NAME:low`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct QueueName {
    pub(super) base: Arc<str>,
    pub(super) priority: Priority,
}

impl QueueName {
    /// Reads a full name, or a base name, which is that of its queue of normal priority.
    ///
    /// # Errors
    /// `InvalidRequest` that names the rule.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let rest = text.strip_prefix(PREFIX).unwrap_or(text);
        let (base, priority) = match rest.rsplit_once(':') {
            Some((base, "high")) => (base, Priority::High),
            Some((base, "low")) => (base, Priority::Low),
            _ => (rest, Priority::Normal),
        };
        Ok(Self { base: check_base(base, text)?.into(), priority })
    }

    /// Returns the queues that a lease of this name takes from, first to last: of a base name all, of a full name that one.
    ///
    /// # Errors
    /// Fails as [`QueueName::parse`] does.
    pub(super) fn parse_leased(text: &str) -> Result<Vec<Self>> {
        let named = Self::parse(text)?;
        if text.contains(':') {
            return Ok(vec![named]);
        }
        Ok(Priority::ALL.map(|priority| Self { base: Arc::clone(&named.base), priority }).to_vec())
    }
}

fn check_base<'a>(base: &'a str, text: &str) -> Result<&'a str> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    if base.is_empty() || base.len() > MAX_NAME_CHARACTERS || !base.bytes().all(allowed) {
        let detail = format!(
            "queue {text:?}: a name is 1 to {MAX_NAME_CHARACTERS} of a-z, 0-9, \"-\", \"_\" and \".\", and the queues of it \
             are queue:NAME:high, queue:NAME and queue:NAME:low"
        );
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    Ok(base)
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.base)?;
        if self.priority == Priority::Normal { Ok(()) } else { write!(f, ":{}", self.priority.name()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_come_back_and_wrong_ones_name_the_rule() {
        for (text, full) in [
            ("email", "queue:email"),
            ("queue:email", "queue:email"),
            ("queue:email:high", "queue:email:high"),
            ("email:low", "queue:email:low"),
        ] {
            assert_eq!(QueueName::parse(text).unwrap().to_string(), full);
        }
        let leased =
            |text: &str| QueueName::parse_leased(text).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(leased("email"), ["queue:email:high", "queue:email", "queue:email:low"]);
        assert_eq!(leased("queue:email"), ["queue:email"]);
        let long = "a".repeat(65);
        for wrong in ["", "queue:", "A", "a:b", "queue:a:normal", "a b", &long] {
            let error = QueueName::parse(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{wrong}");
        }
    }
}
