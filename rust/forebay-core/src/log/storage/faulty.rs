//! A storage that fails on purpose.
