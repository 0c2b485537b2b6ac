//! Descriptors that Python hands over, as owned ones: the only way to take one is by its number.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A descriptor of our own beside the one with that number, which stays its owner's.
///
/// # Errors
/// When there is none with that number, or no further one.
pub fn duplicate(number: i32) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: the number is not -1. It is used for one system call, which says whether it is a descriptor; whose it is
    // does not matter, because what comes back is a new one.
    unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned()
}
