//! Events as columns in Arrow's layout, for formats that are written by columns.

use super::event::LogEvent;
use crate::ids::Timestamp;

/// The names of the columns of texts, in their order; the column of times comes before them.
pub const COLUMN_NAMES: [&str; 8] =
    ["level", "service", "project_id", "message", "request_id", "user_id", "event_id", "metadata"];

/// A column of texts that may be missing, in Arrow's variable-size binary layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextColumn {
    /// Where each text begins, and where the last one ends. A step has less than 2 GiB: it ends at
    /// [`super::super::MAX_EXPORT_BYTES`], or with one record.
    pub offsets: Vec<i32>,
    /// The texts, one behind the other, in UTF-8.
    pub bytes: Vec<u8>,
    /// A bit for each text, the lowest first: whether it is there.
    pub validity: Vec<u8>,
    /// How many are not there.
    pub missing: usize,
}

impl Default for TextColumn {
    fn default() -> Self {
        Self { offsets: vec![0], bytes: Vec::new(), validity: Vec::new(), missing: 0 }
    }
}

impl TextColumn {
    fn push(&mut self, text: Option<&str>) {
        let index = self.offsets.len() - 1;
        if index.is_multiple_of(8) {
            self.validity.push(0);
        }
        match (text, self.validity.last_mut()) {
            (Some(text), Some(bits)) => {
                self.bytes.extend_from_slice(text.as_bytes());
                *bits |= 1 << (index % 8);
            }
            _ => self.missing += 1,
        }
        self.offsets.push(i32::try_from(self.bytes.len()).unwrap_or(i32::MAX));
    }
}

/// Events by columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Event times, microseconds since 1970 UTC.
    pub timestamps: Vec<i64>,
    /// The texts of each of [`COLUMN_NAMES`].
    pub texts: [TextColumn; COLUMN_NAMES.len()],
}

impl Columns {
    /// Returns the bytes of the texts, and 8 for each time.
    pub(super) fn bytes(&self) -> usize {
        self.texts.iter().map(|column| column.bytes.len()).sum::<usize>() + self.timestamps.len() * size_of::<i64>()
    }

    pub(super) fn push(&mut self, time: Timestamp, event_id: &str, event: &LogEvent<'_>) {
        self.timestamps.push(time.0);
        let fields = [
            event.level.as_deref(),
            event.service.as_deref(),
            event.project_id.as_deref(),
            event.message.as_deref(),
            event.request_id.as_deref(),
            event.user_id.as_deref(),
            Some(event_id),
            event.metadata.as_deref(),
        ];
        for (column, field) in self.texts.iter_mut().zip(fields) {
            column.push(field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_between_two_offsets_and_has_a_bit() {
        let mut columns = Columns::default();
        for index in 0..10 {
            let user_id = (index % 3 == 0).then(|| format!("u{index}").into());
            let event = LogEvent { message: Some("größe".into()), user_id, ..LogEvent::default() };
            columns.push(Timestamp(index), &format!("evt_1_0_{index}"), &event);
        }
        assert_eq!(columns.timestamps, (0..10).collect::<Vec<_>>());
        let [level, _, _, message, _, user_id, event_id, _] = &columns.texts;
        assert_eq!((level.missing, level.bytes.len(), &level.validity), (10, 0, &vec![0, 0]));
        assert_eq!((message.missing, &message.validity), (0, &vec![0xff, 0b11]));
        assert_eq!(message.offsets, (0..=10).map(|index| index * 7).collect::<Vec<_>>());
        assert_eq!((user_id.missing, &user_id.validity), (6, &vec![0b0100_1001, 0b10]));
        assert_eq!((user_id.bytes.as_slice(), user_id.offsets.last()), (b"u0u3u6u9".as_slice(), Some(&8)));
        assert_eq!(event_id.bytes.len(), 90);
        assert_eq!(columns.bytes(), 70 + 8 + 90 + 80);
    }
}
