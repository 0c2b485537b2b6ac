//! Settings of the allocators: batches are allocated on one thread and freed on another, a journal file's worth at a
//! time.

#![allow(unsafe_code)]

use libmimalloc_sys::mi_option_set;
use mimalloc::MiMalloc;
use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of `mimalloc.h`, equal in versions 2 and 3. The bindings leave it out.
const MI_OPTION_PURGE_DELAY: std::ffi::c_int = 15;
/// How long mimalloc keeps freed pages before it returns them to the operating system; its default is 10 ms. It then
/// returns all pages that are free at that moment, including those that the next journal file takes again. Faulting
/// them in again every 2 s costs a tenth of all CPU time.
const PURGE_DELAY_MILLISECONDS: std::ffi::c_long = 20_000;

/// Sets mimalloc up. Called once, before the first engine is opened.
pub fn keep_pages() {
    // SAFETY: the call sets one number inside of mimalloc, which any thread may do at any time.
    unsafe { mi_option_set(MI_OPTION_PURGE_DELAY, PURGE_DELAY_MILLISECONDS) }
}

/// How much free memory glibc keeps at the top of its heap, which grows in steps of [`HEAP_STEP_BYTES`]. Request bodies
/// are Python objects, allocated and freed by the thousand a second; with the default of 128 KiB their pages would be
/// returned and faulted in each time.
#[cfg(target_env = "gnu")]
const HEAP_KEPT_BYTES: std::ffi::c_int = 64 << 20;
#[cfg(target_env = "gnu")]
const HEAP_STEP_BYTES: std::ffi::c_int = 4 << 20;
/// The size from which glibc maps and unmaps each block singly; the largest value that it takes.
#[cfg(target_env = "gnu")]
const MAPPED_BYTES: std::ffi::c_int = 32 << 20;

/// Sets the allocator of Python's own objects up for a server. Only a process that does nothing but serve calls it,
/// because it changes how the whole process returns memory.
#[pyfunction]
pub fn keep_heap() {
    #[cfg(target_env = "gnu")]
    for (option, value) in [
        (libc::M_TRIM_THRESHOLD, HEAP_KEPT_BYTES),
        (libc::M_TOP_PAD, HEAP_STEP_BYTES),
        (libc::M_MMAP_THRESHOLD, MAPPED_BYTES),
    ] {
        // SAFETY: the call sets one number inside of malloc, under malloc's own lock.
        unsafe { libc::mallopt(option, value) };
    }
}
