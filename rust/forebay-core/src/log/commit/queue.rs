//! Appends on their way to the committer. Bounded by the byte budget that each of them has a permit for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::append::{Append, Receipt, Reply};
use super::footprint::BATCH_OVERHEAD_BYTES;
use super::waiter::Waiter;
use crate::admission::{Budget, Hold};
use crate::error::{Error, ErrorKind, Result};
use crate::log::journal::Room;
use crate::stream::Stream;
use crate::table::TableOp;

/// Table operations of one commit that removes rows: a few such commits have to fit the journal's reserve when the disk
/// is full.
pub(crate) const OPS_BYTES: usize = 64 * 1024;

/// The end of a wait for appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// There are some.
    Appends,
    /// The deadline passed.
    Nothing,
    /// Closed and empty.
    Closed,
}

/// Many producers, one committer.
#[derive(Debug)]
pub struct CommitQueue {
    state: Mutex<State>,
    wake: Condvar,
    /// Covers changes of tables from here until they are sealed.
    rows: Arc<Budget>,
}

#[derive(Debug, Default)]
struct State {
    appends: VecDeque<Append>,
    /// The committer sleeps until so many wait.
    wanted: Option<usize>,
    closed: bool,
}

impl CommitQueue {
    /// Returns an empty queue; `rows` covers changes of tables from here until they are sealed.
    #[must_use]
    pub fn new(rows: Arc<Budget>) -> Self {
        Self { state: Mutex::default(), wake: Condvar::default(), rows }
    }

    /// Returns the budget that changes of tables are charged to until they are sealed.
    #[must_use]
    pub fn rows(&self) -> &Arc<Budget> {
        &self.rows
    }

    /// Reserves the memory of changes that may be refused.
    ///
    /// # Errors
    /// `Saturated` when those that are not sealed yet take up their budget.
    pub(crate) fn reserve(&self, ops: &[TableOp]) -> Result<Hold> {
        Hold::reserve(&self.rows, held_bytes(ops)).ok_or_else(|| {
            let (used, limit) = (self.rows.used(), self.rows.limit());
            let detail = format!(
                "changes of offsets, groups and streams that are not sealed yet take {used} of {limit} bytes of memory: \
                 come back later"
            );
            Error::new(ErrorKind::Saturated, detail)
        })
    }

    /// Hands an append to the committer. After the close it is dropped, which answers it.
    pub fn push(&self, mut append: Append) {
        append.reply.begin_commit();
        if append.held.is_none() && !append.ops.is_empty() {
            append.held = Some(Hold::force(&self.rows, held_bytes(&append.ops)));
        }
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            drop(append);
            return;
        }
        state.appends.push_back(append);
        if state.wanted.is_some_and(|wanted| state.appends.len() >= wanted) {
            state.wanted = None;
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Queues changes that are as durable as records are, with the memory reserved for them.
    pub(crate) fn push_rows(&self, ops: Vec<TableOp>, held: Hold, reply: Reply) {
        self.push(Append::rows(ops, held, reply));
    }

    /// Changes tables, and waits for the commit: durable when this returns.
    ///
    /// # Errors
    /// Whatever became of the commit.
    pub fn change(&self, ops: Vec<TableOp>) -> Result<Receipt> {
        let (waiter, reply) = Waiter::pair();
        self.push(Append::control(ops, reply));
        waiter.wait()
    }

    /// Reserves memory for changes that clients can make more and more of.
    ///
    /// # Errors
    /// `Saturated` when those that are not sealed yet take up their budget, and whatever became of the commit.
    pub fn change_if_room(&self, ops: Vec<TableOp>) -> Result<Receipt> {
        let held = Some(self.reserve(&ops)?);
        let (waiter, reply) = Waiter::pair();
        self.push(Append { held, ..Append::control(ops, reply) });
        waiter.wait()
    }

    /// Queues a deletion that frees so many bytes of the disk: it may use the space that is kept for deletions.
    ///
    /// # Errors
    /// Whatever became of the commit.
    pub fn free(&self, ops: Vec<TableOp>, frees: u64) -> Result<Receipt> {
        let (waiter, reply) = Waiter::pair();
        self.push(Append { room: Room::of_deletion(frees), frees, ..Append::control(ops, reply) });
        waiter.wait()
    }

    /// Deletes a stream by `ops`, and waits for the commit: durable when this returns, and its records are forgotten.
    ///
    /// # Errors
    /// Whatever became of the commit.
    pub fn delete(&self, stream: Arc<Stream>, ops: Vec<TableOp>) -> Result<Receipt> {
        let (waiter, reply) = Waiter::pair();
        let frees = stream.sums().stored_bytes;
        let room = Room::of_deletion(frees);
        self.push(Append { deletes: Some(stream), room, frees, ..Append::control(ops, reply) });
        waiter.wait()
    }

    /// Appends that wait now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().appends.len()
    }

    /// Returns whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// No append is taken from here on; what is queued is still committed.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.wanted = None;
        drop(state);
        self.wake.notify_all();
    }

    /// Closes, and drops what is queued, which answers it.
    pub fn abandon(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let left = std::mem::take(&mut state.appends);
        drop(state);
        drop(left);
    }

    /// Waits until so many appends are queued, but not longer than until then, nor beyond the close.
    pub fn wait_for(&self, appends: usize, until: Instant) {
        let mut state = self.state.lock();
        while state.appends.len() < appends && !state.closed {
            state.wanted = Some(appends);
            if self.wake.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        state.wanted = None;
    }

    /// Moves what is queued into `batch`, up to `max_bytes` in its frame but at least one append.
    pub fn take(&self, batch: &mut Vec<Append>, max_bytes: usize, deadline: Option<Instant>) -> Taken {
        let mut state = self.state.lock();
        while state.appends.is_empty() {
            if state.closed {
                return Taken::Closed;
            }
            state.wanted = Some(1);
            match deadline {
                None => self.wake.wait(&mut state),
                Some(deadline) => {
                    if self.wake.wait_until(&mut state, deadline).timed_out() && state.appends.is_empty() {
                        state.wanted = None;
                        return if state.closed { Taken::Closed } else { Taken::Nothing };
                    }
                }
            }
        }
        let mut bytes = 0;
        while let Some(next) = state.appends.front() {
            bytes += next.frame_bytes();
            if bytes > max_bytes && !batch.is_empty() {
                break;
            }
            batch.extend(state.appends.pop_front());
        }
        Taken::Appends
    }
}

/// Memory of a change of tables from here until it is sealed.
fn held_bytes(ops: &[TableOp]) -> u64 {
    (BATCH_OVERHEAD_BYTES + ops.iter().map(TableOp::held_bytes).sum::<usize>()) as u64
}
