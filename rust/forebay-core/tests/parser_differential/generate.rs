//! Bodies from a seed: drain bodies and other JSON, with oddities that are still JSON, and then some of them broken.

use forebay_core::record::MAX_KEY_BYTES;

use crate::random::Random;

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "42",
    "3.25",
    "1e5",
    "1E-5",
    "0.0e+0",
    "1e999",
    "-1e-999",
    "123456789012345678901234567890",
    "0.1234567890123456789012345678901234567890",
    "18446744073709551616",
];
const BAD_VALUES: &[&str] = &[
    "01",
    "+1",
    ".5",
    "5.",
    "1e",
    "1e+",
    "-",
    "--1",
    "0x1",
    "NaN",
    "Infinity",
    "-Infinity",
    "nul",
    "True",
    "''",
    "undefined",
    "\"",
    "\"\\",
    "\"\\u",
    "{",
    "[",
    "{\"a\"",
    "{\"a\":",
    "[1,",
    "[,]",
    "{,}",
    "{\"a\":1,}",
    "// x",
    "",
];
const FRAGMENTS: &[&str] = &[
    "a",
    "info",
    " ",
    "user logged in",
    "\u{7f}",
    "ä",
    "\u{2028}",
    "😀",
    "\\n",
    "\\t",
    "\\\"",
    "\\\\",
    "\\/",
    "\\b",
    "\\u0041",
    "\\u00e4",
    "\\u0000",
    "\\ud83d\\ude00",
    "\\uD83D\\uDE00",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
];
const BAD_FRAGMENTS: &[&[u8]] = &[
    b"\\x",
    b"\\u12",
    b"\\u12g4",
    b"\\ud800",
    b"\\udc00",
    b"\\ud800\\u0041",
    b"\\ude00\\ud83d",
    b"\n",
    b"\x00",
    b"\x1f",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"\\",
    b"\"",
];
const TIMES: &[&str] = &[
    "2024-05-31T15:30:45.123Z",
    "2024-05-31T15:30:45Z",
    "2024-05-31 15:30:45.123456+00",
    "20240531T153045",
    "2024-05-31",
    "2016-12-31T23:59:60Z",
    "2024-05-31T15:30:45,5+02:00",
    "2024\\u002d05-31",
];
const BAD_TIMES: &[&str] = &["", "now", "2024-02-30", "2024-05-31T25:00:00Z", "1717169445", " 2024-05-31"];
const KEYS: &[&str] =
    &["a", "", "k\\u0065y", "events", "project_id", "timestamp", "Level", "metadata", "x y", "ä", "\\ud83d\\ude00"];
const INTERESTING: &[u8] = b"\"\\{}[]:,0-+.eEtfnu \n\t\r\x00\x1f\x7f\x80\xc3\xef\xff";

/// The body that belongs to `seed`.
pub fn body(seed: u64) -> Vec<u8> {
    let mut writer = Writer { random: Random::new(seed), out: Vec::new(), spaced: false, odd: false };
    writer.spaced = writer.random.one_in(3);
    writer.odd = writer.random.one_in(3);
    match writer.random.below(8) {
        0 => writer.value(0),
        1 => writer.deep(),
        _ => writer.drain(),
    }
    let Writer { mut random, mut out, .. } = writer;
    if random.one_in(3) {
        for _ in 0..=random.below(3) {
            mutate(&mut random, &mut out);
        }
    }
    out
}

/// One change as a careless or hostile sender would make it.
fn mutate(random: &mut Random, body: &mut Vec<u8>) {
    let at = random.below(body.len() + 1);
    let end = (at + 1 + random.below(8)).min(body.len());
    match random.below(9) {
        0 => body.truncate(at),
        1 if at < body.len() => body[at] ^= 1 << random.below(8),
        2 if at < body.len() => body[at] = random.pick(INTERESTING),
        3 => body.insert(at, random.pick(INTERESTING)),
        4 => drop(body.drain(at..end)),
        5 => {
            let copy = body[at..end].to_vec();
            let to = random.below(body.len() + 1);
            drop(body.splice(to..to, copy));
        }
        6 => drop(body.splice(at..at, random.pick(BAD_FRAGMENTS).iter().copied())),
        7 => drop(body.splice(at..at, random.pick(BAD_VALUES).bytes())),
        _ => body.extend_from_slice(random.pick(&[&b" "[..], b"\n", b"}", b"]", b"x", b"\0", b"{}", b"\xef\xbb\xbf"])),
    }
}

struct Writer {
    random: Random,
    out: Vec<u8>,
    /// White space between the tokens.
    spaced: bool,
    /// Oddities: what makes an event invalid, or is rare.
    odd: bool,
}

impl Writer {
    fn put(&mut self, token: &str) {
        self.space();
        self.out.extend_from_slice(token.as_bytes());
    }

    fn space(&mut self) {
        while self.spaced && self.random.one_in(2) {
            let space = self.random.pick(b" \n\t\r");
            self.out.push(space);
        }
    }

    fn odd(&mut self, one_in: usize) -> bool {
        self.odd && self.random.one_in(one_in)
    }

    fn string(&mut self) {
        let mut text = String::from("\"");
        let fragments = if self.odd(50) { 500 } else { self.random.below(5) };
        for _ in 0..fragments {
            text.push_str(self.random.pick(FRAGMENTS));
        }
        self.put(&text);
        if self.odd(100) {
            let bad = self.random.pick(BAD_FRAGMENTS);
            self.out.extend_from_slice(bad);
        }
        self.out.push(b'"');
    }

    fn value(&mut self, depth: usize) {
        match self.random.below(if depth < 5 { 10 } else { 6 }) {
            0..=2 => self.string(),
            3 => {
                let number = self.random.pick(NUMBERS);
                self.put(number);
            }
            4 | 5 => {
                let literal = if self.odd(40) {
                    self.random.pick(BAD_VALUES)
                } else {
                    self.random.pick(&["true", "false", "null"])
                };
                self.put(literal);
            }
            6 | 7 => self.object(depth),
            _ => self.array(depth),
        }
    }

    fn object(&mut self, depth: usize) {
        self.put("{");
        for index in 0..self.random.below(4) {
            self.comma(index);
            let key = self.random.pick(KEYS);
            self.key(key);
            self.value(depth + 1);
        }
        self.put("}");
    }

    fn array(&mut self, depth: usize) {
        self.put("[");
        for index in 0..self.random.below(4) {
            self.comma(index);
            self.value(depth + 1);
        }
        self.put("]");
    }

    fn comma(&mut self, index: usize) {
        if index > 0 {
            self.put(",");
        }
    }

    fn key(&mut self, key: &str) {
        self.put(&format!("\"{key}\""));
        self.put(":");
    }

    /// Nested around the limit, or far beyond it, now and then without its end.
    fn deep(&mut self) {
        let depth = if self.random.one_in(50) { 5_000 } else { 56 + self.random.below(16) };
        let in_drain = self.random.one_in(2);
        if in_drain {
            self.out.extend_from_slice(br#"{"events":[{"project_id":"p","timestamp":"2024-05-31","level":"l","#);
            self.out.extend_from_slice(br#""service":"s","message":"","metadata":{"deep":"#);
        }
        let kinds: Vec<bool> = (0..depth).map(|_| self.random.one_in(2)).collect();
        for &object in &kinds {
            self.put(if object { "{\"a\":" } else { "[" });
        }
        self.put("1");
        if !self.random.one_in(8) {
            for &object in kinds.iter().rev() {
                self.put(if object { "}" } else { "]" });
            }
        }
        if in_drain {
            self.put("}}]}");
        }
    }

    fn drain(&mut self) {
        self.put("{");
        if self.random.one_in(4) {
            self.key("source");
            self.value(2);
            self.put(",");
        }
        self.events();
        if self.random.one_in(4) {
            self.put(",");
            let key = if self.odd(3) { "events" } else { "trailer" };
            self.key(key);
            self.value(2);
        }
        self.put("}");
        self.space();
    }

    fn events(&mut self) {
        let key = self.random.pick(&["events", "events", "events", "ev\\u0065nts"]);
        self.key(key);
        if self.odd(12) {
            return self.value(1);
        }
        self.put("[");
        let count = if self.odd(12) { 0 } else { 1 + self.random.below(3) };
        for index in 0..count {
            self.comma(index);
            if self.odd(12) { self.value(2) } else { self.event() }
        }
        self.put("]");
    }

    fn event(&mut self) {
        let mut fields = vec!["project_id", "timestamp", "level", "service", "message"];
        if self.random.one_in(2) {
            fields.push("metadata");
        }
        if self.random.one_in(4) {
            fields.push("extra");
        }
        for _ in 0..self.random.below(3) {
            let (a, b) = (self.random.below(fields.len()), self.random.below(fields.len()));
            fields.swap(a, b);
        }
        if self.odd(4) {
            let from = self.random.below(fields.len());
            let field = fields.remove(from);
            if self.random.one_in(2) {
                fields.extend([field, field]);
            }
        }
        self.put("{");
        for (index, field) in fields.into_iter().enumerate() {
            self.comma(index);
            self.event_field(field);
        }
        self.put("}");
    }

    fn event_field(&mut self, field: &str) {
        let mut name = field.to_owned();
        if self.random.one_in(10) {
            let at = self.random.below(name.len());
            name.replace_range(at..=at, &format!("\\u{:04x}", name.as_bytes()[at]));
        }
        self.key(&name);
        if self.odd(12) {
            return self.value(3);
        }
        match field {
            "timestamp" => {
                let time = if self.odd(6) { self.random.pick(BAD_TIMES) } else { self.random.pick(TIMES) };
                self.put(&format!("\"{time}\""));
            }
            "metadata" if self.random.one_in(6) => self.put("null"),
            "metadata" => self.object(3),
            "extra" => self.value(3),
            "project_id" if self.odd(12) => {
                let rest = "p".repeat(MAX_KEY_BYTES - 2 + self.random.below(3));
                self.put(&format!("\"\\u0070{rest}\""));
            }
            "message" => self.string(),
            _ if self.odd(20) => self.string(),
            _ => {
                let text = self.random.pick(&["\"org-xyz\"", "\"info\"", "\"\\u00e4\"", "\"ünï\"", "\"a b\""]);
                self.put(text);
            }
        }
    }
}
