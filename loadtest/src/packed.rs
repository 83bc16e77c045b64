//! Stores many secrets of issued keys in little memory: six bits a character, at most 100 bytes a
//! key.

/// The characters of credentials. The index of a character is its code.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
/// Base58 texts of the same number of bytes differ in length by up to this many characters.
const LONGER_BY: usize = 6;

/// Texts of nearly the same length, by number.
#[derive(Debug, Default)]
pub struct Packed {
    bytes: Vec<u8>,
    /// Bytes for each text. The first byte holds the length.
    width: usize,
}

impl Packed {
    /// Room for `count` texts like `example`.
    #[must_use]
    pub fn for_texts_like(example: &str, count: u32) -> Self {
        let width = 1 + ((example.len() + LONGER_BY) * 6).div_ceil(8);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Self {
            bytes: vec![0; width.saturating_mul(count)],
            width,
        }
    }

    /// Bytes for each text.
    #[cfg(test)]
    pub fn width(&self) -> usize {
        self.width
    }

    fn place(&self, number: u32) -> std::ops::Range<usize> {
        let start = usize::try_from(number)
            .unwrap_or(usize::MAX)
            .saturating_mul(self.width);
        start..start.saturating_add(self.width)
    }

    /// Stores a text under `number`. `None` if it is too long, holds other characters, or the
    /// number is out of range.
    pub fn set(&mut self, number: u32, text: &str) -> Option<()> {
        let place = self.place(number);
        let (length, packed) = self.bytes.get_mut(place)?.split_first_mut()?;
        packed.fill(0);
        for (index, character) in text.bytes().enumerate() {
            let code = ALPHABET.iter().position(|known| *known == character)?;
            let bits = u16::try_from(code).ok()? << 10;
            let (at, shift) = (index * 6 / 8, index * 6 % 8);
            let [high, low] = (bits >> shift).to_be_bytes();
            *packed.get_mut(at)? |= high;
            if low != 0 {
                *packed.get_mut(at + 1)? |= low;
            }
        }
        *length = u8::try_from(text.len()).ok()?;
        Some(())
    }

    /// Appends the text under `number` to `out`, or nothing if there is none.
    pub fn append(&self, number: u32, out: &mut Vec<u8>) {
        let Some((length, packed)) = self
            .bytes
            .get(self.place(number))
            .and_then(<[u8]>::split_first)
        else {
            return;
        };
        let end = out.len() + usize::from(*length);
        // Three bytes hold four characters. Surplus characters at the end are cut off.
        for three in packed.chunks(3) {
            if out.len() >= end {
                break;
            }
            let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            let character = |shift: u32| {
                let code = usize::try_from(bits >> shift & 63).unwrap_or(0);
                ALPHABET.get(code).copied().unwrap_or(b'A')
            };
            out.extend_from_slice(&[character(18), character(12), character(6), character(0)]);
        }
        out.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "ory_ak_v1_4ZkbJQVvzyKpGyZ8dNbdaVqRRvRLc3uqDRDN7MjRzpkCPZ3ohsbKFN9oEHnNJgdo5_6NbYyVj8iHaKLzGr8nYh2uLxjJ9oQ2GNo1Qhzs2tK3w";

    #[test]
    fn texts_come_back_as_they_were() {
        let texts = [SECRET, &SECRET[..SECRET.len() - 3], "a", "", "Zz9_-"];
        let mut packed = Packed::for_texts_like(SECRET, 5);
        // Twice, so that a place is used again.
        for texts in [texts, [texts[1], texts[2], texts[0], texts[4], texts[3]]] {
            for (number, text) in (0..).zip(texts) {
                packed.set(number, text).unwrap();
            }
            for (number, text) in (0..).zip(texts) {
                let mut out = b"before ".to_vec();
                packed.append(number, &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), format!("before {text}"));
            }
        }
    }

    #[test]
    fn a_key_takes_no_more_than_100_bytes() {
        let packed = Packed::for_texts_like(SECRET, 1000);
        assert!(packed.width() <= 100, "{}", packed.width());
        assert_eq!(packed.bytes.len(), packed.width() * 1000);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let mut packed = Packed::for_texts_like("abcd", 1);
        assert_eq!(packed.set(0, "a b"), None);
        assert_eq!(packed.set(0, &"x".repeat(40)), None);
        assert_eq!(packed.set(1, "a"), None);
        let mut out = Vec::new();
        packed.append(1, &mut out);
        assert!(out.is_empty());
    }
}
