//! The choices that generated inputs are made of, the same in every run.

use forebay_core::load;

pub struct Random(load::Random);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(load::Random::new(seed))
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.below(bound as u64)).unwrap()
    }

    pub fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
