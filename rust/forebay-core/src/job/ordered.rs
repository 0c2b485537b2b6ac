//! A sorted list that is long, changes anywhere, and is read from any place on.

/// Entries of one part at most: moving half of them on an insert costs less than a look-up in a cold tree.
const PART: usize = 512;

/// Distinct entries in their order.
#[derive(Clone, Debug)]
pub(super) struct Ordered<T> {
    parts: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self { parts: Vec::new(), len: 0 }
    }
}

impl<T: Ord + Copy> Ordered<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The part that holds the entry, or would.
    fn part(&self, entry: &T) -> usize {
        self.parts.partition_point(|part| part.last().is_some_and(|last| last < entry))
    }

    pub(super) fn insert(&mut self, entry: T) {
        let at = self.part(&entry);
        let Some(part) = self.parts.get_mut(at) else {
            // Beyond the last: mostly what is inserted is the newest, and full parts are left full.
            match self.parts.last_mut().filter(|last| last.len() < PART) {
                Some(last) => last.push(entry),
                None => self.parts.push(vec![entry]),
            }
            self.len += 1;
            return;
        };
        if let Err(place) = part.binary_search(&entry) {
            self.len += 1;
            if part.len() < PART {
                return part.insert(place, entry);
            }
            // Before it grows: no part ever has room for more than it may hold.
            let mut rest = part.split_off(PART / 2);
            match place.checked_sub(PART / 2) {
                Some(place) => rest.insert(place, entry),
                None => part.insert(place, entry),
            }
            self.parts.insert(at + 1, rest);
        }
    }

    /// Removes an entry; `false` when it is not there.
    pub(super) fn remove(&mut self, entry: &T) -> bool {
        let at = self.part(entry);
        let Some(part) = self.parts.get_mut(at) else { return false };
        let Ok(place) = part.binary_search(entry) else { return false };
        part.remove(place);
        self.len -= 1;
        if part.is_empty() {
            self.parts.remove(at);
        }
        true
    }

    /// The entries in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.parts.iter().flatten().copied()
    }

    /// The entry at a place, counted from the first.
    pub(super) fn get(&self, mut place: usize) -> Option<T> {
        for part in &self.parts {
            if let Some(entry) = part.get(place) {
                return Some(*entry);
            }
            place -= part.len();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::random::Random;

    #[test]
    fn it_is_a_sorted_set_with_places() {
        let (mut list, mut set, mut random) = (Ordered::default(), BTreeSet::new(), Random::new(7));
        for round in 0..20_000 {
            let entry = random.below(4_000);
            if random.chance(if round < 10_000 { 1 } else { 2 }, 3) {
                assert_eq!(list.remove(&entry), set.remove(&entry));
            } else {
                list.insert(entry);
                set.insert(entry);
            }
            assert_eq!(list.len(), set.len());
        }
        assert!(list.iter().eq(set.iter().copied()));
        for (place, entry) in set.iter().enumerate() {
            assert_eq!(list.get(place), Some(*entry));
        }
        assert_eq!(list.get(set.len()), None);
        for entry in 0..4_000 {
            list.remove(&entry);
        }
        assert_eq!((list.len(), list.parts.len()), (0, 0));
    }
}
