//! A queue of what the engine's threads leave for one thread that waits in epoll(7).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};

/// Items for one reader, who is woken by an eventfd: once for all that has come since it last looked. Bounded by
/// whoever puts items in: the engine's completions by the requests under way.
#[derive(Debug)]
pub struct EventQueue<T> {
    items: Mutex<Vec<T>>,
    signalled: AtomicBool,
    wake: OwnedFd,
}

impl<T> EventQueue<T> {
    /// Makes an empty queue.
    ///
    /// # Errors
    /// When the operating system has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { items: Mutex::default(), signalled: AtomicBool::new(false), wake })
    }

    /// Adds an item; the reader hears of it by the next [`EventQueue::wake`].
    pub fn put(&self, item: T) {
        self.items.lock().push(item);
    }

    /// Makes the descriptor readable.
    pub fn wake(&self) {
        if !self.signalled.swap(true, Ordering::AcqRel) {
            // Cannot fail: the counter is read long before 2^64 signals.
            let _infallible = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
        }
    }

    /// Swaps what has come for `into`, which is empty and keeps its memory.
    pub fn take(&self, into: &mut Vec<T>) {
        let mut count = [0; 8];
        // An empty eventfd only means that nobody signalled.
        let _spurious = rustix::io::read(&self.wake, &mut count);
        // Read before the items are taken: an item that comes after signals again.
        self.signalled.store(false, Ordering::Release);
        std::mem::swap(&mut *self.items.lock(), into);
    }
}

impl<T> AsFd for EventQueue<T> {
    /// Readable from a wake-up to the next look.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_look_ends_any_number_of_wake_ups() {
        let (inbox, mut seen) = (EventQueue::new().unwrap(), Vec::new());
        let signals = |inbox: &EventQueue<u8>| rustix::io::read(inbox, &mut [0; 8]).is_ok();
        inbox.put(1);
        assert!(!signals(&inbox), "nobody was woken yet");
        inbox.wake();
        inbox.put(2);
        inbox.wake();
        inbox.take(&mut seen);
        assert_eq!(seen, [1, 2]);
        assert!(!signals(&inbox), "the wake-ups were heard");
        seen.clear();
        inbox.put(3);
        inbox.wake();
        assert!(signals(&inbox), "what comes after a look wakes again");
        inbox.take(&mut seen);
        assert_eq!(seen, [3]);
    }
}
