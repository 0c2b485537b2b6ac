//! The threads of all processors, and who is next. A processor has no thread of its own: there may be a thousand.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::processor::Processor;
use super::source_watch::SourceWatch;

/// What a thread of the pool has to do.
#[derive(Debug)]
pub(super) enum Work {
    /// A turn of a processor.
    Turn(Arc<Processor>),
    /// Records came: whoever reads the source has a turn.
    Wake(Arc<SourceWatch>),
}

/// Who waits for a thread, and who for a time. Bounded by the processors: each is in it once, and has one timer.
#[derive(Debug, Default)]
pub(super) struct Pool {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Work>,
    timers: BinaryHeap<Reverse<Timer>>,
    closed: bool,
}

#[derive(Debug)]
struct Timer(Instant, Arc<Processor>);

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0).then(self.1.id.cmp(&other.1.id))
    }
}

impl Pool {
    /// Gives the processor a turn, behind those who wait.
    pub(super) fn schedule(&self, processor: &Arc<Processor>) {
        let is_new = processor.scheduled.lock().wake();
        if is_new {
            self.push(Work::Turn(Arc::clone(processor)));
        }
    }

    /// Has a thread wake the readers of a source: the committer, which calls this, does no more than that.
    pub(super) fn wake(&self, source: Arc<SourceWatch>) {
        self.push(Work::Wake(source));
    }

    fn push(&self, work: Work) {
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        state.queue.push_back(work);
        drop(state);
        self.wake.notify_one();
    }

    /// Gives the processor a turn at that time, unless it has one before.
    pub(super) fn schedule_at(&self, processor: &Arc<Processor>, time: Instant) {
        let mut timer = processor.timer.lock();
        if timer.is_some_and(|set| set <= time) {
            return;
        }
        *timer = Some(time);
        drop(timer);
        let mut state = self.state.lock();
        state.timers.push(Reverse(Timer(time, Arc::clone(processor))));
        drop(state);
        self.wake.notify_one();
    }

    /// Waits for work; `None` when the pool is closed.
    pub(super) fn next(&self) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            let now = Instant::now();
            while state.timers.peek().is_some_and(|Reverse(timer)| timer.0 <= now) {
                let Some(Reverse(Timer(time, processor))) = state.timers.pop() else { break };
                let mut set = processor.timer.lock();
                // A timer that was set to an earlier time has rung already.
                if *set == Some(time) {
                    *set = None;
                }
                drop(set);
                let is_new = processor.scheduled.lock().wake();
                if is_new {
                    state.queue.push_back(Work::Turn(processor));
                }
            }
            if let Some(work) = state.queue.pop_front() {
                if !state.queue.is_empty() {
                    self.wake.notify_one();
                }
                return Some(work);
            }
            match state.timers.peek().map(|Reverse(timer)| timer.0) {
                Some(time) => drop(self.wake.wait_until(&mut state, time)),
                // Bounded by the engine, whose end closes the pool.
                None => self.wake.wait(&mut state),
            }
        }
    }

    /// Ends all waits, also later ones.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.queue.clear();
        state.timers.clear();
        drop(state);
        self.wake.notify_all();
    }
}
