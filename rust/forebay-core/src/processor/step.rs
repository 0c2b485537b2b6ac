//! One append: what a processor has made of the records that it read, and how far it has read.

use std::borrow::Cow;
use std::sync::Arc;

use super::environment::Environment;
use super::letters::letters_of;
use super::outputs::{Destination, Lane, Outputs};
use crate::admission::{Cost, Permit, Rate, Reservation};
use crate::error::Result;
use crate::ids::{Offset, PartitionId};
use crate::log::commit::{Append, BATCH_OVERHEAD_BYTES, Encoded, EncodedRun, Waiter, gather};
use crate::stream::{Stream, StreamDefinition};
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
        letters_of(environment, &self.dead_letter.0.name)
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
    lanes: Vec<(PartitionId, Cow<'o, Lane>)>,
}

impl<'o> Part<'o> {
    fn new(stream: Arc<Stream>, lanes: &'o [Lane]) -> Self {
        let lanes = if lanes.len() <= stream.partitions().len() {
            lanes.iter().map(Cow::Borrowed).collect()
        } else {
            distributed(&stream, lanes).into_iter().map(Cow::Owned).collect::<Vec<_>>()
        };
        let lanes = (0..).map(PartitionId).zip(lanes).filter(|(_, lane)| lane.records > 0).collect();
        Self { stream, lanes }
    }

    fn bytes(&self) -> usize {
        self.lanes.iter().map(|(_, lane)| lane.bytes.len()).sum()
    }

    fn runs(&self) -> impl Iterator<Item = EncodedRun<'_>> {
        self.lanes.iter().map(|(partition, lane)| EncodedRun {
            stream: &self.stream,
            partition: *partition,
            records: lane.records,
            times: lane.times,
            bytes: &lane.bytes,
        })
    }
}

/// Made anew with fewer partitions, a stream has each key in one of them none the less.
fn distributed(stream: &Stream, lanes: &[Lane]) -> Vec<Lane> {
    let count = stream.partitions().len();
    let mut placed = vec![Lane::default(); count];
    for (index, lane) in lanes.iter().enumerate() {
        for (record, stored) in lane.records() {
            let by_key = || record.key.map_or(index % count, |key| stream.partition_of(key).0 as usize);
            placed[if index < count { index } else { by_key() }].push_stored(record.timestamp, stored);
        }
    }
    placed
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
        for to in Destination::ALL {
            if self.outputs.count(to) > 0
                && let Some(stream) = sinks.stream(environment, to)?
            {
                parts.push(Part::new(stream, self.outputs.lanes(to)));
            }
        }
        Ok(parts)
    }

    /// Charges the records to the quotas of their streams.
    fn reserve<'p>(&self, parts: &'p [Part<'_>]) -> Result<Vec<Reservation<'p>>> {
        let charge = |part: &'p Part<'_>| {
            let (events, bytes) = (part.runs().map(|run| u64::from(run.records)).sum(), part.bytes() as u64);
            // A step that is larger than all that the quota lets through at once takes all of it, or it would wait for ever.
            let rates = part.stream.quota().rates();
            let most = |rate: Option<Rate>, cost: u64| rate.map_or(cost, |rate| cost.min(rate.burst()));
            let cost = Cost { events: most(rates.events, events), bytes: most(rates.bytes, bytes) };
            Reservation::acquire(None, part.stream.quota(), part.stream.name(), cost)
        };
        parts.iter().map(charge).collect()
    }
}

fn batch(environment: &Environment, parts: &[Part<'_>]) -> Result<Option<Encoded>> {
    let Some(first) = parts.first() else { return Ok(None) };
    let bytes: usize = parts.iter().map(Part::bytes).sum();
    let share = first.stream.share();
    let permit = Permit::reserve(&environment.ring, share, None, (bytes + BATCH_OVERHEAD_BYTES) as u64)?;
    let runs: Vec<_> = parts.iter().flat_map(Part::runs).collect();
    gather(&runs, environment.max_batch_bytes, permit).map(Some)
}
