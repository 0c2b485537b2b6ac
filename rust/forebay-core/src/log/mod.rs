//! The partitioned ring-buffer log.

pub mod aligned;
pub mod append;
pub mod block;
pub mod commit_queue;
pub mod committer;
pub mod dedup;
pub mod frame;
pub mod journal;
pub mod journal_files;
pub mod ndjson;
pub mod read;
pub mod record;
pub mod recovery;
pub mod replay;
pub mod retention;
pub mod ring;
pub mod seal_queue;
pub mod sealer;
pub mod segment;
pub mod spares;
pub mod state;
pub mod status;
pub mod storage;
pub mod table;
