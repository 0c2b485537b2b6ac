//! Windows against a reference that knows all records at once: whatever the interleaving of the partitions, the batches
//! and the number of shards, the results are the same, byte for byte, and in order. And what their state takes on the
//! disk.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::panic)]

mod case;
mod cleaning;
mod reference;
mod results;
mod run;
