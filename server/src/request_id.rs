//! Request ids: echoed from the client, or made here without allocating.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

/// The id of a request in answers and logs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RequestId<'a> {
    /// The client sent it.
    Echoed(&'a [u8]),
    /// This server made it.
    Made([u8; 32]),
}

impl RequestId<'_> {
    /// The id. All bytes are visible ASCII.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Echoed(bytes) => bytes,
            Self::Made(bytes) => bytes,
        }
    }
}

/// Makes ids without allocating. An id is 16 random hexadecimal digits, drawn once per core and
/// start, and 16 digits of a counter.
#[derive(Debug)]
pub(crate) struct RequestIds {
    prefix: [u8; 16],
    count: Cell<u64>,
}

impl RequestIds {
    /// A new random prefix.
    pub(crate) fn new() -> Self {
        // The standard library seeds its hash maps from the system's random source. That is enough
        // for an id.
        Self {
            prefix: hexadecimal(RandomState::new().build_hasher().finish()),
            count: Cell::new(0),
        }
    }

    /// The next id.
    pub(crate) fn make(&self) -> [u8; 32] {
        let count = self.count.get().wrapping_add(1);
        self.count.set(count);
        let mut id = [0; 32];
        for (half, digits) in id
            .as_chunks_mut::<16>()
            .0
            .iter_mut()
            .zip([self.prefix, hexadecimal(count)])
        {
            *half = digits;
        }
        id
    }
}

/// Formats `number` as 16 lower-case digits, eight at a time: spreads the nibbles over the bytes of
/// one word, then turns all of them into characters at once.
fn hexadecimal(number: u64) -> [u8; 16] {
    const EVERY_BYTE: u64 = 0x0101_0101_0101_0101;
    let digits = |half: u64| {
        let pairs = (half | half << 16) & 0x0000_ffff_0000_ffff;
        let bytes = (pairs | pairs << 8) & 0x00ff_00ff_00ff_00ff;
        let nibbles = (bytes | bytes << 4) & 0x0f0f_0f0f_0f0f_0f0f;
        // Adding 6 carries into the fifth bit from 10 on.
        let letters = ((nibbles + 6 * EVERY_BYTE) >> 4) & EVERY_BYTE;
        let text = nibbles + u64::from(b'0') * EVERY_BYTE + letters * u64::from(b'a' - b'9' - 1);
        text.to_be_bytes()
    };
    let mut text = [0; 16];
    let halves = [digits(number >> 32), digits(number & 0xffff_ffff)];
    for (place, half) in text.as_chunks_mut::<8>().0.iter_mut().zip(halves) {
        *place = half;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_digits_and_differ() {
        let ids = RequestIds::new();
        let (first, second) = (ids.make(), ids.make());
        assert!(
            first
                .iter()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
        );
        assert_eq!(first.first_chunk::<16>(), second.first_chunk::<16>());
        assert_eq!(first.last_chunk(), Some(b"0000000000000001"));
        assert_eq!(second.last_chunk(), Some(b"0000000000000002"));
        assert_ne!(RequestIds::new().make(), RequestIds::new().make());
    }

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for number in [
            0,
            1,
            9,
            10,
            15,
            16,
            0xabcd_ef01_2345_6789,
            u64::MAX - 9,
            u64::MAX,
        ] {
            assert_eq!(hexadecimal(number), *format!("{number:016x}").as_bytes());
        }
    }
}
