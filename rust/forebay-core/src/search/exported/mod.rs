//! Found log events in the formats of exports.

mod columns;
mod csv;
mod event;
mod text;
mod writer;

pub use columns::{COLUMN_NAMES, Columns, TextColumn};
pub use csv::CSV_HEAD;
pub(super) use writer::ExportWriter;
pub use writer::Exported;
