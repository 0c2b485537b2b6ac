//! The strictness of the readers of the log's files.

/// A reader's standard of proof, and its way with sectors that the medium does not give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// A checksum that matches is proof enough, and bytes that cannot be read are an error, which may pass. A running log
    /// reads so.
    Trusting,
    /// Every record is decoded too. Zeros stand for the sectors that cannot be read, so that the rest is found. Verify and
    /// repair read so.
    Salvaging,
}
