//! The chain: the keys that make authentication codes, and the codes.
//!
//! A code is the HMAC-SHA256 (RFC 2104) of a line up to its `mac`, which includes the code of the
//! line before. The key is made from the secret of issued keys with a label of its own, so neither
//! use tells anything about the other.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use talos_model::Secret;

/// The label from which the key of the chain is made.
const CHAIN_LABEL: &[u8] = b"talos/audit/v1/chain-key";
/// The label from which the name of a key is made.
const NAME_LABEL: &[u8] = b"talos/audit/v1/key-name";
/// Bytes of the name of a key.
const NAME_BYTES: usize = 8;

/// The authentication code of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mac(pub [u8; 32]);

impl Mac {
    /// In place of the code of the line before the first.
    pub const NONE: Self = Self([0; 32]);

    /// Reads 64 lower-case hexadecimal digits; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 32];
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({self})")
    }
}

/// The place of a line in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number, from 1.
    pub seq: u64,
    /// Its code.
    pub mac: Mac,
}

impl Link {
    /// Before the first line.
    pub const START: Self = Self {
        seq: 0,
        mac: Mac::NONE,
    };
}

/// A key that makes codes.
#[derive(Clone)]
pub(crate) struct ChainKey {
    hmac: Hmac<Sha256>,
    name: String,
}

impl ChainKey {
    fn new(secret: &Secret) -> Self {
        let derived = code(&keyed(secret.expose().as_bytes()), CHAIN_LABEL);
        let hmac = keyed(&derived.0);
        let name = code(&hmac, NAME_LABEL);
        let name = name.0.iter().take(NAME_BYTES);
        Self {
            name: name.map(|byte| format!("{byte:02x}")).collect(),
            hmac,
        }
    }

    /// The name by which lines tell which key made their code. It tells nothing about the key.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The code of a line up to its `mac`.
    pub(crate) fn code(&self, signed: &[u8]) -> Mac {
        code(&self.hmac, signed)
    }

    /// Whether this key made `mac` for these bytes. Takes the same time for every code.
    pub(crate) fn made(&self, mac: Mac, signed: &[u8]) -> bool {
        self.code(signed).0.ct_eq(&mac.0).into()
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC accepts keys of every length (RFC 2104 §2). The error branch, an empty key, is
    // unreachable.
    Hmac::new_from_slice(key)
        .unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()))
}

fn code(hmac: &Hmac<Sha256>, bytes: &[u8]) -> Mac {
    Mac(hmac
        .clone()
        .chain_update(bytes)
        .finalize()
        .into_bytes()
        .into())
}

/// The key of new lines, and those of older ones.
#[derive(Clone)]
pub struct ChainKeys {
    current: ChainKey,
    retired: Vec<ChainKey>,
}

impl ChainKeys {
    /// The keys that are made from the current and the retired secrets of issued keys.
    #[must_use]
    pub fn new(current: &Secret, retired: &[Secret]) -> Self {
        Self {
            current: ChainKey::new(current),
            retired: retired.iter().map(ChainKey::new).collect(),
        }
    }

    /// The key of new lines.
    pub(crate) fn current(&self) -> &ChainKey {
        &self.current
    }

    /// The key with this name.
    pub(crate) fn find(&self, name: &str) -> Option<&ChainKey> {
        std::iter::once(&self.current)
            .chain(&self.retired)
            .find(|key| key.name == name)
    }
}

impl fmt::Debug for ChainKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKeys(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_code_has_one_spelling() {
        let mac = Mac([0xab; 32]);
        assert_eq!(Mac::parse(&mac.to_string()), Some(mac));
        let upper = mac.to_string().to_uppercase();
        for text in ["", "ab", &upper, &format!("{mac}0"), &"g".repeat(64)] {
            assert_eq!(Mac::parse(text), None, "{text}");
        }
    }

    #[test]
    fn each_secret_has_its_own_key_and_retired_ones_are_found() {
        let keys = ChainKeys::new(&secret("new"), &[secret("old")]);
        let old = ChainKeys::new(&secret("old"), &[]);
        let (name, mac) = (old.current().name(), old.current().code(b"line"));
        assert!(keys.find(name).is_some_and(|key| key.made(mac, b"line")));
        assert!(!keys.current().made(mac, b"line"));
        assert!(!old.current().made(mac, b"lime"));
        assert_ne!(keys.current().name(), name);
        assert!(old.find(keys.current().name()).is_none());
    }

    /// Computed with Python's `hmac`: other programs can verify the chain.
    #[test]
    fn the_key_and_the_code_are_as_documented() {
        let keys = ChainKeys::new(&secret("a-secret-of-thirty-two-characters"), &[]);
        assert_eq!(keys.current().name(), "9eded0e2d0d76868");
        assert_eq!(
            keys.current().code(b"{\"seq\":1").to_string(),
            "0d3ce9d33549770a91194c82921078d4844ca040735201c8dfab8b4430942c9d"
        );
    }
}
