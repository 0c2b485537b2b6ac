//! Every job, and what it takes to change one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::id::Token;
use super::table::{JobTable, UniqueKey};
use crate::admission::{Budget, Hold};
use crate::clock::LogClock;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::Timestamp;
use crate::log::commit::CommitQueue;
use crate::random::Random;
use crate::status::{Damage, Status};
use crate::table::{Changes, Table, TableOp};

/// The durable jobs of one data directory.
///
/// What is in memory is durable: a change is made to a copy, committed, and taken in then. A job whose change is being
/// committed is *busy*: it is not handed out, and other changes of it wait.
#[derive(Debug)]
pub struct Jobs {
    pub(super) commits: Arc<CommitQueue>,
    pub(super) status: Arc<Status>,
    pub(super) clock: Arc<LogClock>,
    pub(super) memory: Arc<Budget>,
    /// Held over a sweep: whoever sweeps finds nothing due that another sweep is still committing.
    pub(super) sweeping: Mutex<()>,
    state: Mutex<State>,
    settled: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) table: JobTable,
    /// Jobs whose change is being committed.
    pub(super) busy: HashSet<Token>,
    /// Unique keys of jobs that are being enqueued.
    pub(super) keys: HashSet<UniqueKey>,
    pub(super) random: Random,
    /// The permit for what the table has.
    held: Hold,
}

impl State {
    /// Charges what is there now.
    pub(super) fn recount(&mut self) {
        self.held.set(self.table.bytes());
    }
}

/// The time of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// What leases and delays are counted on: it is never set.
    pub(super) now: Timestamp,
    /// What ages are judged by.
    pub(super) stamp: Timestamp,
}

impl Moment {
    pub(super) fn after(self, wait: Duration) -> Timestamp {
        Timestamp(self.now.0.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX)))
    }

    pub(super) fn minute(self) -> i64 {
        self.now.0.div_euclid(60_000_000)
    }
}

impl Jobs {
    pub(crate) fn new(commits: Arc<CommitQueue>, status: Arc<Status>, clock: Arc<LogClock>, bytes: u64) -> Self {
        let memory = Budget::new(bytes);
        let seed = Token::random().map_or(0, |token| u64::from_le_bytes(token.0[..8].try_into().unwrap_or_default()));
        let state = State {
            table: JobTable::default(),
            busy: HashSet::new(),
            keys: HashSet::new(),
            random: Random::new(seed),
            held: Hold::force(&memory, 0),
        };
        let (sweeping, settled) = (Mutex::default(), Condvar::new());
        Self { commits, status, clock, memory, sweeping, state: Mutex::new(state), settled }
    }

    /// Takes a row of a state file, earlier ones first. One that cannot be read is named; the others are there.
    pub(crate) fn take_in(&self, op: &TableOp) {
        let is_read = self.state.lock().table.take_in(op);
        if !is_read {
            let what = format!("the row of a job or its queue cannot be read: {}", op.key.escape_ascii());
            self.status.report(Damage { file: "state".to_owned(), range: None, stream: None, what });
        }
    }

    /// Takes recovery's rows, which are later than those of the state files.
    pub(crate) fn restore(&self, rows: &Changes) {
        rows.ops_of(Table::is_of_jobs).for_each(|op| self.take_in(&op));
        self.state.lock().recount();
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Waits for the end of some commit. Bounded by the engine: each is answered.
    pub(super) fn wait(&self, state: &mut MutexGuard<'_, State>) {
        self.settled.wait(state);
    }

    /// Some commit ended: whoever waits looks again.
    pub(super) fn settled(&self, mut state: MutexGuard<'_, State>) {
        state.recount();
        drop(state);
        self.settled.notify_all();
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { now: self.clock.now(), stamp: self.clock.stamp() }
    }

    pub(super) fn no_job(id: Token) -> Error {
        Error::new(ErrorKind::JobNotFound, format!("there is no job {:?}; it may have been deleted", id.job_text()))
    }

    /// Reserves the memory of new jobs.
    pub(super) fn reserve(&self, bytes: usize) -> Result<Hold> {
        Hold::reserve(&self.memory, bytes as u64).ok_or_else(|| {
            let (used, limit) = (self.memory.used(), self.memory.limit());
            let detail = format!(
                "jobs take {used} of {limit} bytes of memory: let workers complete some, delete some, or raise jobs_bytes"
            );
            Error::new(ErrorKind::Saturated, detail)
        })
    }
}
