//! The parts that the answers of several formats have in common.

use std::io::Write;

use crate::error::{Error, ErrorKind, Result};
use crate::log::commit::{Receipt, Respond};

/// `{"status":"accepted"}`: of requests that are stored whole or not at all.
#[derive(Debug)]
pub(super) struct Accepted;

impl Respond for Accepted {
    fn respond(&self, _: &Receipt) -> Result<(u16, Vec<u8>)> {
        Ok((202, br#"{"status":"accepted"}"#.to_vec()))
    }
}

/// Appends the rows of events that are not stored, in the order they come: index and reason.
pub(super) fn write_failures(failures: impl Iterator<Item = (usize, impl AsRef<str>)>, out: &mut Vec<u8>) {
    for (place, (index, reason)) in failures.enumerate() {
        let comma = if place > 0 { "," } else { "" };
        // Writing into memory cannot fail, and a string always serialises.
        let _infallible = write!(out, r#"{comma}{{"index":{index},"error":"#);
        let _infallible = serde_json::to_writer(&mut *out, reason.as_ref());
        out.push(b'}');
    }
}

/// Why a repeat cannot be given the first answer.
pub(super) fn limits_changed() -> Error {
    let detail = "the stream's limits were changed since the request was first accepted";
    Error::new(ErrorKind::IdempotencyMismatch, detail)
}
