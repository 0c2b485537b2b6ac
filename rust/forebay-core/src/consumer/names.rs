//! Names that clients choose for groups and members.

use crate::error::{Error, ErrorKind, Result};
use crate::stream::check_name;

/// Longest name of a member. Names are kept in memory, one for each member and for each partition it holds.
pub const MAX_MEMBER_CHARACTERS: usize = 128;

/// Checks a group's name by the rule of streams' names: it is a segment of a path, and part of a row's key.
///
/// # Errors
/// `InvalidRequest` that names the rule.
pub fn check_group(name: &str) -> Result<()> {
    check_name("consumer group", name)
}

/// Checks a member's name: 1 to 128 visible ASCII characters.
///
/// # Errors
/// `InvalidRequest` that names the rule.
pub fn check_member(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_MEMBER_CHARACTERS || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        let rule = format!("member {name:?} must be 1 to {MAX_MEMBER_CHARACTERS} visible ASCII characters");
        return Err(Error::new(ErrorKind::InvalidRequest, rule));
    }
    Ok(())
}
