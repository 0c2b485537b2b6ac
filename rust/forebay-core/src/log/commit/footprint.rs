//! The memory that records take beside their bytes. Permits cover it, so that many small batches are refused in time,
//! too; a test measures that it is not less than what an allocator gives.

/// Memory of a batch beside its records: the structures that refer to it until it is sealed, the row of its idempotency
/// key, and its first run.
pub(crate) const BATCH_OVERHEAD_BYTES: usize = 512;

/// Memory of a batch of so many runs beside its records.
#[must_use]
pub(crate) fn batch_bytes(runs: usize) -> usize {
    BATCH_OVERHEAD_BYTES + runs.saturating_sub(1) * RUN_BYTES
}

/// Memory of one run beside its bytes, until it is sealed: itself, which the ring and the contents of its file share (96
/// bytes as an allocator gives them); a reference in each, of which up to half are not used; its partition's entry among
/// the contents, when it is the only run there; and its place in the row of an idempotency key.
pub(super) const RUN_BYTES: usize = 192;
