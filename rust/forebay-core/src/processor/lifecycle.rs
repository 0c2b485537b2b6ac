//! Pausing, resuming and deleting.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::processor::Processor;
use super::processors::Processors;
use super::rows::{delete_position, delete_row};
use super::status::{ProcessorStatus, Stored};
use super::task::Task;
use super::views;
use crate::error::{Error, ErrorKind, Result};
use crate::log::commit::OPS_BYTES;
use crate::table::TableOp;

impl Processors {
    /// Stops a processor where it stands; durable when this returns. What it has read and not stored is read again.
    ///
    /// # Errors
    /// `ProcessorNotFound`, `Conflict` for one that has failed, and why nothing can be written.
    pub fn pause(&self, id: &str) -> Result<Vec<u8>> {
        let processor = self.find(id)?;
        let mut task = processor.task();
        match processor.status().is {
            ProcessorStatus::Paused => {}
            ProcessorStatus::Running => {
                if let Some(task) = &mut *task {
                    // What cannot be stored now is kept, and stored when it goes on.
                    let _unstored = task.checkpoint(&self.environment, self.moment());
                }
                self.note(&processor, &task, None, self.moment());
                self.change_status(&processor, Stored::new(ProcessorStatus::Paused, None))?;
            }
            ProcessorStatus::Failed | ProcessorStatus::Deleting => {
                return Err(Error::new(ErrorKind::Conflict, processor.why_idle()));
            }
        }
        drop(task);
        Ok(self.describe(&processor))
    }

    /// Has a processor go on where it stands; durable when this returns.
    ///
    /// # Errors
    /// `ProcessorNotFound`, `Conflict` when what it failed for is still so, and why nothing can be written.
    pub fn resume(&self, id: &str) -> Result<Vec<u8>> {
        let processor = self.find(id)?;
        let task = processor.task();
        if !processor.is_running() {
            let refuse = |why: &str| {
                let detail = format!("the processor {:?} cannot go on: {why}", processor.name());
                Error::new(ErrorKind::Conflict, detail)
            };
            let held = task.as_ref().ok_or_else(|| refuse(&processor.status().reason.unwrap_or_default()))?;
            if held.source.is_deleted() {
                return Err(refuse(&format!("its source {:?} was deleted", held.source.name())));
            }
            self.check_sink(&processor).map_err(|error| refuse(error.detail()))?;
            self.check_state(&processor, held).map_err(|error| refuse(error.detail()))?;
            self.change_status(&processor, Stored::new(ProcessorStatus::Running, None))?;
        }
        drop(task);
        self.run(&processor);
        Ok(self.describe(&processor))
    }

    /// Deletes a processor and its state; durable when this returns. Its sink stays.
    ///
    /// # Errors
    /// `ProcessorNotFound`, `Forbidden` for the engine's own, and why nothing can be written: then it is deleted by the next
    /// try, or start.
    pub fn delete(&self, id: &str) -> Result<()> {
        let processor = self.find(id)?;
        views::check_own(processor.name())?;
        self.remove(&processor)
    }

    /// Its rows go before its definition's, which says from the first commit on that it is being deleted: what a crash
    /// interrupts is gone on with, and never comes back to life.
    pub(super) fn remove(&self, processor: &Arc<Processor>) -> Result<()> {
        let mut task = processor.task();
        let known = task.as_ref().map(Task::chunk_keys).unwrap_or_else(|| processor.chunks.clone());
        let mut part = vec![processor.row(Stored::new(ProcessorStatus::Deleting, None)).put(processor.id)];
        let last = [delete_position(processor.id), delete_row(processor.id)];
        let mut bytes = 0;
        for op in known.into_iter().map(|key| key.delete(processor.id)).chain(last) {
            bytes += op.encoded_bytes();
            if bytes > OPS_BYTES {
                self.commit_part(processor, std::mem::take(&mut part))?;
                bytes = op.encoded_bytes();
            }
            part.push(op);
        }
        self.commit_part(processor, part)?;
        *task = None;
        self.note(processor, &task, None, self.moment());
        drop(task);
        self.forget_watch(processor);
        self.by_id.write().remove(&processor.id);
        Ok(())
    }

    fn commit_part(&self, processor: &Processor, part: Vec<TableOp>) -> Result<()> {
        self.environment.commits.change(part)?;
        processor.set_status(Stored::new(ProcessorStatus::Deleting, None));
        Ok(())
    }

    /// Stops a processor that cannot go on by itself. Where that cannot be stored, the next start finds it out again.
    pub(super) fn hold(&self, processor: &Processor, is: ProcessorStatus, reason: &str) {
        let _task = processor.task();
        if processor.is_running() {
            let status = Stored::new(is, Some(reason.to_owned()));
            if self.change_status(processor, status.clone()).is_err() {
                processor.set_status(status);
            }
        }
    }

    fn change_status(&self, processor: &Processor, status: Stored) -> Result<()> {
        self.environment.status.refuse_change()?;
        self.environment.commits.change(vec![processor.row(status.clone()).put(processor.id)])?;
        processor.set_status(status);
        Ok(())
    }

    fn check_sink(&self, processor: &Processor) -> Result<()> {
        let late = processor.definition.config.late_sink.as_deref();
        for name in [Some(&*processor.definition.sink), late].into_iter().flatten() {
            self.environment.catalog.named(name)?;
        }
        Ok(())
    }

    /// Refuses to read more when the windows take up their memory.
    pub(super) fn check_state(&self, processor: &Processor, task: &Task) -> Result<()> {
        let limit = self.environment.state_bytes;
        let (all, own) = (self.state_bytes.load(Ordering::Relaxed), task.state_bytes() as u64);
        if own <= limit / 2 && all <= limit {
            return Ok(());
        }
        let detail = format!(
            "the windows of the processor {:?} take {own} bytes, and those of all {all}: processor_state_bytes is {limit}, \
             of which one may have half; raise it, and resume the processor",
            processor.name(),
        );
        Err(Error::new(ErrorKind::StreamLimitReached, detail))
    }
}
