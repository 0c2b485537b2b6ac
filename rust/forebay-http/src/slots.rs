/// Things by number; a number is used again once its thing is gone.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The number that the next thing gets.
    pub(crate) fn next(&self) -> u32 {
        self.free.last().copied().unwrap_or_else(|| u32::try_from(self.slots.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn insert(&mut self, thing: T) {
        match self.free.pop() {
            Some(slot) => self.slots[slot as usize] = Some(thing),
            None => self.slots.push(Some(thing)),
        }
    }

    pub(crate) fn get(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let thing = self.slots.get_mut(slot as usize)?.take();
        if thing.is_some() {
            self.free.push(slot);
        }
        thing
    }

    /// All numbers in use.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        (0..).zip(&self.slots).filter(|(_, thing)| thing.is_some()).map(|(slot, _)| slot).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again_and_never_twice_at_once() {
        let mut slots = Slots::new();
        for thing in ["a", "b", "c"] {
            let slot = slots.next();
            slots.insert(thing);
            assert_eq!(slots.get(slot).copied(), Some(thing));
        }
        assert_eq!(slots.remove(1), Some("b"));
        assert!(slots.remove(1).is_none() && slots.get(1).is_none());
        assert_eq!(slots.len(), 2);
        assert_eq!(slots.next(), 1);
        slots.insert("d");
        assert_eq!(slots.numbers(), [0, 1, 2]);
        assert_eq!(slots.next(), 3);
    }
}
