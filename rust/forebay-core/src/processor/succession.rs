//! A processor that takes the place of another: a definition is never changed, but followed by the next.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::definition::{Operation, ProcessorDefinition, State, Succession};
use super::plan::Plan;
use super::processor::Processor;
use super::processors::Processors;
use super::rows::ProcessorRow;
use super::status::{ProcessorStatus, Stored};
use super::step::Sinks;
use super::task::Task;
use super::views;
use crate::error::{Error, ErrorKind, Result};
use crate::log::commit::OPS_BYTES;
use crate::table::TableOp;

impl Processors {
    /// Has a definition take the place of another: the next one has its id, its positions, its counts and, unless they
    /// are discarded, its windows. All of that is one commit, so that no record is missed or counted twice.
    pub(super) fn succeed(
        &self,
        succession: &Succession,
        definition: ProcessorDefinition,
        plan: Plan,
    ) -> Result<Arc<Processor>> {
        let old = self.find(&succession.from)?;
        views::check_own(old.name())?;
        let others: Vec<_> = self.all().into_iter().filter(|other| other.id != old.id).collect();
        let mut held = old.task();
        let refuse = |why: &str| {
            let detail = format!("from: the processor {:?} cannot be followed: {why}", old.name());
            Error::new(ErrorKind::Conflict, detail)
        };
        let Some(before) = held.as_mut().filter(|_| old.status().is != ProcessorStatus::Deleting) else {
            return Err(refuse("it cannot be read, or is being deleted"));
        };
        let (source, shards) = self.streams_for(&definition, &others)?;
        if source.id() != old.source {
            return Err(refuse(&format!("it reads another stream, {:?}", before.source.name())));
        }
        let keeps = match (succession.state, difference(&old, &definition, shards)) {
            (State::Discard, _) => false,
            (State::Keep, None) => true,
            (State::Keep, Some(what)) => {
                let advice = "so its open windows are of no use; \"state\": \"discard\" drops them";
                return Err(refuse(&format!("{what} differ, {advice}")));
            }
        };
        self.store_before(before, &definition)?;
        let waiting =
            self.letters_of(&old).map_or(0, |(_, start, end)| end.0.saturating_sub(before.letters.next.max(start).0));
        if old.name() != definition.name && waiting > 0 {
            let advice = "of another name would not have them; replay or drop them first, or keep the name";
            return Err(refuse(&format!("it has {waiting} dead letters, and one {advice}")));
        }
        let mut task = self.task(old.id, (&definition, plan), (source, shards), before.next.clone());
        task.letters = if old.name() == definition.name { before.letters } else { self.no_letters(&definition) };
        let mut ops = Vec::new();
        if keeps {
            task.take_over(before, definition.config.emit);
        } else {
            task.begin_behind(before);
            ops.extend(before.chunk_keys().into_iter().map(|key| key.delete(old.id)));
        }
        let row = ProcessorRow::new(
            &definition,
            old.source,
            shards,
            old.created,
            Stored::new(ProcessorStatus::Running, None),
        );
        ops.extend([row.put(old.id), task.position().put(old.id)]);
        let committed = if ops.iter().map(TableOp::encoded_bytes).sum::<usize>() > OPS_BYTES {
            Err(refuse("its windows have more rows than one commit deletes; delete it, and create the other"))
        } else {
            self.environment.commits.change(ops).map(drop)
        };
        if let Err(error) = committed {
            if keeps {
                before.take_over(&mut task, old.definition.config.emit);
            }
            return Err(error);
        }
        Ok(self.put_in_place(&old, &mut held, Processor::new(old.id, definition, &row, Some(task), Vec::new())))
    }

    /// Stores what the old one has read. Results that wait for a sink which was deleted go where the next one writes: as they
    /// would after a restart, which computes them again.
    fn store_before(&self, before: &mut Task, next: &ProcessorDefinition) -> Result<()> {
        match before.checkpoint(&self.environment, self.moment()) {
            Err(error) if error.kind() == ErrorKind::StreamNotFound => {}
            stored => return stored,
        }
        let Sinks { sink, late, .. } = self.sinks(next);
        let dead_letter = before.sinks.dead_letter.clone();
        let own = std::mem::replace(&mut before.sinks, Sinks { sink, late, dead_letter });
        let stored = before.checkpoint(&self.environment, self.moment());
        // It goes on as it was when it cannot be followed.
        before.sinks = own;
        stored
    }

    /// Lets go of the old one, and has everybody find the next.
    fn put_in_place(&self, old: &Arc<Processor>, held: &mut Option<Task>, next: Arc<Processor>) -> Arc<Processor> {
        *held = None;
        self.note(old, held, None, self.moment());
        // Whoever still has it in hand leaves it be.
        old.set_status(Stored::new(ProcessorStatus::Deleting, None));
        self.forget_watch(old);
        self.state_bytes.fetch_add(next.seen.lock().state_bytes, Ordering::Relaxed);
        self.by_id.write().insert(next.id, Arc::clone(&next));
        next
    }
}

/// Returns what keeps the windows of a processor from being those of another definition.
fn difference(old: &Processor, new: &ProcessorDefinition, shards: u32) -> Option<&'static str> {
    let windows = |definition: &ProcessorDefinition| -> Vec<Operation> {
        let all = definition.operations.iter();
        all.filter(|of| matches!(of, Operation::Window(_) | Operation::Aggregate { .. })).cloned().collect()
    };
    let (before, after) = (windows(&old.definition), windows(new));
    if before.is_empty() && after.is_empty() {
        return None;
    }
    if before != after {
        return Some("the windows, aggregations or groups");
    }
    if old.definition.config.timestamp_field != new.config.timestamp_field {
        return Some("the timestamp fields");
    }
    (old.shards != shards).then_some("the numbers of partitions of the sinks")
}
