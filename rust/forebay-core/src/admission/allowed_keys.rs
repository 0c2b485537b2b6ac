//! The bounds of a limited token.

use std::collections::BTreeSet;
use std::sync::Arc;

/// The keys that a sender may write: its projects.
pub type AllowedKeys = Arc<BTreeSet<Vec<u8>>>;
