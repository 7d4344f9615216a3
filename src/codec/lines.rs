//! Finds lines, and remembers how far it has searched.

use bytes::{BufMut, BytesMut};

use super::{CodecError, Limit};
use crate::protocol::Excerpt;

/// The position in a stream of lines and blocks.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Lines {
    /// Bytes of the buffer that hold no line end.
    scanned: usize,
    /// Bytes of the stream before the buffer.
    pub offset: u64,
}

impl Lines {
    /// The length of the first line in the buffer, including its end; `None` if its end has not arrived.
    pub(super) fn find(&mut self, buffer: &BytesMut, limit: usize) -> Result<Option<usize>, CodecError> {
        let Some(fresh) = buffer.get(self.scanned..) else { return Err(self.malformed(buffer)) };
        let length = memchr::memchr(b'\n', fresh).map(|at| self.scanned + at + 1);
        if length.unwrap_or(buffer.len()) > limit {
            return Err(self.too_long(Limit::Line, limit as u64, buffer));
        }
        // A line that was found is found again at once.
        self.scanned = length.map_or(buffer.len(), |length| length - 1);
        Ok(length)
    }

    /// Whether nothing of the buffer has been searched yet.
    #[inline]
    pub(super) const fn is_fresh(&self) -> bool {
        self.scanned == 0
    }

    /// Removes this many bytes, which are a frame, from the position.
    #[inline]
    pub(super) const fn taken(&mut self, length: usize) {
        self.scanned = 0;
        self.offset += length as u64;
    }

    pub(super) fn too_long(&self, what: Limit, limit: u64, buffer: &[u8]) -> CodecError {
        CodecError::TooLong { what, limit, offset: self.offset, excerpt: excerpt(buffer) }
    }

    pub(super) fn malformed(&self, buffer: &[u8]) -> CodecError {
        CodecError::Malformed { offset: self.offset, excerpt: excerpt(buffer) }
    }

    pub(super) fn bad_block(&self, buffer: &[u8]) -> CodecError {
        CodecError::BadBlock { offset: self.offset, excerpt: excerpt(buffer) }
    }
}

/// An excerpt of the first line.
fn excerpt(buffer: &[u8]) -> Excerpt {
    let line = memchr::memchr(b'\n', buffer).and_then(|end| buffer.get(..end)).unwrap_or(buffer);
    Excerpt::of(without_end(line))
}

/// The line without its CR LF or LF.
#[inline]
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Puts a line that cannot be parsed back into the buffer.
pub(super) fn put_back(line: &[u8], buffer: &mut BytesMut) {
    let mut restored = BytesMut::with_capacity(line.len() + buffer.len());
    restored.put_slice(line);
    restored.put_slice(buffer);
    *buffer = restored;
}

/// A data block that has not fully arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// The length of the line before the data, including its end.
    pub line: usize,
    /// The length of the data, without the CR LF after it.
    pub data: usize,
}

impl Extent {
    pub(super) const fn total(self) -> usize {
        self.line + self.data + 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_searched_once() {
        let wire = [&b"x".repeat(8000)[..], b"\nnext"].concat();
        let (mut lines, mut buffer) = (Lines::default(), BytesMut::new());
        for (at, &byte) in wire.iter().enumerate() {
            assert_eq!(lines.scanned, at.min(8000), "the search goes on where it ended");
            buffer.put_u8(byte);
            let found = lines.find(&buffer, 9000).unwrap();
            assert_eq!(found, (at >= 8000).then_some(8001));
        }
    }
}
