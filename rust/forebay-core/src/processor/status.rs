//! Whether a processor runs.

use serde::{Deserialize, Serialize};

/// A processor's status, as it is stored and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessorStatus {
    /// It reads what comes.
    Running,
    /// A user, or its state's bound, holds it.
    Paused,
    /// It cannot go on before somebody does something: its source or sink is gone.
    Failed,
    /// It is being deleted, and some of its rows are gone.
    Deleting,
}

impl ProcessorStatus {
    /// Returns the name, as answers have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
        }
    }
}

/// A status with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) is: ProcessorStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

impl Stored {
    pub(super) fn new(is: ProcessorStatus, reason: Option<String>) -> Self {
        Self { is, reason }
    }
}
