use xxhash_rust::xxh3::xxh3_64;

/// Keys with the numbers 0, 1, …, in the order in which they came. Their bytes are in one allocation, and a look-up that
/// meets other keys touches none of them.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyTable {
    /// By hash, open addressing with linear probing: the key's number and one in the low half, or 0; the high half is that
    /// of its hash.
    slots: Vec<u64>,
    /// Where each key ends in `bytes`: the next one begins there.
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

/// The first allocation; small, since most windows of most streams have few keys.
const FIRST_SLOTS: usize = 8;

/// The part of a hash that is in its slot.
const TAG: u64 = 0xffff_ffff_0000_0000;

impl KeyTable {
    /// Returns the key's number, and whether it is new.
    pub(super) fn add(&mut self, key: &[u8]) -> (usize, bool) {
        if (self.len() + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let hash = xxh3_64(key);
        let slot = match self.look_up(hash, key) {
            Ok(number) => return (number, false),
            Err(slot) => slot,
        };
        let number = self.len();
        self.slots[slot] = slot_of(hash, number);
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
        (number, true)
    }

    /// Returns the key's number; `None` when it is not there.
    pub(super) fn find(&self, key: &[u8]) -> Option<usize> {
        if self.slots.is_empty() { None } else { self.look_up(xxh3_64(key), key).ok() }
    }

    /// Returns the key's number, or else the slot that it would have.
    fn look_up(&self, hash: u64, key: &[u8]) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return Err(at);
            }
            if (slot ^ hash) & TAG == 0 {
                let number = (slot & !TAG) as usize - 1;
                if self.get(number) == key {
                    return Ok(number);
                }
            }
            at = (at + 1) & mask;
        }
    }

    pub(super) fn get(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start..self.ends[number]]
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the numbers in the order of their keys.
    pub(super) fn sorted(&self) -> Vec<usize> {
        let shared = self.shared_bytes();
        // Identifiers differ in a few bytes behind what all of them begin with: those decide without a look at the key.
        let head = |number: usize| {
            let rest = &self.get(number)[shared..];
            let (mut head, length) = ([0; 8], rest.len().min(8));
            head[..length].copy_from_slice(&rest[..length]);
            u64::from_be_bytes(head)
        };
        let mut heads: Vec<(u64, usize)> = (0..self.len()).map(|number| (head(number), number)).collect();
        let by_key = |one: usize, other: usize| self.get(one).cmp(self.get(other));
        heads.sort_unstable_by(|one, other| one.0.cmp(&other.0).then_with(|| by_key(one.1, other.1)));
        heads.into_iter().map(|(_, number)| number).collect()
    }

    /// Returns how many bytes are the same at the beginning of all keys.
    fn shared_bytes(&self) -> usize {
        if self.len() == 0 {
            return 0;
        }
        let first = self.get(0);
        (1..self.len()).fold(first.len(), |shared, number| {
            let both = first[..shared].iter().zip(self.get(number));
            both.take_while(|(one, other)| one == other).count()
        })
    }

    /// Forgets all keys, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
        self.ends.clear();
        self.bytes.clear();
    }

    /// Becomes a copy of another one in the memory that it has.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.slots.clone_from(&other.slots);
        self.ends.clone_from(&other.ends);
        self.bytes.clone_from(&other.bytes);
    }

    /// Returns whether a table of as many keys would grow into the memory that it has, at least to a quarter.
    pub(super) fn is_well_filled(&self) -> bool {
        self.len() * 4 >= self.slots.len()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>() + self.ends.capacity() * size_of::<usize>() + self.bytes.capacity()
    }

    fn grow(&mut self) {
        let count = (self.slots.len() * 2).max(FIRST_SLOTS);
        let mut slots = vec![0; count];
        for number in 0..self.len() {
            let hash = xxh3_64(self.get(number));
            let mut at = hash as usize & (count - 1);
            while slots[at] != 0 {
                at = (at + 1) & (count - 1);
            }
            slots[at] = slot_of(hash, number);
        }
        self.slots = slots;
    }
}

fn slot_of(hash: u64, number: usize) -> u64 {
    hash & TAG | u64::from(u32::try_from(number + 1).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(
            keys in prop::collection::vec(prop::collection::vec(0_u8..4, 0..6), 0..400),
            before in prop::collection::vec(any::<u8>(), 0..12),
            behind in prop::collection::vec(0_u8..2, 0..12)
        ) {
            let keys: Vec<_> = keys.into_iter().map(|key| [&before[..], &key, &behind].concat()).collect();
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
