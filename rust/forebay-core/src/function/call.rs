//! A batch of values on its way to a function and back.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::answer::Answer;
use crate::error::Result;

/// Values in the order of their records.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    /// A JSON array of them.
    array: Vec<u8>,
    each: Vec<Range<usize>>,
}

impl Default for Values {
    fn default() -> Self {
        Self { array: b"[".to_vec(), each: Vec::new() }
    }
}

impl Values {
    /// Adds one, which is valid JSON.
    pub(crate) fn push(&mut self, json: &[u8]) {
        if !self.each.is_empty() {
            self.array.push(b',');
        }
        let start = self.array.len();
        self.array.extend_from_slice(json);
        self.each.push(start..self.array.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.each.len()
    }

    /// Returns each of them.
    pub(crate) fn each(&self) -> impl Iterator<Item = &[u8]> {
        self.each.iter().map(|range| self.array.get(range.clone()).unwrap_or_default())
    }
}

/// One call. Whoever waits for it is woken once.
#[derive(Debug)]
pub(crate) struct Call {
    pub(super) function: Arc<str>,
    pub(super) values: Values,
    outcome: Mutex<Option<Result<Answer>>>,
    done: Condvar,
    waker: Waker,
    is_cancelled: AtomicBool,
    /// What records have become that were tried alone, before others had their turn.
    pub(super) alone: Mutex<Option<Answer>>,
}

/// What is called when an answer is there; nothing for who waits himself.
#[derive(Clone, Default)]
pub(crate) struct Waker(Option<Arc<dyn Fn() + Send + Sync>>);

impl Waker {
    /// Chooses what is called, unless that is chosen.
    pub(crate) fn get_or_set<W: Fn() + Send + Sync + 'static>(&mut self, wake: impl FnOnce() -> W) {
        self.0.get_or_insert_with(|| Arc::new(wake()));
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waker")
    }
}

impl Call {
    pub(crate) fn new(function: Arc<str>, values: Values, waker: Waker) -> Arc<Self> {
        let (outcome, done, is_cancelled) = (Mutex::default(), Condvar::new(), AtomicBool::new(false));
        Arc::new(Self { function, values, outcome, done, waker, is_cancelled, alone: Mutex::default() })
    }

    /// Returns the call as it is sent.
    pub(super) fn body(&self) -> Vec<u8> {
        body(&self.function, self.values.len(), &self.values.array)
    }

    /// Returns calls of its values alone, from the first of this number on.
    pub(super) fn bodies(&self, first: usize) -> impl Iterator<Item = Vec<u8>> {
        self.values.each().skip(first).map(|value| body(&self.function, 1, &[b"[", value].concat()))
    }

    /// Ends the call. Only the first outcome counts.
    pub(super) fn finish(&self, outcome: Result<Answer>) {
        let mut held = self.outcome.lock();
        if held.is_some() {
            return;
        }
        *held = Some(outcome);
        drop(held);
        self.done.notify_all();
        if let Some(wake) = &self.waker.0 {
            wake();
        }
    }

    /// Takes the outcome, once it is there.
    pub(crate) fn take(&self) -> Option<Result<Answer>> {
        self.outcome.lock().take()
    }

    /// Nobody waits for it any more: it is not begun, and its process is ended.
    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Release);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }

    /// Returns the function's name.
    pub(crate) fn function(&self) -> &str {
        &self.function
    }

    /// Returns what it is given.
    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// Waits for the outcome until `deadline`; false when there is none by then.
    pub(crate) fn wait(&self, deadline: Instant) -> bool {
        let mut held = self.outcome.lock();
        while held.is_none() {
            if self.done.wait_until(&mut held, deadline).timed_out() {
                break;
            }
        }
        held.is_some()
    }
}

/// Writes a call; `array` is the array but for its last bracket.
fn body(function: &str, count: usize, array: &[u8]) -> Vec<u8> {
    let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    [&number(function.len())[..], function.as_bytes(), &number(count), array, b"]"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_its_name_its_count_and_an_array() {
        let mut values = Values::default();
        values.push(br#"{"a":1}"#);
        values.push(b"2");
        let call = Call::new("twice".into(), values, Waker::default());
        assert_eq!(call.body(), b"\x05\0\0\0twice\x02\0\0\0[{\"a\":1},2]");
        let alone: Vec<_> = call.bodies(0).collect();
        assert_eq!(alone, [&b"\x05\0\0\0twice\x01\0\0\0[{\"a\":1}]"[..], b"\x05\0\0\0twice\x01\0\0\0[2]"]);
    }
}
