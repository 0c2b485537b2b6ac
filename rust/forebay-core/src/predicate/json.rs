//! Walking stored JSON for the interpreter: only what is asked for is looked at, and a number is handed over as it was
//! written. What is not JSON gives `None`.

use std::borrow::Cow;

/// Bytes of JSON that are still ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json<'v> {
    rest: &'v [u8],
}

/// The kind of the next value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonKind {
    Null,
    False,
    True,
    Number,
    Text,
    List,
    Object,
}

impl<'v> Json<'v> {
    pub(super) fn new(bytes: &'v [u8]) -> Self {
        Self { rest: bytes }
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    /// Returns whether nothing is left.
    pub(super) fn ends(&mut self) -> bool {
        self.space();
        self.rest.is_empty()
    }

    /// Returns the kind of the next value.
    pub(super) fn kind(&mut self) -> Option<JsonKind> {
        self.space();
        match self.rest.first()? {
            b'n' => Some(JsonKind::Null),
            b'f' => Some(JsonKind::False),
            b't' => Some(JsonKind::True),
            b'"' => Some(JsonKind::Text),
            b'[' => Some(JsonKind::List),
            b'{' => Some(JsonKind::Object),
            b'-' | b'0'..=b'9' => Some(JsonKind::Number),
            _ => None,
        }
    }

    /// Takes the next byte, if it is this one.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        self.space();
        let taken = self.rest.first() == Some(&byte);
        self.rest = &self.rest[usize::from(taken)..];
        taken
    }

    /// Takes a word, `null` and the like.
    pub(super) fn word(&mut self, word: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(word.as_bytes())?;
        Some(())
    }

    /// Takes a number, as it was written.
    pub(super) fn number(&mut self) -> Option<&'v [u8]> {
        let belongs = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = self.rest.iter().position(|byte| !belongs(byte)).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(number)
    }

    /// Takes a text, with its escapes resolved.
    pub(super) fn text(&mut self) -> Option<Cow<'v, str>> {
        let (written, escaped) = self.quoted()?;
        if escaped {
            return serde_json::from_slice::<String>(written).ok().map(Cow::Owned);
        }
        std::str::from_utf8(written.get(1..written.len() - 1)?).ok().map(Cow::Borrowed)
    }

    /// Takes a text with its quotes, as it was written, and says whether it has escapes.
    fn quoted(&mut self) -> Option<(&'v [u8], bool)> {
        let mut escaped = false;
        let mut at = 1;
        loop {
            match self.rest.get(at)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        let (written, rest) = self.rest.split_at(at + 1);
        self.rest = rest;
        Some((written, escaped))
    }

    /// Takes a name of an object and its colon.
    pub(super) fn name(&mut self) -> Option<Cow<'v, str>> {
        let name = (self.kind()? == JsonKind::Text).then(|| self.text())??;
        self.take(b':').then_some(name)
    }

    /// Returns, after an element of a list or an object, whether another one follows; `None` when neither that nor the
    /// end does.
    pub(super) fn goes_on(&mut self, end: u8) -> Option<bool> {
        if self.take(b',') {
            return Some(true);
        }
        self.take(end).then_some(false)
    }

    /// Takes a whole value, whatever it is and however deep.
    pub(super) fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.kind() {
                Some(JsonKind::Text) => drop(self.quoted()?),
                Some(JsonKind::List | JsonKind::Object) => {
                    depth += 1;
                    self.rest = &self.rest[1..];
                }
                Some(JsonKind::Number) => drop(self.number()?),
                Some(JsonKind::Null) => self.word("null")?,
                Some(JsonKind::True) => self.word("true")?,
                Some(JsonKind::False) => self.word("false")?,
                None => match *self.rest.first()? {
                    b']' | b'}' if depth > 0 => {
                        depth -= 1;
                        self.rest = &self.rest[1..];
                    }
                    b',' | b':' if depth > 0 => self.rest = &self.rest[1..],
                    _ => return None,
                },
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}
