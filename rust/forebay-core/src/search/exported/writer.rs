//! The one writer of an export's events.

use super::columns::Columns;
use super::event::EventFields;
use super::{csv, text};
use crate::ids::{EventId, Offset, PartitionId, StreamId};
use crate::output::{EventWriter, Layout};
use crate::record::Record;
use crate::search::request::ExportFormat;
use crate::time::format_micros;

/// What a step of an export gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exported {
    /// Lines, one an event, unless the texts of an event in CSV have line ends.
    Lines(Vec<u8>),
    /// Columns.
    Columns(Box<Columns>),
}

impl Exported {
    /// Returns the lines; none of columns.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        match self {
            Self::Lines(lines) => lines,
            Self::Columns(_) => &[],
        }
    }
}

/// Writes events in one format.
#[derive(Debug)]
pub(in crate::search) struct ExportWriter {
    format: ExportFormat,
    stream: StreamId,
    partition: PartitionId,
    events: EventWriter,
    fields: EventFields,
    lines: Vec<u8>,
    columns: Columns,
}

impl ExportWriter {
    /// Makes a writer that has written nothing.
    pub(in crate::search) fn new(format: ExportFormat, stream: StreamId) -> Self {
        let partition = PartitionId(0);
        Self {
            format,
            stream,
            partition,
            events: EventWriter::new(stream, partition, Layout::OneLine),
            fields: EventFields::default(),
            lines: Vec::new(),
            columns: Columns::default(),
        }
    }

    /// Goes on with the records of that partition.
    pub(in crate::search) fn begin(&mut self, partition: PartitionId) {
        self.partition = partition;
        self.events = EventWriter::new(self.stream, partition, Layout::OneLine);
    }

    /// Returns how much was written.
    pub(in crate::search) fn bytes(&self) -> usize {
        self.lines.len() + self.columns.bytes()
    }

    /// Writes one event.
    pub(in crate::search) fn write(&mut self, offset: Offset, record: &Record<'_>) {
        if self.format == ExportFormat::Json {
            self.events.write(offset, record, &mut self.lines);
            self.lines.push(b'\n');
            return;
        }
        let event = self.fields.of(record);
        let id = || EventId::new(self.stream, self.partition, offset).to_string();
        match self.format {
            ExportFormat::Json => {}
            ExportFormat::Csv => csv::write_line(&format_micros(record.timestamp), &id(), &event, &mut self.lines),
            ExportFormat::Txt => text::write_line(&format_micros(record.timestamp), &event, &mut self.lines),
            ExportFormat::Columns => self.columns.push(record.timestamp, &id(), &event),
        }
    }

    /// Returns what was written.
    pub(in crate::search) fn finish(self) -> Exported {
        match self.format {
            ExportFormat::Json | ExportFormat::Csv | ExportFormat::Txt => Exported::Lines(self.lines),
            ExportFormat::Columns => Exported::Columns(Box::new(self.columns)),
        }
    }
}
