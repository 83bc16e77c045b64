//! The text of admin tokens: `talos_admin_` and 32 random bytes in base58. Only its digest is ever
//! stored.

use sha2::{Digest, Sha256};
use talos_model::{Secret, TokenDigest};

use crate::base58;

/// How every admin token begins, so that people and secret scanners know it.
pub const PREFIX: &str = "talos_admin_";
/// The random bytes of a token.
pub const RANDOM_BYTES: usize = 32;
/// The fewest base58 digits of the random bytes: all of them are zero, and a zero is one digit.
const DIGITS_MIN: usize = RANDOM_BYTES;
/// The most base58 digits of the random bytes: 58^44 > 2^256.
const DIGITS_MAX: usize = 44;

/// The longest admin token, in bytes.
pub const BYTES_MAX: usize = PREFIX.len() + DIGITS_MAX;

/// The token with these random bytes, which must come from the system's generator.
#[must_use]
pub fn text(random: &[u8; RANDOM_BYTES]) -> Secret {
    let mut text = String::with_capacity(BYTES_MAX);
    text.push_str(PREFIX);
    // The encoder appends to the text, so that no other copy of the digits stays in memory. It
    // fails only for buffers of a fixed size.
    let _ = bs58::encode(random).onto(&mut text);
    Secret::new(text)
}

/// Whether `text` may be an admin token. Looks at no more than [`BYTES_MAX`] bytes, so that
/// anything else is refused without a digest.
#[must_use]
#[inline]
pub fn is_well_formed(text: &[u8]) -> bool {
    text.strip_prefix(PREFIX.as_bytes()).is_some_and(|digits| {
        (DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()) && base58::is_text(digits)
    })
}

/// The digest under which the token is stored and found.
#[must_use]
#[inline]
pub fn digest(text: &[u8]) -> TokenDigest {
    TokenDigest(Sha256::digest(text).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_random_bytes() {
        for random in [[0; 32], [7; 32], [0xff; 32]] {
            let token = text(&random);
            let digits = token.expose().strip_prefix("talos_admin_");
            let decoded = bs58::decode(digits.expect("the prefix")).into_vec();
            assert_eq!(decoded.as_deref(), Ok(random.as_slice()));
            assert!(is_well_formed(token.expose().as_bytes()));
            assert!(token.expose().len() <= BYTES_MAX);
        }
        assert_eq!(text(&[0xff; 32]).expose().len(), BYTES_MAX);
    }

    /// Computed with Python: `hashlib.sha256(b"talos_admin_" + b"1" * 32).hexdigest()`.
    #[test]
    fn the_digest_is_sha_256_of_the_whole_text() {
        let TokenDigest(digest) = digest(text(&[0; 32]).expose().as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, DIGEST_OF_ZEROS);
    }

    const DIGEST_OF_ZEROS: &str =
        "098053343b2586abfc3f34b1518d09b97a2f25626190ffe5050c15890224c0c2";

    #[test]
    fn other_texts_are_no_tokens() {
        let digits = "z".repeat(43);
        for text in [
            String::new(),
            "talos_admin_".to_owned(),
            digits.clone(),
            format!("Talos_admin_{digits}"),
            format!("talos_admin {digits}"),
            format!(" talos_admin_{digits}"),
            format!("talos_admin_{digits} "),
            format!("talos_admin_{}", &digits[..31]),
            format!("talos_admin_{digits}zz"),
            format!("talos_admin_0{}", &digits[1..]),
            format!("talos_admin_{}é", &digits[2..]),
        ] {
            assert!(!is_well_formed(text.as_bytes()), "{text:?}");
        }
        for length in [32, 43, 44] {
            let text = format!("talos_admin_{}", "z".repeat(length));
            assert!(is_well_formed(text.as_bytes()), "{text}");
        }
    }
}
