//! The partitioned ring-buffer log.

pub mod storage;
