use super::super::codec::{Reader, put, put_bytes};
use super::super::key_table::KeyTable;

/// The most values that a result has.
pub const TOP_VALUES: usize = 100;

/// The longest value that is counted, as JSON.
pub const MAX_TOP_VALUE_BYTES: usize = 1024;

/// Different values that are counted at once, and the bytes that they have at most: 2,600 addresses of 100 bytes.
const MAX_COUNTED: usize = 4096;
const MAX_COUNTED_BYTES: usize = 256 * 1024;

/// How often each value was there. Exact, and the same for every order, while all values have room. When there are too
/// many, the less frequent half is forgotten (G. Manku and R. Motwani, "Approximate frequency counts over data streams",
/// 2002, forget in the same way): a value that was never among it has its exact count, and others have less.
#[derive(Clone, Debug, Default)]
pub(crate) struct Top {
    values: KeyTable,
    /// By the number of the value.
    counts: Vec<u64>,
    /// Bytes of all values.
    bytes: usize,
}

impl Top {
    /// Counts a value by its canonical text, which has at most [`MAX_TOP_VALUE_BYTES`].
    pub(super) fn add(&mut self, value: &[u8]) {
        self.add_count(value, 1);
        self.shorten();
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (number, count) in other.counts.iter().enumerate() {
            self.add_count(other.values.get(number), *count);
        }
        // Only then, so that what both have weighs as both say.
        self.shorten();
    }

    fn add_count(&mut self, value: &[u8], count: u64) {
        let (number, is_new) = self.values.add(value);
        if is_new {
            self.counts.push(0);
            self.bytes += value.len();
        }
        self.counts[number] += count;
    }

    fn shorten(&mut self) {
        if self.counts.len() <= MAX_COUNTED && self.bytes <= MAX_COUNTED_BYTES {
            return;
        }
        let full = std::mem::take(self);
        for number in full.ranked().into_iter().take(MAX_COUNTED / 2) {
            let value = full.values.get(number);
            if self.bytes + value.len() > MAX_COUNTED_BYTES / 2 {
                break;
            }
            self.add_count(value, full.counts[number]);
        }
    }

    /// Returns the numbers of the values, the most frequent first, and of those that are as frequent in their order.
    fn ranked(&self) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..self.counts.len()).collect();
        let by_value = |one: usize, other: usize| self.values.get(one).cmp(self.values.get(other));
        numbers.sort_unstable_by(|one, other| {
            self.counts[*other].cmp(&self.counts[*one]).then_with(|| by_value(*one, *other))
        });
        numbers
    }

    /// Appends the most frequent values with their counts as a JSON array.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, number) in self.ranked().into_iter().take(TOP_VALUES).enumerate() {
            out.extend_from_slice(if index == 0 { br#"{"value":"# } else { br#",{"value":"# });
            out.extend_from_slice(self.values.get(number));
            out.extend_from_slice(br#","count":"#);
            out.extend_from_slice(self.counts[number].to_string().as_bytes());
            out.push(b'}');
        }
        out.push(b']');
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.counts.len() as u64);
        for (number, count) in self.counts.iter().enumerate() {
            put_bytes(out, self.values.get(number));
            put(out, *count);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mut top = Self::default();
        let count = reader.count(2)?;
        for number in 0..count {
            let value = reader.bytes()?;
            top.add_count(value, reader.number()?);
            // A value that is there twice was not written here.
            if top.counts.len() != number + 1 {
                return None;
            }
        }
        (count <= MAX_COUNTED && top.bytes <= MAX_COUNTED_BYTES).then_some(top)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.values.heap_bytes() + self.counts.capacity() * size_of::<u64>()
    }
}

impl PartialEq for Top {
    fn eq(&self, other: &Self) -> bool {
        let pairs = |top: &Self| -> Vec<(Vec<u8>, u64)> {
            top.ranked().into_iter().map(|number| (top.values.get(number).to_vec(), top.counts[number])).collect()
        };
        pairs(self) == pairs(other)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects")]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u16]) -> Top {
        let mut top = Top::default();
        values.iter().for_each(|value| top.add(value.to_string().as_bytes()));
        top
    }

    fn written(top: &Top) -> String {
        let mut out = Vec::new();
        top.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_most_frequent_come_first() {
        assert_eq!(written(&Top::default()), "[]");
        assert_eq!(
            written(&of(&[3, 1, 2, 2, 1, 2])),
            r#"[{"value":2,"count":3},{"value":1,"count":2},{"value":3,"count":1}]"#
        );
        assert_eq!(written(&of(&(0..1000).collect::<Vec<_>>())).matches("count").count(), TOP_VALUES);
    }

    #[test]
    fn what_is_frequent_keeps_its_exact_count_among_any_number_of_others() {
        let mut top = Top::default();
        for number in 0..200_000_u32 {
            top.add(format!("\"{}{number}\"", "x".repeat(number as usize % 300)).as_bytes());
            if number % 100 == 0 {
                top.add(b"\"often\"");
            }
            assert!(top.counts.len() <= MAX_COUNTED && top.bytes <= MAX_COUNTED_BYTES);
        }
        assert!(written(&top).starts_with(r#"[{"value":"often","count":2000},"#));
        assert!(top.heap_bytes() < 4 * MAX_COUNTED_BYTES, "{}", top.heap_bytes());
        let mut bytes = Vec::new();
        top.encode(&mut bytes);
        assert!(bytes.len() <= top.heap_bytes());
    }

    proptest! {
        #[test]
        fn counts_are_exact_in_every_order_and_cut(
            values in prop::collection::vec(0_u16..50, 0..300),
            turned in 0_usize..300,
            cut in 0_usize..300,
        ) {
            let mut model = HashMap::new();
            values.iter().for_each(|value| *model.entry(*value).or_insert(0_u64) += 1);
            let (mut other, cut) = (values.clone(), cut.min(values.len()));
            other.rotate_left(turned.min(values.len()));
            let mut merged = of(&other[..cut]);
            merged.merge(&of(&other[cut..]));
            let whole = of(&values);
            prop_assert_eq!(&merged, &whole);
            prop_assert_eq!(written(&merged), written(&whole));
            let mut bytes = Vec::new();
            whole.encode(&mut bytes);
            prop_assert_eq!(&Top::decode(&mut Reader(&bytes)).unwrap(), &whole);
            for (value, count) in model {
                let entry = format!(r#"{{"value":{value},"count":{count}}}"#);
                prop_assert!(written(&whole).contains(&entry));
            }
        }

        #[test]
        fn damage_is_found_or_read_as_something_small(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(top) = Top::decode(&mut Reader(&bytes)) {
                prop_assert!(top.bytes <= bytes.len());
            }
        }
    }
}
