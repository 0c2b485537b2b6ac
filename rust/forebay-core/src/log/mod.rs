//! The partitioned ring-buffer log.

pub mod aligned;
pub mod append;
pub mod block;
pub mod commit_queue;
pub mod committer;
pub mod dedup;
pub mod frame;
mod intervals;
pub mod journal;
pub mod journal_files;
pub mod ndjson;
pub mod quarantine;
pub mod read;
mod rebuild;
pub mod record;
pub mod recovery;
pub mod repair;
pub mod replay;
pub mod retention;
pub mod ring;
<<<<<<< HEAD
mod salvage;
=======
pub mod seal_queue;
>>>>>>> main
pub mod sealer;
pub mod segment;
pub mod spares;
pub mod state;
pub mod status;
pub mod storage;
mod survey;
pub mod table;
pub mod verify;
