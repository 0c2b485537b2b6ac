//! Waiting for records: who waits is completed by the commit that makes one visible, and costs nothing until then.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use parking_lot::Mutex;

use crate::admission::{Budget, Hold};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{CompletionId, Offset, PartitionId, StreamId};

/// Watches of one stream at once: a commit may have to end them all.
pub const MAX_WATCHES: usize = 65_536;
/// Memory of the watches of all streams: ten thousand long polls and as many tails of streams of four partitions fit twice
/// times.
pub const WATCHES_BYTES: u64 = 32 * 1024 * 1024;
/// Memory of a watch beside its positions: its row, its completion, and the box of its positions.
const WATCH_BYTES: usize = 192;
/// Memory of one position: itself, and its place among all that are due.
const POSITION_BYTES: usize = 80;

/// Takes the ends of watches, from the committer's and other threads.
pub trait Watcher: Send + Sync + Debug {
    /// A record is there, or none will come. Must not block, and must not watch.
    fn due(&self, completion: CompletionId, outcome: Result<()>);

    /// Called once after a group of ends.
    fn wake(&self);
}

/// Names one watch; never used for another one of the same engine's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchId {
    /// The stream that is watched.
    pub stream: StreamId,
    /// Which of its watches.
    pub number: u64,
}

/// Ends of watches that are to be handed over, outside of every lock.
#[derive(Debug, Default)]
pub struct Due(Vec<(Arc<dyn Watcher>, CompletionId, Result<()>)>);

impl Due {
    /// Hands all ends over, and wakes each watcher once.
    pub fn deliver(self) {
        let mut woken: Vec<Arc<dyn Watcher>> = Vec::new();
        for (watcher, completion, outcome) in self.0 {
            watcher.due(completion, outcome);
            if !woken.iter().any(|known| Arc::ptr_eq(known, &watcher)) {
                woken.push(watcher);
            }
        }
        for watcher in &woken {
            watcher.wake();
        }
    }
}

/// The watches of one stream.
///
/// No watch misses a commit: a watch is counted before it looks at what is committed, a commit is visible before it
/// looks at the count, and a fence on either side keeps both from looking too early.
#[derive(Debug)]
pub struct Watches {
    /// Covers the watches of all streams.
    memory: Arc<Budget>,
    /// Number of watches: all that a commit looks at when there are none.
    count: AtomicUsize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The reason why there will be no more records.
    ended: Option<Error>,
    /// Offsets that the watches wait for, so that a commit finds them without looking at the others.
    places: BTreeSet<(PartitionId, Offset, u64)>,
    watches: HashMap<u64, Watch>,
    next_number: u64,
}

#[derive(Debug)]
struct Watch {
    positions: Box<[(PartitionId, Offset)]>,
    watcher: Arc<dyn Watcher>,
    completion: CompletionId,
    _memory: Hold,
}

impl Waiting {
    fn take(&mut self, number: u64) -> Option<Watch> {
        let watch = self.watches.remove(&number)?;
        for (partition, offset) in &watch.positions {
            self.places.remove(&(*partition, *offset, number));
        }
        Some(watch)
    }

    fn finish(&mut self, numbers: &[u64], outcome: &Result<()>, due: &mut Due) {
        for number in numbers {
            if let Some(watch) = self.take(*number) {
                due.0.push((watch.watcher, watch.completion, outcome.clone()));
            }
        }
    }
}

impl Watches {
    /// No watches; `memory` is what those of all streams may take.
    pub(crate) fn new(memory: Arc<Budget>) -> Self {
        Self { memory, count: AtomicUsize::new(0), waiting: Mutex::default() }
    }

    /// Watches for a record at or beyond one of the positions; `committed` tells the end of a partition. The watcher
    /// gets exactly one end for the completion, also at once, unless the watch is taken back.
    ///
    /// # Errors
    /// `Saturated` beyond [`MAX_WATCHES`] of one stream and [`WATCHES_BYTES`] of all, and why there will be no more records.
    pub(crate) fn add(
        &self,
        positions: &[(PartitionId, Offset)],
        watcher: Arc<dyn Watcher>,
        completion: CompletionId,
        committed: impl Fn(PartitionId) -> Offset,
    ) -> Result<u64> {
        let mut waiting = self.waiting.lock();
        if let Some(error) = &waiting.ended {
            return Err(error.clone());
        }
        if waiting.watches.len() >= MAX_WATCHES {
            let detail = format!("the stream has {MAX_WATCHES} readers that wait already; come back later");
            return Err(Error::new(ErrorKind::Saturated, detail));
        }
        let bytes = WATCH_BYTES + positions.len() * POSITION_BYTES;
        let Some(memory) = Hold::reserve(&self.memory, bytes as u64) else {
            let detail =
                format!("readers that wait take up their {} bytes of memory; come back later", self.memory.limit());
            return Err(Error::new(ErrorKind::Saturated, detail));
        };
        let number = waiting.next_number;
        waiting.next_number += 1;
        waiting.places.extend(positions.iter().map(|(partition, offset)| (*partition, *offset, number)));
        waiting.watches.insert(number, Watch { positions: positions.into(), watcher, completion, _memory: memory });
        self.count.store(waiting.watches.len(), Ordering::Relaxed);
        // Pairs with the one in `published`.
        fence(Ordering::SeqCst);
        let mut due = Due::default();
        if positions.iter().any(|(partition, offset)| committed(*partition) > *offset) {
            waiting.finish(&[number], &Ok(()), &mut due);
            self.count.store(waiting.watches.len(), Ordering::Relaxed);
        }
        drop(waiting);
        due.deliver();
        Ok(number)
    }

    /// Takes a watch back, and returns its completion: its watcher will hear nothing of it. `None`: its end is on the way or
    /// was handed over already.
    pub(crate) fn remove(&self, number: u64) -> Option<CompletionId> {
        let mut waiting = self.waiting.lock();
        let watch = waiting.take(number)?;
        self.count.store(waiting.watches.len(), Ordering::Relaxed);
        Some(watch.completion)
    }

    /// The records of a partition before `end` are visible now: adds the watches that waited for one of them to `due`.
    pub(crate) fn published(&self, partition: PartitionId, end: Offset, due: &mut Due) {
        // Pairs with the one in `add`: either it sees the new end of the partition, or this sees its count.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut waiting = self.waiting.lock();
        let before = (partition, Offset(0), 0)..(partition, end, 0);
        let numbers: Vec<u64> = waiting.places.range(before).map(|(_, _, number)| *number).collect();
        waiting.finish(&numbers, &Ok(()), due);
        self.count.store(waiting.watches.len(), Ordering::Relaxed);
    }

    /// Ends every watch with `error`, and refuses later ones with it; the first reason stays.
    pub(crate) fn end(&self, error: Error) {
        let mut due = Due::default();
        let mut waiting = self.waiting.lock();
        let numbers: Vec<u64> = waiting.watches.keys().copied().collect();
        waiting.finish(&numbers, &Err(error.clone()), &mut due);
        waiting.ended.get_or_insert(error);
        self.count.store(0, Ordering::Relaxed);
        drop(waiting);
        due.deliver();
    }

    /// Returns how many wait.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::AtomicU64;
    use std::time::{Duration, Instant};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[derive(Debug, Default)]
    struct Ends(Mutex<Vec<(CompletionId, Result<()>)>>);

    impl Watcher for Ends {
        fn due(&self, completion: CompletionId, outcome: Result<()>) {
            self.0.lock().push((completion, outcome));
        }

        fn wake(&self) {}
    }

    /// Spins until it holds, and gives the processor away where the other thread does not have one of its own.
    fn spin_until(mut holds: impl FnMut() -> bool) {
        let mut spins = 0_u32;
        while !holds() {
            spins += 1;
            if spins < 1000 {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// A reader and a publisher that start each round at the same moment.
    #[test]
    fn no_commit_falls_between_registering_and_looking() {
        const ROUNDS: u64 = 100_000;
        let watches = Watches::new(Budget::new(WATCHES_BYTES));
        let (committed, started) = (AtomicU64::new(0), AtomicU64::new(0));
        let ends = Arc::new(Ends::default());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for offset in 0..ROUNDS {
                    spin_until(|| started.load(Ordering::Acquire) > offset);
                    committed.store(offset + 1, Ordering::Release);
                    let mut due = Due::default();
                    watches.published(PartitionId(0), Offset(offset + 1), &mut due);
                    due.deliver();
                }
            });
            for offset in 0..ROUNDS {
                started.store(offset + 1, Ordering::Release);
                let place = (PartitionId(0), Offset(offset));
                let end = |_| Offset(committed.load(Ordering::Acquire));
                watches.add(&[place], ends.clone(), CompletionId(offset), end).unwrap();
                let deadline = Instant::now() + PATIENCE;
                spin_until(|| {
                    assert!(Instant::now() < deadline, "round {offset} was missed");
                    !ends.0.lock().is_empty()
                });
                assert_eq!(std::mem::take(&mut *ends.0.lock()), [(CompletionId(offset), Ok(()))]);
            }
        });
        assert_eq!(watches.count(), 0);
        assert!(watches.waiting.lock().places.is_empty());
    }

    #[test]
    fn the_end_of_a_stream_is_told_to_all_and_to_those_who_come_later() {
        let (watches, ends) = (Watches::new(Budget::new(WATCHES_BYTES)), Arc::new(Ends::default()));
        let add = |completion| watches.add(&[], ends.clone(), CompletionId(completion), |_| Offset(0));
        add(1).unwrap();
        add(2).unwrap();
        let deleted = Error::new(ErrorKind::StreamNotFound, "stream \"a\" was deleted");
        watches.end(deleted.clone());
        watches.end(Error::new(ErrorKind::Closed, "the server is shutting down"));
        assert_eq!(add(3).unwrap_err(), deleted);
        let mut told = std::mem::take(&mut *ends.0.lock());
        told.sort_by_key(|(completion, _)| *completion);
        assert_eq!(told, [(CompletionId(1), Err(deleted.clone())), (CompletionId(2), Err(deleted))]);
        assert_eq!(watches.count(), 0);
    }

    #[test]
    fn the_positions_of_all_streams_watches_are_bounded() {
        let budget = Budget::new(WATCHES_BYTES);
        let (one, other) = (Watches::new(Arc::clone(&budget)), Watches::new(Arc::clone(&budget)));
        let ends = Arc::new(Ends::default());
        let wide: Vec<_> = (0..1024).map(|partition| (PartitionId(partition), Offset(0))).collect();
        let add = |watches: &Watches| watches.add(&wide, ends.clone(), CompletionId(0), |_| Offset(0));
        let added = (0..).take_while(|_| add(&one).is_ok()).count();
        assert!((100..1000).contains(&added), "{added} tails of 1,024 partitions");
        assert_eq!(add(&other).unwrap_err().kind(), ErrorKind::Saturated, "the memory is that of all streams");
        assert_eq!(one.remove(0), Some(CompletionId(0)));
        assert!(add(&other).is_ok(), "one that went makes room");
        drop((one, other));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn watches_are_bounded() {
        let (watches, ends) = (Watches::new(Budget::new(WATCHES_BYTES)), Arc::new(Ends::default()));
        let add = || watches.add(&[(PartitionId(0), Offset(0))], ends.clone(), CompletionId(0), |_| Offset(0));
        let first = add().unwrap();
        for _ in 1..MAX_WATCHES {
            assert!(add().is_ok());
        }
        assert_eq!(add().unwrap_err().kind(), ErrorKind::Saturated);
        assert_eq!(watches.remove(first), Some(CompletionId(0)));
        assert!(add().is_ok(), "one that went makes room");
    }
}
