//! Log events that a test makes: what they say, and every way of writing that.

use forebay_core::Timestamp;
use forebay_core::time::format_micros;

use crate::common::Random;

/// A value in the metadata.
#[derive(Clone, Debug)]
pub enum Value {
    Text(String),
    /// A number or a word, as it is written.
    Plain(String),
    Nested(Vec<(String, Value)>),
    List(Vec<Value>),
}

#[derive(Clone, Debug)]
pub struct Event {
    pub project: String,
    pub time: i64,
    pub level: String,
    pub service: String,
    pub message: String,
    pub metadata: Option<Vec<(String, Value)>>,
}

const WORDS: [&str; 16] = [
    "timeout",
    "Timeout",
    "TIMEOUT",
    "db-pool",
    "10.42.17.99",
    "diſ\u{212a}",
    "disk",
    "größe",
    "GRÖSSE",
    "Ошибка",
    "ошибка",
    "σίσυφος",
    "ΣΊΣΥΦΟΣ",
    "a",
    "retry",
    "42",
];
const SEPARATORS: [&str; 8] = [" ", ", ", ": ", "/", "\n", " \"", "_", "x"];
const LEVELS: [&str; 7] = ["info", "INFO", "warn", "Warning", "WARNING", "error", "débug"];
const SERVICES: [&str; 4] = ["api", "Api", "auth/v2", "größe"];
const NUMBERS: [&str; 8] = ["0", "42", "-7", "42.0", "1e3", "500", "499.99", "123456789012345678901234567890"];
const NAMES: [&str; 5] = ["user_id", "request_id", "status", "ns", "ü"];

fn of<T: Copy>(random: &mut Random, all: &[T]) -> T {
    all[random.below(all.len() as u64) as usize]
}

pub fn text(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.below(5) {
        text.push_str(of(random, &WORDS));
        text.push_str(of(random, &SEPARATORS));
    }
    text
}

fn value(random: &mut Random, depth: u32) -> Value {
    match random.below(if depth == 0 { 5 } else { 7 }) {
        0 | 1 => Value::Text(text(random)),
        2 => Value::Text(of(random, &NUMBERS).to_owned()),
        3 => Value::Plain(of(random, &NUMBERS).to_owned()),
        4 => Value::Plain(of(random, &["true", "false", "null"]).to_owned()),
        5 => Value::List((0..random.below(3)).map(|_| value(random, depth - 1)).collect()),
        _ => Value::Nested(members(random, depth - 1)),
    }
}

fn members(random: &mut Random, depth: u32) -> Vec<(String, Value)> {
    (0..random.below(4)).map(|_| (of(random, &NAMES).to_owned(), value(random, depth))).collect()
}

impl Event {
    pub fn any(random: &mut Random) -> Self {
        let metadata = if random.one_in(8) { None } else { Some(members(random, 2)) };
        Self {
            project: format!("p{}", random.below(4)),
            // Many share a time.
            time: 1_700_000_000_000_000 + random.below(40).cast_signed() * 250_001,
            level: of(random, &LEVELS).to_owned(),
            service: of(random, &SERVICES).to_owned(),
            message: if random.one_in(10) { String::new() } else { text(random) },
            metadata,
        }
    }

    /// An event of one of a few shapes, with a message that repeats but for its numbers.
    pub fn regular(random: &mut Random) -> Self {
        let any = Self::any(random);
        let number = random.below(300);
        let hex = random.below(u64::from(u32::MAX));
        let message = match random.below(8) {
            0 => format!("connection {number} from 10.42.{}.{} refused", random.below(20), random.below(100)),
            1 => format!("request req_{hex:08x} took {}.{:02}ms", random.below(20), random.below(100)),
            2 => format!("größe{number} of é{number} is {number}ü, timeout"),
            3 => format!("Cache-Miss: key \"a/{number}\"\nretry {}", number * 977),
            4 => format!("db-pool{} dead beef Timeout", number % 3),
            5 => format!("worker {number:04} of {hex:x}"),
            6 => any.message.clone(),
            _ => "disk full, retry".to_owned(),
        };
        let scalar = |random: &mut Random| value(random, 0);
        let small = |random: &mut Random| Value::Plain(random.below(60).to_string());
        let metadata = match random.below(5) {
            0 => None,
            1 => Some(vec![("user_id".to_owned(), small(random)), ("status".to_owned(), small(random))]),
            2 => {
                let list = Value::List((0..random.below(3)).map(|_| scalar(random)).collect());
                Some(vec![
                    ("request_id".to_owned(), Value::Text(format!("{:08x}", hex / 7))),
                    ("tags".to_owned(), list),
                ])
            }
            3 => {
                let inner =
                    Value::Nested(vec![("status".to_owned(), scalar(random)), ("user_id".to_owned(), small(random))]);
                Some(vec![("ns".to_owned(), inner), ("ü".to_owned(), small(random))])
            }
            _ => Some(vec![("user_id".to_owned(), scalar(random)), ("status".to_owned(), Value::Text(text(random)))]),
        };
        Self { message, metadata, ..any }
    }

    /// Writes it as a program does: every member in its place, and no escape in a name.
    pub fn regular_json(&self, random: &mut Random) -> String {
        let texts = [
            ("project_id", self.project.clone()),
            ("timestamp", format_micros(Timestamp(self.time))),
            ("level", self.level.clone()),
            ("service", self.service.clone()),
            ("message", self.message.clone()),
        ];
        let mut fields: Vec<_> =
            texts.iter().map(|(name, text)| format!("\"{name}\":{}", quoted(text, random))).collect();
        if let Some(metadata) = &self.metadata {
            fields.push(format!("\"metadata\":{}", regular_object(metadata, random)));
        }
        format!("{{{}}}", fields.join(","))
    }

    /// Writes it as JSON, with escapes where nobody needs them.
    pub fn json(&self, random: &mut Random) -> String {
        let mut fields = vec![
            ("project_id", quoted(&self.project, random)),
            ("timestamp", quoted(&format_micros(Timestamp(self.time)), random)),
            ("level", quoted(&self.level, random)),
            ("service", quoted(&self.service, random)),
            ("message", quoted(&self.message, random)),
            ("decoy", "{\"message\":\"timeout retry\",\"level\":\"fatal\"}".to_owned()),
        ];
        if let Some(metadata) = &self.metadata {
            fields.push(("metadata", object(metadata, random)));
        }
        for last in (1..fields.len()).rev() {
            fields.swap(last, random.below(last as u64 + 1) as usize);
        }
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        format!("{{{}}}", fields.join(","))
    }
}

fn regular_object(members: &[(String, Value)], random: &mut Random) -> String {
    let mut written = Vec::new();
    for (name, value) in members {
        let value = match value {
            Value::Nested(inner) => regular_object(inner, random),
            value => json(value, random),
        };
        written.push(format!("\"{name}\":{value}"));
    }
    format!("{{{}}}", written.join(","))
}

fn object(members: &[(String, Value)], random: &mut Random) -> String {
    let mut written = Vec::new();
    for (name, value) in members {
        written.push(format!("{} :{}", quoted(name, random), json(value, random)));
    }
    format!("{{{}}}", written.join(","))
}

fn json(value: &Value, random: &mut Random) -> String {
    match value {
        Value::Text(text) => quoted(text, random),
        Value::Plain(text) => text.clone(),
        Value::Nested(inner) => object(inner, random),
        Value::List(inner) => {
            let mut written = Vec::new();
            for value in inner {
                written.push(json(value, random));
            }
            format!("[ {} ]", written.join(" , "))
        }
    }
}

fn quoted(text: &str, random: &mut Random) -> String {
    let escapes = random.one_in(4);
    let mut out = "\"".to_owned();
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            '\n' => out.push_str("\\n"),
            '/' if random.one_in(2) => out.push_str("\\/"),
            _ if escapes && random.one_in(3) => {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    let number =
                        if unit.is_multiple_of(2) { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") };
                    out.push_str(&number);
                }
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
    out
}
