//! How much a reader of the log's files checks.

/// What a reader takes for proof, and what it does where the medium gives nothing back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// A checksum that matches is proof enough, and bytes that cannot be read are an error, which may pass. A running log
    /// reads so.
    Trusting,
    /// Every record is decoded too. Zeros stand for the sectors that cannot be read, so that the rest is found. Verify and
    /// repair read so.
    Salvaging,
}
