//! The allocator: batches are allocated on one thread and freed on another, a journal file's worth at a time.

#![allow(unsafe_code)]

use libmimalloc_sys::mi_option_set;
use mimalloc::MiMalloc;
use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of `mimalloc.h`, the same in versions 2 and 3; the bindings leave it out.
const MI_OPTION_PURGE_DELAY: std::ffi::c_int = 15;
/// Freed pages are given back to the operating system after this long. mimalloc then gives back whatever is free at that
/// moment, also what the next journal file will take again, and to fault that in costs a tenth of everything when it
/// happens every 2 s; the default is 10 ms.
const PURGE_DELAY_MILLISECONDS: std::ffi::c_long = 20_000;

/// Sets the allocator up; once, before the first engine is opened.
pub fn keep_pages() {
    // SAFETY: sets one number inside of mimalloc, which any thread may do at any time.
    unsafe { mi_option_set(MI_OPTION_PURGE_DELAY, PURGE_DELAY_MILLISECONDS) }
}

/// glibc gives the top of its heap back beyond this much, and takes it in steps of [`HEAP_STEP_BYTES`]: request bodies
/// are Python objects, allocated and freed by the thousand a second, and the defaults of 128 KiB would return and fault
/// their pages each time.
#[cfg(target_env = "gnu")]
const HEAP_KEPT_BYTES: std::ffi::c_int = 64 << 20;
#[cfg(target_env = "gnu")]
const HEAP_STEP_BYTES: std::ffi::c_int = 4 << 20;
/// Larger blocks than this are mapped and unmapped one by one; the largest that glibc takes.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES: std::ffi::c_int = 32 << 20;

/// Sets Python's own allocator up for a server. For the process that serves alone: it changes how the whole process
/// gives memory back.
#[pyfunction]
pub fn keep_heap() {
    #[cfg(target_env = "gnu")]
    for (option, value) in [
        (libc::M_TRIM_THRESHOLD, HEAP_KEPT_BYTES),
        (libc::M_TOP_PAD, HEAP_STEP_BYTES),
        (libc::M_MMAP_THRESHOLD, MAPPED_BYTES),
    ] {
        // SAFETY: sets one number inside of malloc, under its own lock.
        unsafe { libc::mallopt(option, value) };
    }
}
