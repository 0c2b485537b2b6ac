//! One append: what a processor has made of the records that it read, and how far it has read.

use std::sync::Arc;

use super::environment::Environment;
use super::letters::letters_of;
use super::outputs::{Destination, Outputs};
use crate::admission::{Cost, Permit, Rate, Reservation};
use crate::error::Result;
use crate::ids::{Offset, PartitionId};
use crate::log::commit::{self, Append, BATCH_OVERHEAD_BYTES, Encoded, Placement, Waiter, encode};
use crate::record::{Event, encoded_bytes};
use crate::stream::{DEAD_LETTER_SUFFIX, Stream, StreamDefinition};
use crate::table::TableOp;

/// A stream that results go to, which may be deleted and made anew under its name.
#[derive(Clone, Debug)]
pub(super) struct Target {
    name: String,
    stream: Option<Arc<Stream>>,
}

impl Target {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), stream: None }
    }

    /// Returns the stream as it is now.
    ///
    /// # Errors
    /// `StreamNotFound`.
    fn stream(&mut self, environment: &Environment) -> Result<Arc<Stream>> {
        match &self.stream {
            Some(stream) if !stream.is_deleted() => Ok(Arc::clone(stream)),
            Some(_) | None => {
                let found = environment.catalog.named(&self.name)?;
                self.stream = Some(Arc::clone(&found));
                Ok(found)
            }
        }
    }
}

/// The streams that a processor writes to.
#[derive(Clone, Debug)]
pub(super) struct Sinks {
    pub(super) sink: Target,
    pub(super) late: Option<Target>,
    /// Made when there is a record for it.
    pub(super) dead_letter: (StreamDefinition, Option<Arc<Stream>>),
}

impl Sinks {
    /// Returns the stream of dead letters with its first offset and the one behind its last, when there is one.
    pub(super) fn letters(&self, environment: &Environment) -> Option<(Arc<Stream>, Offset, Offset)> {
        let name = self.dead_letter.0.name.strip_suffix(DEAD_LETTER_SUFFIX)?;
        letters_of(environment, name)
    }

    /// Returns the largest value that a record may have which a function has made: as large as the sink takes where it
    /// `is_copied` there. A sink that is missing is met by the step.
    pub(super) fn largest_value(&mut self, environment: &Environment, is_copied: bool) -> usize {
        let sink = is_copied.then(|| self.sink.stream(environment).ok()).flatten();
        let limit = sink.and_then(|sink| usize::try_from(sink.definition().max_record_bytes).ok());
        limit.unwrap_or(environment.max_record_bytes)
    }

    fn stream(&mut self, environment: &Environment, to: Destination) -> Result<Option<Arc<Stream>>> {
        Ok(match to {
            Destination::Sink => Some(self.sink.stream(environment)?),
            Destination::Late => self.late.as_mut().map(|late| late.stream(environment)).transpose()?,
            Destination::DeadLetter => {
                let (definition, stream) = &mut self.dead_letter;
                if stream.as_ref().is_none_or(|stream| stream.is_deleted()) {
                    *stream = Some(environment.streams.ensure(definition.clone())?);
                }
                stream.clone()
            }
        })
    }
}

/// What is stored at once. It is kept until it is, so that nothing is computed twice.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) outputs: Outputs,
    pub(super) ops: Vec<TableOp>,
}

/// The records of one destination.
struct Part<'o> {
    stream: Arc<Stream>,
    partitions: Vec<PartitionId>,
    events: Vec<Event<'o>>,
}

impl Part<'_> {
    fn destination(&self) -> commit::Destination<'_, '_> {
        let Self { stream, partitions, events } = self;
        commit::Destination { stream, placement: Placement::Each(partitions), events }
    }
}

impl Step {
    /// Commits it, and waits for that.
    ///
    /// # Errors
    /// Whatever became of the commit: it is not stored then, unless the log takes no writes any more.
    pub(super) fn commit(&self, environment: &Environment, sinks: &mut Sinks) -> Result<()> {
        environment.status.refuse_write()?;
        let held = environment.commits.reserve(&self.ops)?;
        let parts = self.parts(environment, sinks)?;
        let reservations = self.reserve(&parts)?;
        let batch = batch(environment, &parts)?;
        let (waiter, reply) = Waiter::pair();
        environment.commits.push(Append::step(batch, self.ops.clone(), held, reply));
        waiter.wait()?;
        reservations.into_iter().for_each(Reservation::confirm);
        Ok(())
    }

    fn parts(&self, environment: &Environment, sinks: &mut Sinks) -> Result<Vec<Part<'_>>> {
        let mut parts = Vec::new();
        for to in [Destination::Sink, Destination::Late, Destination::DeadLetter] {
            let (mut partitions, events) = self.outputs.events(to);
            if events.is_empty() {
                continue;
            }
            let Some(stream) = sinks.stream(environment, to)? else { continue };
            let count = u32::try_from(stream.partitions().len()).unwrap_or(1);
            // Made anew with fewer partitions, the stream has each key in one of them none the less.
            for (partition, event) in partitions.iter_mut().zip(&events).filter(|(partition, _)| partition.0 >= count) {
                *partition =
                    event.key.as_ref().map_or(PartitionId(partition.0 % count), |key| stream.partition_of(key));
            }
            parts.push(Part { stream, partitions, events });
        }
        Ok(parts)
    }

    /// Charges the records to the quotas of their streams.
    fn reserve<'p>(&self, parts: &'p [Part<'_>]) -> Result<Vec<Reservation<'p>>> {
        let charge = |part: &'p Part<'_>| {
            let bytes = part.events.iter().map(|event| encoded_bytes(event) as u64).sum();
            // A step that is larger than all that the quota lets through at once takes all of it, or it would wait for ever.
            let rates = part.stream.quota().rates();
            let most = |rate: Option<Rate>, cost: u64| rate.map_or(cost, |rate| cost.min(rate.burst()));
            let cost = Cost { events: most(rates.events, part.events.len() as u64), bytes: most(rates.bytes, bytes) };
            Reservation::acquire(None, part.stream.quota(), part.stream.name(), cost)
        };
        parts.iter().map(charge).collect()
    }
}

fn batch(environment: &Environment, parts: &[Part<'_>]) -> Result<Option<Encoded>> {
    let Some(first) = parts.first() else { return Ok(None) };
    let bytes: usize = parts.iter().flat_map(|part| &part.events).map(encoded_bytes).sum();
    let share = first.stream.share();
    let permit = Permit::reserve(&environment.ring, share, None, (bytes + BATCH_OVERHEAD_BYTES) as u64)?;
    let destinations: Vec<_> = parts.iter().map(Part::destination).collect();
    encode(&destinations, environment.max_batch_bytes, permit).map(Some)
}
