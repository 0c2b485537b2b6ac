//! Expressions and records from a seed. They share their names, so that most paths lead somewhere, and their constants, so
//! that most comparisons are close.

use std::fmt::Write as _;

use crate::random::Random;

/// Names of fields; those that are not identifiers are written as an index.
const NAMES: [&str; 9] = ["a", "b", "c", "amount", "a.b", "é\u{1f600}", "x\"y\\z", "", "t\tn\n/"];
const HEADERS: [&str; 3] = ["region", "n", "h-1"];

/// Numbers as JSON and CEL write them.
const NUMBERS: [&str; 22] = [
    "0",
    "-0",
    "0.0",
    "1",
    "-1",
    "2",
    "1.0",
    "1.5",
    "10e-1",
    "1000",
    "1E3",
    "999.9999999999999",
    "-1.5e2",
    "9007199254740992",
    "9007199254740993",
    "9007199254740992.0",
    "9223372036854775807",
    "-9223372036854775808",
    "1e30",
    "1e-320",
    "1.7976931348623157e308",
    "123456789012345678",
];
/// Numbers that only JSON can write.
const HUGE: [&str; 8] = [
    "1e400",
    "-1e400",
    "1e-400",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "1000000000000000000000000000000",
    "1E+99999999999999999999",
];
const TEXTS: [&str; 10] = [
    "",
    "x",
    "xy",
    "x\\y",
    "\"a\":1",
    "é\u{1f600}",
    "line\nend\t",
    "true",
    "1",
    "a rather long text, in which }]{[ stand",
];

pub struct Generator {
    random: Random,
    out: String,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), out: String::new() }
    }

    /// Returns a condition.
    pub fn expression(&mut self) -> String {
        self.condition(3);
        std::mem::take(&mut self.out)
    }

    /// Returns the JSON of a record's value.
    pub fn value(&mut self) -> String {
        self.space();
        match self.random.below(12) {
            0 => self.json(2),
            _ => self.object(3),
        }
        self.space();
        std::mem::take(&mut self.out)
    }

    /// Returns the JSON of a record's headers, which may be empty.
    pub fn headers(&mut self) -> String {
        if !self.random.one_in(5) {
            self.members(3, |this| {
                let name = this.random.pick(&HEADERS);
                this.json_text(name);
                this.out.push(':');
                let text = this.random.pick(&TEXTS);
                this.json_text(text);
            });
        }
        std::mem::take(&mut self.out)
    }

    /// Returns a record's key, which need not be UTF-8.
    pub fn key(&mut self) -> Option<Vec<u8>> {
        match self.random.below(4) {
            0 => None,
            1 => Some(vec![b'x', 0xff, 0xc3]),
            _ => Some(self.random.pick(&TEXTS).as_bytes().to_vec()),
        }
    }

    fn condition(&mut self, depth: usize) {
        if depth == 0 || self.random.one_in(3) {
            return self.test();
        }
        match self.random.below(5) {
            0 | 1 => self.joined(depth, " && "),
            2 | 3 => self.joined(depth, " || "),
            _ => {
                self.out.push_str("!(");
                self.condition(depth - 1);
                self.out.push(')');
            }
        }
    }

    fn joined(&mut self, depth: usize, operator: &str) {
        for index in 0..self.random.below(3) + 2 {
            self.out.push_str(if index == 0 { "" } else { operator });
            self.out.push('(');
            self.condition(depth - 1);
            self.out.push(')');
        }
    }

    fn test(&mut self) {
        match self.random.below(16) {
            0..=5 => self.comparison(),
            6 => {
                self.path();
                self.out.push_str(" in ");
                self.constants();
            }
            7 | 8 => {
                self.out.push_str("has(");
                if self.random.one_in(4) {
                    self.out.push_str("headers")
                } else {
                    self.value_path()
                }
                // The field that is asked for cannot be an index.
                let field = self.random.pick(&[".a", ".b", ".amount", ".region", ".n"]);
                self.out.push_str(field);
                self.out.push(')');
            }
            9 | 10 => {
                self.path();
                let function = self.random.pick(&["startsWith", "endsWith", "contains"]);
                let text = self.random.pick(&TEXTS);
                write!(self.out, ".{function}({text:?})").unwrap();
            }
            11 => self.value_path(),
            12 => self.out.push_str(if self.random.one_in(2) { "true" } else { "false" }),
            _ => self.interpreted(),
        }
    }

    fn comparison(&mut self) {
        let equality = self.random.one_in(2);
        let operator = self.random.pick(if equality { &[" == ", " != "] } else { &[" < ", " <= ", " > ", " >= "] });
        let before = std::mem::take(&mut self.out);
        let typed = self.random.below(8);
        match typed {
            0 => self.out.push_str("key"),
            1 => self.header(),
            2 => self.number_variable(),
            _ => self.value_path(),
        }
        let operand = std::mem::replace(&mut self.out, before);
        let mirrored = self.random.one_in(4);
        if !mirrored {
            self.out.push_str(&operand);
            self.out.push_str(operator);
        }
        // An order that can never hold is refused.
        match typed {
            _ if equality => self.constant(),
            0 | 1 => self.text_constant(),
            2 => self.number_constant(),
            _ => self.ordered_constant(),
        }
        if mirrored {
            self.out.push_str(operator);
            self.out.push_str(&operand);
        }
    }

    fn constants(&mut self) {
        self.out.push('[');
        for index in 0..self.random.below(5) {
            self.out.push_str(if index == 0 { "" } else { ", " });
            self.constant();
        }
        self.out.push(']');
    }

    /// What no plan has.
    fn interpreted(&mut self) {
        let choice = self.random.below(8);
        let before = ["size(", "", "", "", "type(", "", "", "size("][choice];
        let after = [
            ") > 1",
            ".exists(x, x == 1)",
            " + 1 > 1000",
            "[0] == 1",
            ") == int",
            " == value.a",
            " == [1]",
            ") + size(value.a) > 2",
        ][choice];
        self.out.push_str(before);
        self.path();
        self.out.push_str(after);
    }

    fn path(&mut self) {
        match self.random.below(12) {
            0 => self.out.push_str("key"),
            1 => self.number_variable(),
            2 => self.out.push_str("value"),
            3 => self.header(),
            _ => self.value_path(),
        }
    }

    fn number_variable(&mut self) {
        let variable = self.random.pick(&["partition", "offset", "timestamp"]);
        self.out.push_str(variable);
    }

    fn header(&mut self) {
        self.out.push_str("headers");
        let name = self.random.pick(&HEADERS);
        self.step(name);
    }

    fn value_path(&mut self) {
        self.out.push_str("value");
        for _ in 0..[1, 1, 1, 1, 2, 3][self.random.below(6)] {
            let name = self.name();
            self.step(name);
        }
    }

    fn step(&mut self, name: &str) {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphabetic()) && !name.is_empty();
        if plain && !self.random.one_in(6) {
            write!(self.out, ".{name}").unwrap();
        } else {
            write!(self.out, "[{name:?}]").unwrap();
        }
    }

    /// The first names are the most usual ones.
    fn name(&mut self) -> &'static str {
        let most = self.random.pick(&[1, 1, 2, 4, NAMES.len()]);
        NAMES[self.random.below(most)]
    }

    fn constant(&mut self) {
        if self.random.one_in(10) {
            self.out.push_str("null");
        } else {
            self.ordered_constant();
        }
    }

    fn ordered_constant(&mut self) {
        match self.random.below(9) {
            0 => self.out.push_str(if self.random.one_in(2) { "true" } else { "false" }),
            1..=5 => self.number_constant(),
            _ => self.text_constant(),
        }
    }

    fn number_constant(&mut self) {
        let number = self.random.pick(&NUMBERS);
        self.out.push_str(if self.random.one_in(12) { "9223372036854775808u" } else { number });
    }

    fn text_constant(&mut self) {
        let text = self.random.pick(&TEXTS);
        write!(self.out, "{text:?}").unwrap();
    }

    fn json(&mut self, depth: usize) {
        match self.random.below(14) {
            0 | 1 if depth > 0 => self.object(depth - 1),
            2 if depth > 0 => self.list(depth - 1),
            3 => self.out.push_str("null"),
            4 => self.out.push_str("true"),
            5 => self.out.push_str("false"),
            6 => {
                let number = self.random.pick(&HUGE);
                self.out.push_str(number);
            }
            7 if self.random.one_in(4) => {
                let deep = self.random.below(50);
                self.out.push_str(&"[".repeat(deep));
                self.out.push_str("{\"a\":1}");
                self.out.push_str(&"]".repeat(deep));
            }
            7..=10 => {
                let text = self.random.pick(&TEXTS);
                self.json_text(text);
            }
            _ => {
                let number = self.random.pick(&NUMBERS);
                self.out.push_str(number);
            }
        }
    }

    fn object(&mut self, depth: usize) {
        let most = [3, 6, 12][self.random.below(3)];
        self.members(most, |this| {
            let name = this.name();
            this.json_text(name);
            this.space();
            this.out.push(':');
            this.space();
            this.json(depth);
        });
    }

    fn members(&mut self, most: usize, mut member: impl FnMut(&mut Self)) {
        self.out.push('{');
        for index in 0..self.random.below(most + 1) {
            self.out.push_str(if index == 0 { "" } else { "," });
            self.space();
            member(self);
            self.space();
        }
        self.out.push('}');
    }

    fn list(&mut self, depth: usize) {
        self.out.push('[');
        for index in 0..self.random.below(4) {
            self.out.push_str(if index == 0 { "" } else { " ," });
            self.json(depth);
        }
        self.out.push(']');
    }

    /// A string, in which any character may be written as an escape.
    fn json_text(&mut self, text: &str) {
        let escapes = self.random.pick(&[0, 0, 0, 2, 9]);
        self.out.push('"');
        for character in text.chars() {
            let short = match character {
                '"' => Some("\\\""),
                '\\' => Some("\\\\"),
                '\n' => Some("\\n"),
                '\t' => Some("\\t"),
                '/' if escapes > 0 => Some("\\/"),
                _ => None,
            };
            if self.random.below(10) < escapes {
                let upper = self.random.one_in(2);
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let escape = if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
                    self.out.push_str(&escape);
                }
            } else if let Some(short) = short {
                self.out.push_str(short);
            } else {
                self.out.push(character);
            }
        }
        self.out.push('"');
    }

    fn space(&mut self) {
        if self.random.one_in(12) {
            let space = self.random.pick(&[" ", "\n\t", "\r\n  "]);
            self.out.push_str(space);
        }
    }
}
