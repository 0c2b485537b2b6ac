//! The choices that generated inputs are made of, the same in every run, and how many of them are asked for.

use forebay_core::load;

/// Returns the number in an environment variable.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

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
