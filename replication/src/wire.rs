//! The encoding of fields: little-endian numbers, and bytes prefixed by their length.
//!
//! Guarantees: a reader never allocates more than its input, rejects every length over the caller's
//! limit, and rejects bytes that are left over.

use talos_model::{Epoch, Position, Sequence};

/// Bytes that are not a frame of this protocol. The text completes "a frame with".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame with {0}")]
pub struct Malformed(pub &'static str);

/// Reads fields from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Creates a reader of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(Malformed("too few bytes"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(Malformed("too few bytes"))?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A number of one byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    /// A number of two bytes.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    /// A number of eight bytes.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of eight bytes with a sign.
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_le_bytes)
    }

    /// A position in the log.
    pub fn position(&mut self) -> Result<Position, Malformed> {
        Ok(Position {
            epoch: Epoch(self.u64()?),
            sequence: Sequence(self.u64()?),
        })
    }

    /// The number of items that follow, at most `most`.
    pub fn count(&mut self, most: usize) -> Result<usize, Malformed> {
        let count = self.array().map(u32::from_le_bytes)?;
        let count = usize::try_from(count).map_err(|_| Malformed("a count out of bounds"))?;
        if count > most {
            return Err(Malformed("a count out of bounds"));
        }
        Ok(count)
    }

    /// Bytes prefixed by their length, at most `most`.
    pub fn bytes(&mut self, most: usize) -> Result<&'a [u8], Malformed> {
        let count = self.count(most)?;
        self.take(count)
    }

    /// Items prefixed by their number, at most `most`.
    pub fn list<T>(
        &mut self,
        most: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.count(most)?;
        // The count is untrusted: limit the capacity by the input, of which an item takes at least
        // a byte.
        let mut items = Vec::with_capacity(count.min(self.rest.len()).min(64));
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Checks that no bytes are left over.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(Malformed("bytes after its end"))
    }
}

/// Writes fields one after the other.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Creates a writer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
        }
    }

    /// Bytes without a length.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A number of one byte.
    pub fn u8(&mut self, number: u8) -> &mut Self {
        self.raw(&[number])
    }

    /// A number of two bytes.
    pub fn u16(&mut self, number: u16) -> &mut Self {
        self.raw(&number.to_le_bytes())
    }

    /// A number of eight bytes.
    pub fn u64(&mut self, number: u64) -> &mut Self {
        self.raw(&number.to_le_bytes())
    }

    /// A number of eight bytes with a sign.
    pub fn i64(&mut self, number: i64) -> &mut Self {
        self.raw(&number.to_le_bytes())
    }

    /// A position in the log.
    pub fn position(&mut self, position: Position) -> &mut Self {
        self.u64(position.epoch.0).u64(position.sequence.0)
    }

    /// The number of items that follow. A number that does not fit is written as the largest one,
    /// which every reader rejects.
    pub fn count(&mut self, count: usize) -> &mut Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.raw(&count.to_le_bytes())
    }

    /// Bytes prefixed by their length.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).raw(bytes)
    }

    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
