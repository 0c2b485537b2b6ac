/// Values by number; the number of a removed value is used again.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    entries: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// The number that the next inserted value gets.
    pub(crate) fn next(&self) -> u32 {
        self.free.last().copied().unwrap_or_else(|| u32::try_from(self.entries.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn insert(&mut self, value: T) {
        match self.free.pop() {
            Some(slot) => self.entries[slot as usize] = Some(value),
            None => self.entries.push(Some(value)),
        }
    }

    pub(crate) fn get(&mut self, slot: u32) -> Option<&mut T> {
        self.entries.get_mut(slot as usize)?.as_mut()
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let value = self.entries.get_mut(slot as usize)?.take();
        if value.is_some() {
            self.free.push(slot);
        }
        value
    }

    /// The numbers in use, ascending.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        (0..).zip(&self.entries).filter(|(_, value)| value.is_some()).map(|(slot, _)| slot).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again_and_never_twice_at_once() {
        let mut slab = Slab::new();
        for value in ["a", "b", "c"] {
            let slot = slab.next();
            slab.insert(value);
            assert_eq!(slab.get(slot).copied(), Some(value));
        }
        assert_eq!(slab.remove(1), Some("b"));
        assert!(slab.remove(1).is_none() && slab.get(1).is_none());
        assert_eq!(slab.len(), 2);
        assert_eq!(slab.next(), 1);
        slab.insert("d");
        assert_eq!(slab.numbers(), [0, 1, 2]);
        assert_eq!(slab.next(), 3);
    }
}
