//! Fields of frames as bytes: little-endian numbers, and bytes after their length.
//!
//! Guarantees: a reader never allocates more than what it was given to read, refuses every length over the bound that its
//! caller names, and is done only when nothing is left over.

use crate::position::{Epoch, Position, Sequence};

/// Bytes that are not a frame of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame with {0}")]
pub struct Malformed(pub &'static str);

/// Takes fields off the front of some bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes`.
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

    /// A place in the log.
    pub fn position(&mut self) -> Result<Position, Malformed> {
        Ok(Position {
            epoch: Epoch(self.u64()?),
            sequence: Sequence(self.u64()?),
        })
    }

    /// A count of what follows, at most `most`.
    pub fn count(&mut self, most: usize) -> Result<usize, Malformed> {
        let count = self.array().map(u32::from_le_bytes)?;
        let count = usize::try_from(count).map_err(|_| Malformed("a count out of bounds"))?;
        if count > most {
            return Err(Malformed("a count out of bounds"));
        }
        Ok(count)
    }

    /// Bytes after their length, at most `most`.
    pub fn bytes(&mut self, most: usize) -> Result<&'a [u8], Malformed> {
        let count = self.count(most)?;
        self.take(count)
    }

    /// Items after their count, at most `most` of them.
    pub fn list<T>(
        &mut self,
        most: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.count(most)?;
        // Not with the capacity of the count, which is the sender's word: an item takes a byte at least.
        let mut items = Vec::with_capacity(count.min(self.rest.len()).min(64));
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// That nothing is left.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(Malformed("bytes after its end"))
    }
}

/// Puts fields one after the other.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// With room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
        }
    }

    /// Bytes as they are.
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

    /// A place in the log.
    pub fn position(&mut self, position: Position) -> &mut Self {
        self.u64(position.epoch.0).u64(position.sequence.0)
    }

    /// A count of what follows. What is longer than any frame may be is written as the greatest count, which no reader takes.
    pub fn count(&mut self, count: usize) -> &mut Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.raw(&count.to_le_bytes())
    }

    /// Bytes after their length.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).raw(bytes)
    }

    /// All of it.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
