//! [`Buffer`]: the data of a body, in a bounded number of bytes and chunks.

use std::collections::VecDeque;
use std::mem;

use bytes::Bytes;

/// The first bytes of a body.
///
/// Large chunks are kept by reference. Small ones are copied into one chunk: a reference to one byte costs more than the byte,
/// and may keep a large allocation alive. So there are never more than 130 chunks, whatever the size of the frames.
#[derive(Default)]
pub(super) struct Buffer {
    chunks: VecDeque<Bytes>,
    /// Small chunks that follow the last of `chunks`.
    tail: Vec<u8>,
    len: usize,
}

impl Buffer {
    /// The number of bytes in the buffer.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Appends `chunk`. Returns false if that exceeds the limit.
    #[must_use]
    pub(super) fn push(&mut self, chunk: &Bytes) -> bool {
        if chunk.len() > MAX_LEN - self.len {
            return false;
        }
        self.len += chunk.len();
        if chunk.len() < MIN_SHARED {
            self.tail.extend_from_slice(chunk);
        } else {
            self.end_tail();
            self.chunks.push_back(chunk.clone());
        }
        true
    }

    /// Removes the next chunk.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        if self.chunks.is_empty() {
            self.end_tail();
        }
        let chunk = self.chunks.pop_front()?;
        self.len -= chunk.len();
        Some(chunk)
    }

    fn end_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(mem::take(&mut self.tail).into());
        }
    }
}

/// The most that is kept of a body, in bytes.
const MAX_LEN: usize = 256 * 1024;

/// The size from which a chunk is kept by reference, in bytes.
const MIN_SHARED: usize = 4 * 1024;
