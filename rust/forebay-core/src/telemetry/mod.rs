//! Counters and the one histogram.
