//! Owned copies of descriptors that Python passes by their number.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Duplicates the descriptor with that number; the original stays with its owner.
///
/// # Errors
/// When there is no descriptor with that number, or none is left for the copy.
pub fn duplicate(number: i32) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: the number is not -1. It is used for one system call, which fails if it is no descriptor; its owner does
    // not matter, because the call returns a new descriptor.
    unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned()
}
