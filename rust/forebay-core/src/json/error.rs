use std::fmt;

use super::scanner::MAX_DEPTH;

/// The fault of a text that is not JSON.
///
/// A whole word: as a byte, its padding would be copied in pieces with every result of the scanner, also the good ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum JsonFault {
    /// A byte sequence that is not UTF-8.
    Utf8,
    /// A byte order mark at the beginning.
    ByteOrderMark,
    /// The text ends in the middle of a value.
    Truncated,
    /// No value begins here.
    Value,
    /// An object's key does not begin with a quotation mark.
    Key,
    /// No colon after a key.
    Colon,
    /// Neither a comma nor the end of the object or array.
    Comma,
    /// An unescaped character below U+0020 in a string.
    ControlCharacter,
    /// A backslash that begins none of JSON's escapes.
    Escape,
    /// Half of a surrogate pair.
    Surrogate,
    /// A number that is not in JSON's form.
    Number,
    /// Objects and arrays nested too deeply.
    Depth,
    /// Something after the value.
    Trailing,
    /// A value of another type than the caller asked for.
    Type,
}

/// The reason why a text is not JSON, and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// The fault.
    pub fault: JsonFault,
    /// The index of the offending byte; the text's length when it ends too early.
    pub position: usize,
}

impl JsonError {
    #[cold]
    pub(super) fn new(fault: JsonFault, position: usize) -> Self {
        Self { fault, position }
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "invalid UTF-8",
            Self::ByteOrderMark => "byte order mark",
            Self::Truncated => "unexpected end",
            Self::Value => "expected a value",
            Self::Key => "expected a quoted key",
            Self::Colon => "expected a colon",
            Self::Comma => "expected a comma or the end of the object or array",
            Self::ControlCharacter => "unescaped control character in a string",
            Self::Escape => "invalid escape",
            Self::Surrogate => "lone surrogate",
            Self::Number => "invalid number",
            Self::Depth => return write!(f, "nested more than {MAX_DEPTH} deep"),
            Self::Trailing => "unexpected text after the value",
            Self::Type => "value of another type than expected",
        })
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.fault, self.position)
    }
}

impl std::error::Error for JsonError {}
