//! A storage in memory that fails on purpose: what a power loss, a killed process, a broken or a full disk leave behind.
//!
//! # The model
//! A file has *stable* bytes and an ordered list of changes that were not synced. `fdatasync` moves the changes into
//! the stable bytes. On power loss ([`Faulty::crash`]) each 512-byte sector ends, independently of all others, at some
//! moment between the last sync and the crash: all, some or none of the writes to it are kept, in their order. So a
//! write can be lost, torn, or kept while an earlier one to another sector is lost. Rarely a sector ends inside of a
//! write (half of it, or garbage in its place). The length of a file is metadata and ends at any of its past values;
//! where it outlived the bytes, zeros are read.
//!
//! Names are volatile until their directory is synced. Each creation, renaming and removal is kept or lost on its own,
//! but changes of one name keep their order, and a renaming is atomic. Syncing a file does not sync its name, as POSIX
//! has it. Syncing one of the two directories of a renaming makes it durable.
//!
//! # Assumptions about a disk
//! *Powersafe overwrite*, as SQLite calls it (<https://www.sqlite.org/psow.html>): writing some bytes of a sector never
//! damages its other bytes. Without this no log could append to a sector that holds something acknowledged. Decay of
//! stable bytes is injected apart, with [`Faulty::flip`] and [`Faulty::break_reads`].
//!
//! # Failed syncs
//! After a failed `fdatasync` Linux marks the pages clean ("Can Applications Recover from fsync Failures?", Rebello et
//! al., USENIX ATC 2020): the bytes are read back, the next sync succeeds, and a crash loses them, unless another write
//! makes the same 4096-byte page dirty again. That is what [`Effect::Nothing`] of a [`Fault`] on [`Operation::Sync`]
//! does.
//!
//! # Clocks
//! The machine has clocks of its own, which a test moves ([`Faulty::pass`], [`Faulty::set_wall_clock`]). A crash is another
//! life of the machine, whose boot clock begins anew; a killed process comes back in the same one.

mod clocks;
mod fault;
mod file;
mod filesystem;
mod inode;
mod names;
mod odds;
mod state;
mod universe;

pub use fault::{Cause, Effect, Fault, FaultId, Operation};
pub use universe::{Faulty, STALL_LIMIT};

#[cfg(test)]
mod tests;
