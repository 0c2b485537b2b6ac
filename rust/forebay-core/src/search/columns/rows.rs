//! Sets of rows.

/// Some of the rows of a block, or of the values of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::search) struct RowSet {
    words: Vec<u64>,
    rows: usize,
}

impl RowSet {
    pub(super) fn none(rows: usize) -> Self {
        Self { words: vec![0; rows.div_ceil(64)], rows }
    }

    pub(super) fn all(rows: usize) -> Self {
        let mut set = Self { words: vec![u64::MAX; rows.div_ceil(64)], rows };
        if let Some(last) = set.words.last_mut().filter(|_| !rows.is_multiple_of(64)) {
            *last = (1 << (rows % 64)) - 1;
        }
        set
    }

    #[inline(always)]
    pub(super) fn insert(&mut self, row: usize) {
        if let Some(word) = self.words.get_mut(row / 64) {
            *word |= 1 << (row % 64);
        }
    }

    #[inline(always)]
    pub(super) fn remove(&mut self, row: usize) {
        if let Some(word) = self.words.get_mut(row / 64) {
            *word &= !(1 << (row % 64));
        }
    }

    #[inline(always)]
    pub(in crate::search) fn has(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub(in crate::search) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub(super) fn and(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    pub(super) fn or(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    pub(super) fn and_not(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= !other);
    }

    /// Gives each row, in order.
    #[inline]
    pub(in crate::search) fn each(&self, mut each: impl FnMut(usize)) {
        for (word, start) in self.words.iter().zip((0..).step_by(64)) {
            let mut rest = *word;
            while rest != 0 {
                each(start + rest.trailing_zeros() as usize);
                rest &= rest - 1;
            }
        }
    }
}

/// What a condition says of the values of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hits {
    /// None of them.
    None,
    /// All of them.
    All,
    /// These.
    Some(RowSet),
}

impl Hits {
    pub(super) fn of(is_so: bool) -> Self {
        if is_so { Self::All } else { Self::None }
    }

    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::None, other) | (other, Self::None) => other,
            (Self::Some(mut set), Self::Some(other)) => {
                set.or(&other);
                Self::Some(set)
            }
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::All, other) | (other, Self::All) => other,
            (Self::Some(mut set), Self::Some(other)) => {
                set.and(&other);
                Self::Some(set)
            }
        }
    }

    #[inline(always)]
    pub(super) fn has(&self, index: usize) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(set) => set.has(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_counted_and_combined() {
        for rows in [0, 1, 63, 64, 65, 200] {
            assert_eq!((RowSet::all(rows).count(), RowSet::none(rows).count()), (rows, 0));
        }
        let mut even = RowSet::none(130);
        (0..130).step_by(2).for_each(|row| even.insert(row));
        let mut three = RowSet::none(130);
        (0..130).step_by(3).for_each(|row| three.insert(row));
        let mut both = even.clone();
        both.and(&three);
        let mut rows = Vec::new();
        both.each(|row| rows.push(row));
        assert!(rows.iter().all(|row| row % 6 == 0 && both.has(*row)) && rows.len() == both.count());
        let mut rest = even.clone();
        rest.and_not(&three);
        rest.or(&both);
        assert_eq!(rest, even);
        rest.remove(0);
        assert!(!rest.has(0) && !rest.is_empty() && !rest.has(9999));
        let hits = Hits::Some(even.clone()).and(Hits::Some(three)).or(Hits::None);
        assert_eq!(hits, Hits::Some(both));
        assert_eq!(hits.clone().or(Hits::All), Hits::All);
        assert_eq!(hits.and(Hits::All).and(Hits::None), Hits::None);
    }
}
