use super::failure::Failure;

/// The outcome of a predicate for one record.
#[derive(Clone, Debug)]
pub enum Evaluation<'f> {
    /// It is true.
    Match,
    /// It is false.
    NoMatch,
    /// It is neither: a field is missing, types do not fit, a loop has too many steps, or the expression gives no truth
    /// value. Operators absorb a failure that does not decide: `true || value.missing > 1` is true.
    Failed(Failure<'f>),
}

impl Evaluation<'_> {
    /// Returns whether the record is chosen.
    #[must_use]
    #[inline]
    pub fn is_match(&self) -> bool {
        matches!(self, Self::Match)
    }

    #[inline]
    pub(super) fn negated(self) -> Self {
        match self {
            Self::Match => Self::NoMatch,
            Self::NoMatch => Self::Match,
            Self::Failed(failure) => Self::Failed(failure),
        }
    }
}
