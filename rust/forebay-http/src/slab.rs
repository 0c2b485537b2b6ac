/// Things by number; a number is used again once its thing is gone.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slab: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { slab: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    /// The number that the next thing gets.
    pub(crate) fn next(&self) -> u32 {
        self.free.last().copied().unwrap_or_else(|| u32::try_from(self.slab.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn insert(&mut self, thing: T) {
        match self.free.pop() {
            Some(slot) => self.slab[slot as usize] = Some(thing),
            None => self.slab.push(Some(thing)),
        }
    }

    pub(crate) fn get(&mut self, slot: u32) -> Option<&mut T> {
        self.slab.get_mut(slot as usize)?.as_mut()
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let thing = self.slab.get_mut(slot as usize)?.take();
        if thing.is_some() {
            self.free.push(slot);
        }
        thing
    }

    /// All numbers in use.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        (0..).zip(&self.slab).filter(|(_, thing)| thing.is_some()).map(|(slot, _)| slot).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again_and_never_twice_at_once() {
        let mut slab = Slab::new();
        for thing in ["a", "b", "c"] {
            let slot = slab.next();
            slab.insert(thing);
            assert_eq!(slab.get(slot).copied(), Some(thing));
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
