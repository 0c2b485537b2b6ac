use super::error::{JsonError, JsonFault};
use super::number::end_of_number;
use super::string;
use super::string::JsonStr;

/// The limit on nested objects and arrays. No log line needs more, and whoever reads the records with a recursive
/// parser is safe on its stack. The bits of one `u64` hold a path of this length.
pub const MAX_DEPTH: u32 = 64;

/// Checks that `bytes` is exactly one JSON value, with nothing but white space around it.
///
/// # Errors
/// The first fault and its place.
pub fn validate(bytes: &[u8]) -> Result<(), JsonError> {
    let mut scanner = Scanner::new(bytes)?;
    scanner.skip_value()?;
    scanner.finish()
}

/// Reads a JSON text from front to back and hands out spans of it.
///
/// An object is read with [`Self::open_object`], then [`Self::next_key`] until it gives `None`, and one value (read or
/// skipped) after each key. To read an array: [`Self::open_array`], then [`Self::next_element`] until it gives
/// `false`, and one value after each `true`. After an error the scanner is of no more use.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Returns the number of objects and arrays that are open.
    depth: u32,
    /// An object or array was opened just now, so that no comma stands before its first member.
    fresh: bool,
}

impl<'a> Scanner<'a> {
    /// Begins to read a text, and checks the whole of it for UTF-8.
    ///
    /// # Errors
    /// Invalid UTF-8, or a byte order mark.
    pub fn new(bytes: &'a [u8]) -> Result<Self, JsonError> {
        if simdutf8::basic::from_utf8(bytes).is_err() {
            // The fast check does not say where.
            let position = simdutf8::compat::from_utf8(bytes).err().map_or(0, |error| error.valid_up_to());
            return Err(JsonError::new(JsonFault::Utf8, position));
        }
        if bytes.starts_with("\u{feff}".as_bytes()) {
            return Err(JsonError::new(JsonFault::ByteOrderMark, 0));
        }
        Ok(Self { bytes, at: 0, depth: 0, fresh: false })
    }

    /// Returns the index of the next byte that is read.
    #[must_use]
    #[inline(always)]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Returns what was read since the scanner was at `start`.
    #[must_use]
    #[inline(always)]
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// Returns the first byte of the next value, which tells its type; the white space before it is skipped.
    #[inline(always)]
    pub fn peek(&mut self) -> Option<u8> {
        self.skip_whitespace();
        self.byte()
    }

    /// Enters an object.
    ///
    /// # Errors
    /// The next value is not an object, or nested too deeply.
    #[inline]
    pub fn open_object(&mut self) -> Result<(), JsonError> {
        self.open(b'{')
    }

    /// Enters an array.
    ///
    /// # Errors
    /// The next value is not an array, or nested too deeply.
    #[inline]
    pub fn open_array(&mut self) -> Result<(), JsonError> {
        self.open(b'[')
    }

    /// Returns the next key of the object that was opened last, with its colon; `None` when the object ends here.
    ///
    /// # Errors
    /// The object is malformed here.
    #[inline(always)]
    pub fn next_key(&mut self) -> Result<Option<JsonStr<'a>>, JsonError> {
        if self.next_member(b'}')? { self.key().map(Some) } else { Ok(None) }
    }

    /// Reads the next key of the object that was opened last if it is written exactly like `guess`: quoted, without white
    /// space, the colon at the end. Otherwise nothing is read and [`Self::next_key`] must be used.
    ///
    /// A right guess costs one comparison, and the processor need not wait for a key's length to read on behind it.
    #[inline(always)]
    pub fn take_key<const N: usize>(&mut self, guess: &[u8; N]) -> bool {
        let start = if self.fresh {
            self.at
        } else if self.byte() == Some(b',') {
            self.at + 1
        } else {
            return false;
        };
        if self.bytes.get(start..).and_then(<[u8]>::first_chunk) != Some(guess) {
            return false;
        }
        self.fresh = false;
        self.at = start + N;
        true
    }

    /// Returns whether the array that was opened last has another element, which then is the next value.
    ///
    /// # Errors
    /// The array is malformed here.
    #[inline(always)]
    pub fn next_element(&mut self) -> Result<bool, JsonError> {
        self.next_member(b']')
    }

    /// Reads a string.
    ///
    /// # Errors
    /// The next value is not a string, or a malformed one.
    #[inline(always)]
    pub fn read_string(&mut self) -> Result<JsonStr<'a>, JsonError> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(_) => Err(self.fault(JsonFault::Type)),
            None => Err(self.fault(JsonFault::Truncated)),
        }
    }

    /// Checks the next value, whatever it is, and gives its span without white space around it.
    ///
    /// # Errors
    /// The value is malformed.
    #[inline]
    pub fn skip_value(&mut self) -> Result<&'a [u8], JsonError> {
        let first = self.peek();
        let start = self.at;
        match first {
            Some(b'{' | b'[') => self.skip_container()?,
            _ => self.skip_scalar()?,
        }
        Ok(self.since(start))
    }

    /// Checks that nothing but white space is left.
    ///
    /// # Errors
    /// Something is left.
    pub fn finish(&mut self) -> Result<(), JsonError> {
        if self.peek().is_some() { Err(self.fault(JsonFault::Trailing)) } else { Ok(()) }
    }

    #[inline(always)]
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline(always)]
    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }

    /// Returns the fault at this place, or that the text ends here.
    #[cold]
    fn fault(&self, fault: JsonFault) -> JsonError {
        let fault = if self.at < self.bytes.len() { fault } else { JsonFault::Truncated };
        JsonError::new(fault, self.at)
    }

    #[inline(always)]
    fn open(&mut self, bracket: u8) -> Result<(), JsonError> {
        if self.peek() != Some(bracket) {
            return Err(self.fault(JsonFault::Type));
        }
        self.deepen()?;
        self.fresh = true;
        Ok(())
    }

    /// Consumes an opening bracket.
    #[inline(always)]
    fn deepen(&mut self) -> Result<(), JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault(JsonFault::Depth));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Consumes a closing bracket. Each is matched with an opening one before, so the depth is never 0 here.
    #[inline(always)]
    fn surface(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.at += 1;
    }

    /// Goes to the next member, over the comma; false when `bracket` ends the object or array here.
    #[inline(always)]
    fn next_member(&mut self, bracket: u8) -> Result<bool, JsonError> {
        let fresh = std::mem::take(&mut self.fresh);
        match self.peek() {
            Some(byte) if byte == bracket => {
                self.surface();
                Ok(false)
            }
            Some(_) if fresh => Ok(true),
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(self.fault(JsonFault::Comma)),
        }
    }

    #[inline(always)]
    fn key(&mut self) -> Result<JsonStr<'a>, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.fault(JsonFault::Key));
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.fault(JsonFault::Colon));
        }
        self.at += 1;
        Ok(key)
    }

    /// Reads a string whose opening quotation mark is here.
    #[inline(always)]
    fn string(&mut self) -> Result<JsonStr<'a>, JsonError> {
        let string = string::read(self.bytes, self.at + 1)?;
        self.at += string.raw().len() + 2;
        Ok(string)
    }

    #[inline]
    fn skip_scalar(&mut self) -> Result<(), JsonError> {
        match self.byte() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => {
                self.at = end_of_number(self.bytes, self.at)?;
                Ok(())
            }
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => Err(self.fault(JsonFault::Value)),
        }
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), JsonError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(literal) {
            let fault = if literal.starts_with(rest) { JsonFault::Truncated } else { JsonFault::Value };
            let position = if literal.starts_with(rest) { self.bytes.len() } else { self.at };
            return Err(JsonError::new(fault, position));
        }
        self.at += literal.len();
        Ok(())
    }

    /// Skips the object or array that begins here, with all that is in it.
    fn skip_container(&mut self) -> Result<(), JsonError> {
        let base = self.depth;
        // The path to here, the innermost one lowest: 1 is an object, 0 an array. MAX_DEPTH keeps it in 64 bits.
        let mut objects = 0_u64;
        loop {
            let object = match self.peek() {
                Some(b'{') => true,
                Some(b'[') => false,
                _ => {
                    self.skip_scalar()?;
                    if self.skip_ends(base, &mut objects)? {
                        return Ok(());
                    }
                    continue;
                }
            };
            self.deepen()?;
            objects = objects << 1 | u64::from(object);
            let empty = self.peek() == Some(if object { b'}' } else { b']' });
            if empty {
                if self.skip_ends(base, &mut objects)? {
                    return Ok(());
                }
            } else if object {
                self.key()?;
            }
        }
    }

    /// Skips, after a value, the brackets that end here, then the comma and the next key. Returns true when the bracket
    /// that ends the outermost object or array was among them.
    #[inline]
    fn skip_ends(&mut self, base: u32, objects: &mut u64) -> Result<bool, JsonError> {
        loop {
            let object = *objects & 1 == 1;
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if object {
                        self.key()?;
                    }
                    return Ok(false);
                }
                Some(byte) if byte == if object { b'}' } else { b']' } => {
                    self.surface();
                    *objects >>= 1;
                    if self.depth == base {
                        return Ok(true);
                    }
                }
                _ => return Err(self.fault(JsonFault::Comma)),
            }
        }
    }
}
