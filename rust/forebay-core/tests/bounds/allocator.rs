//! The system's allocator, and how much of it is in use: resident memory alone does not say what a thing costs.
#![allow(unsafe_code)] // an allocator is unsafe by nature

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
static BEGUN: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns what glibc takes for an allocation: a word before it, in steps of two words, and four words at least.
fn taken(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16).max(32)
}

// SAFETY: all is the system allocator's own; counting changes nothing of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let more = taken(layout.size());
        MOST.fetch_max(IN_USE.fetch_add(more, Ordering::Relaxed) + more, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(taken(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Begins to look for the most bytes in use.
#[allow(dead_code, reason = "not every test that counts looks for it")]
pub fn begin() {
    let now = in_use();
    BEGUN.store(now, Ordering::Relaxed);
    MOST.store(now, Ordering::Relaxed);
}

/// The most bytes that were in use at once since it was begun, beyond those in use then.
#[allow(dead_code, reason = "not every test that counts looks for it")]
pub fn peak() -> usize {
    MOST.load(Ordering::Relaxed) - BEGUN.load(Ordering::Relaxed)
}

/// Bytes in use now.
pub fn in_use() -> usize {
    IN_USE.load(Ordering::Relaxed)
}
