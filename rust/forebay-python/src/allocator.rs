//! The allocator: batches are allocated on one thread and freed on another, a journal file's worth at a time.

#![allow(unsafe_code)]

use libmimalloc_sys::mi_option_set;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of `mimalloc.h`, the same in versions 2 and 3; the bindings leave it out.
const MI_OPTION_PURGE_DELAY: std::ffi::c_int = 15;
/// Freed pages are given back to the operating system after this long. The default of 10 ms is shorter than the time
/// between two journal files, so that each would fault its memory in again: a fifth of the time of a worker.
const PURGE_DELAY_MILLISECONDS: std::ffi::c_long = 2_000;

/// Sets the allocator up; once, before the first engine is opened.
pub fn keep_pages() {
    // SAFETY: sets one number inside of mimalloc, which any thread may do at any time.
    unsafe { mi_option_set(MI_OPTION_PURGE_DELAY, PURGE_DELAY_MILLISECONDS) }
}
