//! Decodes base58 (Bitcoin's alphabet), for the two short texts in an issued key.
//!
//! Ten digits at a time make one 64-bit number. A text of n digits costs n table look-ups and about
//! n²/1280 multiplications; digit by digit it would cost n²/11 steps.

use std::iter;

/// The longest text that is decoded, in characters.
pub(super) const CHARS_MAX: usize = 79;

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const NO_DIGIT: u8 = 0xff;
const CHUNK_CHARS: usize = 10;
/// 58^79 < 2^512.
const LIMBS: usize = 8;
const LIMB_BYTES: usize = size_of::<u64>();

const _: () = assert!(58_u64.checked_pow(10).is_some() && CHUNK_CHARS == 10);
// The binary logarithm of 58 is below 5.86.
const _: () = assert!(CHARS_MAX * 586 <= LIMBS * 64 * 100);

#[expect(
    clippy::indexing_slicing,
    reason = "computed by the compiler, which refuses a wrong index"
)]
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut digit = 0_u8;
    while (digit as usize) < ALPHABET.len() {
        digits[ALPHABET[digit as usize] as usize] = digit;
        digit += 1;
    }
    digits
};

/// Decodes `text` into the start of `bytes` and returns the number of decoded bytes. `None` if a
/// character is not in the alphabet, the text is longer than [`CHARS_MAX`], or `bytes` is too
/// short.
pub(super) fn decode(text: &[u8], bytes: &mut [u8]) -> Option<usize> {
    if text.len() > CHARS_MAX {
        return None;
    }
    let mut limbs = [0_u64; LIMBS];
    let mut used = 0;
    // The incomplete chunk comes first, so that all others shift by the same power.
    let (first, rest) = text.split_at_checked(text.len() % CHUNK_CHARS)?;
    for chunk in iter::once(first).chain(rest.chunks_exact(CHUNK_CHARS)) {
        let mut carry = u128::from(number(chunk)?);
        let shift = u128::from(58_u64.pow(u32::try_from(chunk.len()).ok()?));
        for limb in limbs.get_mut(..used)? {
            let sum = u128::from(*limb) * shift + carry;
            *limb = low(sum);
            carry = sum >> u64::BITS;
        }
        if carry > 0 {
            *limbs.get_mut(used)? = low(carry);
            used += 1;
        }
    }

    let zeros = text.iter().take_while(|c| **c == b'1').count();
    let mut big_endian = [0; LIMBS * LIMB_BYTES];
    for (place, limb) in big_endian.chunks_exact_mut(LIMB_BYTES).rev().zip(limbs) {
        place.copy_from_slice(&limb.to_be_bytes());
    }
    let skipped = big_endian.iter().take_while(|byte| **byte == 0).count();
    let number = big_endian.get(skipped..)?;
    let len = zeros + number.len();
    let (leading, place) = bytes.get_mut(..len)?.split_at_mut_checked(zeros)?;
    leading.fill(0);
    place.copy_from_slice(number);
    Some(len)
}

/// Whether every character of `text` is in the alphabet.
#[inline]
pub(super) fn is_text(text: &[u8]) -> bool {
    let digits = text
        .iter()
        .map(|character| DIGITS.get(usize::from(*character)));
    digits
        .into_iter()
        .all(|digit| digit.is_some_and(|digit| *digit != NO_DIGIT))
}

/// The value of at most ten digits; `None` if a character is not a digit.
fn number(digits: &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    let mut all = 0;
    for character in digits {
        let digit = DIGITS.get(usize::from(*character))?;
        all |= digit;
        // Wraps only after a character that is not a digit, and then the check below fails.
        number = number.wrapping_mul(58).wrapping_add(u64::from(*digit));
    }
    (all & 0x80 == 0).then_some(number)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the upper half is carried on"
)]
fn low(wide: u128) -> u64 {
    wide as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = [0xaa; CHARS_MAX];
        decode(text, &mut bytes).map(|len| bytes[..len].to_vec())
    }

    /// Compares with another implementation: every length, with leading zeros and the largest
    /// digits.
    #[test]
    fn texts_of_another_implementation_are_decoded() {
        let mut state = 1_u64;
        let mut random = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        };
        for len in 0..=57 {
            for zeros in 0..=len.min(5) {
                for _ in 0..50 {
                    let mut bytes: Vec<u8> = iter::repeat_with(&mut random).take(len).collect();
                    bytes[..zeros].fill(0);
                    let text = bs58::encode(&bytes).into_string();
                    assert_eq!(decoded(text.as_bytes()), Some(bytes), "{text}");
                }
            }
            let bytes = vec![0xff; len];
            let text = bs58::encode(&bytes).into_string();
            assert_eq!(decoded(text.as_bytes()), Some(bytes), "{text}");
        }
        for len in 0..=CHARS_MAX {
            for digit in [b'1', b'2', b'z'] {
                let text = vec![digit; len];
                let expected = bs58::decode(&text).into_vec().unwrap();
                assert_eq!(decoded(&text), Some(expected), "{len} {digit}");
            }
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for byte in 0..=u8::MAX {
            for len in [1, 9, 10, 11, 44] {
                for at in [0, len / 2, len - 1] {
                    let mut text = vec![b'z'; len];
                    text[at] = byte;
                    let expected = bs58::decode(&text).into_vec().ok();
                    assert_eq!(decoded(&text), expected, "{byte} at {at} of {len}");
                }
            }
        }
        assert_eq!(decoded(&[b'1'; CHARS_MAX + 1]), None);
    }

    #[test]
    fn a_short_buffer_is_not_overrun() {
        for (text, len) in [("11", 2), ("zz", 2), ("1zz", 3), ("", 0)] {
            assert_eq!(decode(text.as_bytes(), &mut vec![0; len]), Some(len));
            if len > 0 {
                assert_eq!(decode(text.as_bytes(), &mut vec![0; len - 1]), None);
            }
        }
    }
}
