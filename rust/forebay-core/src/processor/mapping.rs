//! Records on their way through functions.
//!
//! What is read while a function works is nobody's yet: the processor stands before it, and a step is written only once
//! the answer is taken in. Whoever stops the processor meanwhile has the records read again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dead_letter::MAX_ADDED_BYTES;
use super::environment::Environment;
use super::join_table::{JOIN, JoinTable};
use super::map_batch::{MapBatch, Mapped};
use super::outputs::{OutputMark, PLACED_BYTES};
use super::plan::{MapStage, passes};
use super::rows::Letters;
use super::task::{Moment, Next, Rejection, Task};
use super::totals::Totals;
use crate::error::{Error, ErrorKind, Result};
use crate::function::{Answer, Call, FunctionResult, Values, Waker};
use crate::ids::Offset;
use crate::json::Lookup;
use crate::window::Watermarks;

/// Source records of a batch: the first batches are small, and grow as long as the function is quick.
const FIRST_RECORDS: usize = 256;
const MAX_RECORDS: usize = 8192;
/// A batch that took less than the first is followed by a larger one, one that took more than the second by a smaller one:
/// far from the time at which it would be taken for one that hangs.
const QUICK: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_secs(5);
/// A call of which nothing was heard for so long is shown as what the processor waits for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A batch that a function works on.
#[derive(Debug)]
struct Pending {
    call: Arc<Call>,
    stage: usize,
    since: Duration,
}

impl Drop for Pending {
    fn drop(&mut self) {
        // Over already, or nobody waits any more: a function that hangs holds up no other.
        self.call.cancel();
    }
}

/// How the processor stood before it read what is being mapped.
#[derive(Clone, Debug)]
struct Before {
    next: Vec<Offset>,
    watermarks: Watermarks,
    totals: Totals,
    is_cut: Vec<bool>,
    is_changed: bool,
    letters: Letters,
    outputs: OutputMark,
}

/// Who does what a map says.
#[derive(Debug)]
enum Mapper {
    Function,
    Join(JoinTable),
}

/// What a processor with functions has beside the others.
#[derive(Debug, Default)]
pub(super) struct Mapping {
    /// Records that passed everything before the next function.
    pub(super) batch: MapBatch,
    pending: Option<Pending>,
    before: Option<Box<Before>>,
    /// Source records that are read for the next batch; 0 before the first.
    records: usize,
    /// Who does what each map says, once that is known.
    mappers: Vec<Mapper>,
    /// The last failure of a function, and when it was.
    failed: Option<(String, Duration)>,
    /// What gives the processor a turn when an answer is there.
    pub(super) waker: Waker,
}

impl Mapping {
    /// Returns the source records that are read for a batch.
    pub(super) fn records(&self) -> usize {
        if self.records == 0 { FIRST_RECORDS } else { self.records }
    }

    /// Returns whether the batch has as many records as it may.
    pub(super) fn is_full(&self) -> bool {
        self.batch.len() >= self.records()
    }

    /// Returns the memory of the tables of joins.
    pub(super) fn state_bytes(&self) -> usize {
        let bytes = |mapper: &Mapper| if let Mapper::Join(table) = mapper { table.bytes() } else { 0 };
        self.mappers.iter().map(bytes).sum()
    }

    /// Says what the processor waits for, when it waits long for a function.
    pub(super) fn waits_for(&self, moment: Moment) -> Option<String> {
        let pending = self.pending.as_ref()?;
        let waited = moment.uptime.saturating_sub(pending.since);
        let (name, count) = (pending.call.function(), pending.call.values().len());
        (waited >= PATIENCE)
            .then(|| format!("the function {name:?} has had {count} records for {} s", waited.as_secs()))
    }

    /// Returns the last failure of a function, and when it was.
    pub(super) fn failed(&self) -> Option<&(String, Duration)> {
        self.failed.as_ref()
    }

    /// Chooses the size of the next batch by the time that one took.
    fn adapt(&mut self, took: Duration) {
        let records = self.records();
        self.records = match took {
            _ if took > SLOW => (records / 2).max(1),
            _ if took < QUICK => (records * 2).min(MAX_RECORDS),
            _ => records,
        };
    }
}

impl Task {
    /// Takes in what a function has answered, or reads the next batch and gives it to one. `None`: nothing is under way.
    ///
    /// # Errors
    /// As of a turn; the records are read again.
    pub(super) fn turn_mapping(&mut self, environment: &Environment, moment: Moment) -> Result<Option<Next>> {
        if !self.are_mappers_ready(environment)? {
            return Ok(Some(Next::Again));
        }
        if let Some(pending) = self.mapping.pending.take() {
            let Some(outcome) = pending.call.take() else {
                self.mapping.pending = Some(pending);
                return Ok(Some(Next::Called));
            };
            self.mapping.adapt(moment.uptime.saturating_sub(pending.since));
            let took_in = outcome.and_then(|answer| self.take_answer(environment, moment, pending.stage, &answer));
            took_in.inspect_err(|_| self.abandon())?;
        } else if !self.is_caught_up() {
            self.mapping.before = Some(Box::new(self.standing()));
            let read = self.read(environment, moment).and_then(|()| self.start(environment, moment, 0));
            read.inspect_err(|_| self.abandon())?;
        }
        Ok(self.mapping.pending.is_some().then_some(Next::Called))
    }

    /// Reads a batch for a preview, and waits for what functions make of it.
    ///
    /// # Errors
    /// As [`Task::turn_mapping`]; `Timeout` when a function takes too long.
    pub(super) fn read_and_wait(&mut self, environment: &Environment, moment: Moment, deadline: Instant) -> Result<()> {
        if self.plan.maps.is_empty() {
            return self.read(environment, moment);
        }
        while let Some(next) = self.turn_mapping(environment, moment)? {
            let Some(pending) = self.mapping.pending.as_ref().filter(|_| next == Next::Called) else { continue };
            if !pending.call.wait(deadline) {
                let detail =
                    format!("the function {:?} takes too long; ask for fewer records", pending.call.function());
                self.abandon();
                return Err(Error::new(ErrorKind::Timeout, detail));
            }
        }
        Ok(())
    }

    /// Goes back to where the processor stood before it read what functions have not answered.
    pub(super) fn abandon(&mut self) {
        self.mapping.pending = None;
        self.mapping.batch.clear();
        if let Some(before) = self.mapping.before.take() {
            self.outputs.truncate(&before.outputs);
            (self.next, self.watermarks) = (before.next, before.watermarks);
            (self.totals, self.is_cut, self.is_changed) = (before.totals, before.is_cut, before.is_changed);
            self.letters = before.letters;
        }
    }

    fn standing(&self) -> Before {
        Before {
            next: self.next.clone(),
            watermarks: self.watermarks.clone(),
            totals: self.totals,
            is_cut: self.is_cut.clone(),
            is_changed: self.is_changed,
            letters: self.letters,
            outputs: self.outputs.mark(),
        }
    }

    /// Finds out who does what each map says, and has the tables of joins read on. False while they are not read to their
    /// ends.
    fn are_mappers_ready(&mut self, environment: &Environment) -> Result<bool> {
        if self.mapping.mappers.len() != self.plan.maps.len() {
            let mapper = |stage: &MapStage| {
                // A user's function goes before the join of that name.
                let is_join = *stage.function == *JOIN && !environment.functions.knows(JOIN)?;
                Ok(if is_join { Mapper::Join(JoinTable::default()) } else { Mapper::Function })
            };
            self.mapping.mappers = self.plan.maps.iter().map(mapper).collect::<Result<_>>()?;
        }
        let mut are_ready = true;
        if self.mapping.pending.is_none() {
            for mapper in &mut self.mapping.mappers {
                if let Mapper::Join(table) = mapper {
                    are_ready &= table.read_on(environment)?;
                }
            }
        }
        Ok(are_ready)
    }

    /// Gives the batch to the map of this number, and what a join makes of it to the next.
    fn start(&mut self, environment: &Environment, moment: Moment, stage: usize) -> Result<()> {
        if self.mapping.batch.is_empty() {
            self.mapping.before = None;
            return Ok(());
        }
        let Some(map) = self.plan.maps.get(stage) else { return Ok(()) };
        if let Some(Mapper::Join(table)) = self.mapping.mappers.get(stage) {
            let answer = table.join(self.mapping.batch.values());
            return self.take_answer(environment, moment, stage, &answer);
        }
        let mut values = Values::default();
        self.mapping.batch.values().for_each(|value| values.push(value));
        let call = Call::new(Arc::clone(&map.function), values, self.mapping.waker.clone());
        self.mapping.pending = Some(Pending { call: Arc::clone(&call), stage, since: moment.uptime });
        environment.functions.call(call);
        Ok(())
    }

    /// Takes in what a map has made of the batch.
    fn take_answer(&mut self, environment: &Environment, moment: Moment, stage: usize, answer: &Answer) -> Result<()> {
        let batch = std::mem::take(&mut self.mapping.batch);
        let room = 2 * self.step_bytes;
        if batch.len() > 1 && (answer.is_too_large() || weight(&batch, answer) > room) {
            // A step has to hold it: fewer records are read again.
            self.abandon();
            self.mapping.records = batch.len() / 2;
            return Ok(());
        }
        let limit = self.sinks.largest_value(environment, self.plan.window.is_none());
        let mut found = Lookup::default();
        for (mapped, result) in batch.iter().zip(answer.results()) {
            let taken = match result {
                FunctionResult::Failed(why) => Err(why.to_owned()),
                FunctionResult::Values(values) => {
                    let total: usize = values.iter().map(std::ops::Range::len).sum();
                    let largest = values.iter().map(std::ops::Range::len).max().unwrap_or(0);
                    if largest > limit {
                        Err(format!("a result has {largest} bytes: the largest that its stream takes is {limit}"))
                    } else if total > room {
                        Err(format!("its results have {total} bytes: one record may become {room}"))
                    } else {
                        values.iter().for_each(|value| {
                            self.go_on(stage, (&batch, mapped), answer.value(value), &mut found);
                        });
                        Ok(())
                    }
                }
            };
            if let Err(why) = taken {
                self.fail(stage, (&batch, mapped), &why, moment);
            }
        }
        self.start(environment, moment, stage + 1)
    }

    /// Has a value that a map has made pass what comes behind.
    fn go_on(&mut self, stage: usize, (batch, mapped): (&MapBatch, &Mapped), value: &[u8], found: &mut Lookup) {
        let record = batch.record(mapped, value);
        let Some(map) = self.plan.maps.get(stage) else { return };
        let (partition, offset) = mapped.place;
        let counts = (&mut self.totals, self.failures.as_mut());
        if !passes(&map.filters, counts, |filter| filter.evaluate(partition, offset, &record)) {
            return;
        }
        if stage + 1 < self.plan.maps.len() {
            return self.mapping.batch.push_next(batch, mapped, value);
        }
        found.begin();
        if let Err(Rejection { operation, why }) = self.admit(mapped.place, &record, mapped.times, found) {
            let original = batch.record(mapped, batch.original(mapped));
            self.reject(mapped.place, &original, operation, &why);
        }
    }

    /// Puts a record aside for which a function has failed: as the source has it.
    fn fail(&mut self, stage: usize, (batch, mapped): (&MapBatch, &Mapped), why: &str, moment: Moment) {
        let operation = self.plan.maps.get(stage).map_or(0, |map| map.operation);
        let operation = format!("operations[{operation}]");
        self.mapping.failed = Some((format!("{operation}: {why}"), moment.uptime));
        let original = batch.record(mapped, batch.original(mapped));
        self.reject(mapped.place, &original, &operation, why);
    }
}

/// Returns the bytes of a step that the results take at most, with the keys and headers of their records.
fn weight(batch: &MapBatch, answer: &Answer) -> usize {
    let each = |(mapped, result): (&Mapped, FunctionResult<'_>)| {
        let carried = PLACED_BYTES + batch.carried_bytes(mapped);
        match result {
            FunctionResult::Values(values) => values.len() * carried,
            // What is escaped in the text is twice as long.
            FunctionResult::Failed(why) => carried + batch.original(mapped).len() + MAX_ADDED_BYTES + 2 * why.len(),
        }
    };
    answer.bytes() + batch.iter().zip(answer.results()).map(each).sum::<usize>()
}
