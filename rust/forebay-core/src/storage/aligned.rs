//! A byte buffer whose content starts at a page boundary of memory, as files opened past the page cache demand.

/// The alignment of memory, positions and lengths that `O_DIRECT` is content with on every common device.
pub(super) const ALIGNMENT: usize = 4096;

/// A growable buffer that stays aligned.
#[derive(Debug)]
pub struct AlignedBuffer {
    /// The content, behind as many bytes as it takes to reach a boundary.
    bytes: Vec<u8>,
    start: usize,
}

impl AlignedBuffer {
    /// Returns an empty buffer with room for `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let mut bytes: Vec<u8> = Vec::with_capacity(capacity + ALIGNMENT);
        let start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        bytes.resize(start, 0);
        Self { bytes, start }
    }

    /// Returns the content.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Returns the content's length.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Returns whether there is no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends to the content.
    pub fn extend(&mut self, more: &[u8]) {
        if self.bytes.len() + more.len() > self.bytes.capacity() {
            // A vector that grows moves to wherever there is room.
            let mut larger = Self::new((self.len() + more.len()).next_power_of_two());
            larger.bytes.extend_from_slice(self.content());
            *self = larger;
        }
        self.bytes.extend_from_slice(more);
    }

    /// Appends zeros up to the next multiple of the alignment.
    pub fn pad(&mut self) {
        self.zero_to(self.len().next_multiple_of(ALIGNMENT));
    }

    /// Appends zeros up to a content of `length` bytes.
    pub fn zero_to(&mut self, length: usize) {
        while self.len() < length {
            self.extend(&[0; ALIGNMENT][..ALIGNMENT.min(length - self.len())]);
        }
    }

    /// Forgets the content.
    pub fn clear(&mut self) {
        self.bytes.truncate(self.start);
    }

    /// Returns the longest part from the start that has an aligned length.
    #[must_use]
    pub fn aligned(&self) -> &[u8] {
        &self.content()[..self.len() / ALIGNMENT * ALIGNMENT]
    }

    /// Forgets the first `bytes` of the content.
    pub fn consume(&mut self, bytes: usize) {
        let left = self.len() - bytes;
        self.bytes.copy_within(self.start + bytes.., self.start);
        self.bytes.truncate(self.start + left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_stays_aligned_and_in_order() {
        let mut buffer = AlignedBuffer::new(10_000);
        let mut wanted = Vec::new();
        for round in 0..200_u32 {
            let more: Vec<u8> = (0..round * 97 % 9000).map(|i| (i ^ round) as u8).collect();
            buffer.extend(&more);
            wanted.extend_from_slice(&more);
            assert_eq!(buffer.content().as_ptr().align_offset(ALIGNMENT), 0);
            if round % 3 == 0 {
                let taken = buffer.aligned().len();
                assert_eq!(taken % ALIGNMENT, 0);
                assert!(buffer.len() - taken < ALIGNMENT);
                buffer.consume(taken);
                wanted.drain(..taken);
            }
            assert_eq!(buffer.content(), wanted);
        }
        buffer.zero_to(buffer.len() / 2);
        buffer.pad();
        assert_eq!(buffer.len(), wanted.len().next_multiple_of(ALIGNMENT));
        assert_eq!(buffer.aligned(), buffer.content());
        buffer.clear();
        buffer.zero_to(2 * ALIGNMENT + 1);
        assert_eq!(buffer.content(), [0; 2 * ALIGNMENT + 1]);
    }
}
