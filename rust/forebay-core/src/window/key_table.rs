use xxhash_rust::xxh3::xxh3_64;

/// Keys with the numbers 0, 1, …, in the order in which they came. Their bytes are in one allocation, and looking one up
/// touches two lines of memory.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyTable {
    /// By hash, open addressing with linear probing: the key's number and one, or 0.
    slots: Vec<u32>,
    entries: Vec<Entry>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    start: usize,
    length: u32,
}

/// The first allocation; small, since most windows of most streams have few keys.
const FIRST_SLOTS: usize = 8;

impl KeyTable {
    /// Returns the key's number, and whether it is new.
    pub(super) fn add(&mut self, key: &[u8]) -> (usize, bool) {
        if (self.entries.len() + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let hash = xxh3_64(key);
        let slot = match self.look_up(hash, key) {
            Ok(number) => return (number, false),
            Err(slot) => slot,
        };
        let number = self.entries.len();
        self.slots[slot] = u32::try_from(number + 1).unwrap_or(u32::MAX);
        self.entries.push(Entry { hash, start: self.bytes.len(), length: key.len() as u32 });
        self.bytes.extend_from_slice(key);
        (number, true)
    }

    /// Returns the key's number; `None` when it is not there.
    pub(super) fn find(&self, key: &[u8]) -> Option<usize> {
        if self.slots.is_empty() { None } else { self.look_up(xxh3_64(key), key).ok() }
    }

    /// Returns the key's number, or else the slot that it would have.
    fn look_up(&self, hash: u64, key: &[u8]) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        while self.slots[slot] != 0 {
            let number = self.slots[slot] as usize - 1;
            if self.entries[number].hash == hash && self.get(number) == key {
                return Ok(number);
            }
            slot = (slot + 1) & mask;
        }
        Err(slot)
    }

    pub(super) fn get(&self, number: usize) -> &[u8] {
        let entry = self.entries[number];
        &self.bytes[entry.start..entry.start + entry.length as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the numbers in the order of their keys.
    pub(super) fn sorted(&self) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..self.len()).collect();
        numbers.sort_unstable_by(|one, other| self.get(*one).cmp(self.get(*other)));
        numbers
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>() + self.entries.capacity() * size_of::<Entry>() + self.bytes.capacity()
    }

    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(FIRST_SLOTS);
        self.slots = vec![0; slots];
        for (number, entry) in self.entries.iter().enumerate() {
            let mut slot = entry.hash as usize & (slots - 1);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (slots - 1);
            }
            self.slots[slot] = u32::try_from(number + 1).unwrap_or(u32::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(keys in prop::collection::vec(prop::collection::vec(0_u8..4, 0..6), 0..400)) {
            let (mut table, mut model) = (KeyTable::default(), HashMap::new());
            for key in &keys {
                prop_assert_eq!(table.find(key), model.get(key).copied());
                let next = model.len();
                let wanted = *model.entry(key.clone()).or_insert(next);
                prop_assert_eq!(table.add(key), (wanted, wanted == next));
            }
            prop_assert_eq!(table.len(), model.len());
            for (key, number) in &model {
                prop_assert_eq!(table.get(*number), &key[..]);
            }
            let sorted: Vec<_> = table.sorted().into_iter().map(|number| table.get(number).to_vec()).collect();
            prop_assert!(sorted.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
