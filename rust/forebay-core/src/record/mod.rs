//! A record as it lies in memory and in files, and the event that it is encoded from.

mod event;
pub(crate) mod record;

pub use event::{Event, MAX_KEY_BYTES};
pub use record::Record;
pub(crate) use record::{MAX_HEADER_BYTES, RECORD_HEADER_BYTES, Records, decode, encode_record, encoded_bytes};
