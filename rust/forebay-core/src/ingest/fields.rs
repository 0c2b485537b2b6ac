//! Values of single fields.

use std::borrow::Cow;

use super::integer::integer;
use crate::ids::Timestamp;
use crate::json::{JsonError, JsonStr, Scanner};
use crate::time::{from_millis, parse_timestamp};

/// Reads the next value if it is a string, and skips it otherwise.
#[inline]
pub(super) fn read_text<'a>(scanner: &mut Scanner<'a>) -> Result<Option<JsonStr<'a>>, JsonError> {
    if scanner.peek() == Some(b'"') {
        return scanner.read_string().map(Some);
    }
    scanner.skip_value()?;
    Ok(None)
}

/// Reads a moment in one of the forms of [`parse_timestamp`], or in milliseconds; or says why it is none.
pub(super) fn read_time(scanner: &mut Scanner<'_>) -> Result<Result<Timestamp, Cow<'static, str>>, JsonError> {
    if scanner.peek() == Some(b'"') {
        let text = scanner.read_string()?.unescape();
        return Ok(parse_timestamp(&text).map_err(|error| error.to_string().into()));
    }
    let millis = integer(scanner.skip_value()?).and_then(from_millis);
    Ok(millis.ok_or("must be RFC 3339, or whole milliseconds since 1970 in the years 1 to 9999".into()))
}
