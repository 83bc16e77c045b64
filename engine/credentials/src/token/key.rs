//! The two kinds of keys that sign derived tokens: Ed25519 (RFC 8032) and RSA with PKCS #1 v1.5 and
//! SHA-256 (RFC 8017 §8.2).

use std::fmt;

use ed25519_dalek::Signer;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};

/// A signature algorithm. It follows from the type of the key, never from a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3).
    Rs256,
}

impl Algorithm {
    /// Its name in headers and keys (RFC 7518 §3.1, RFC 8037 §3.1).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }
}

/// A key that verifies.
pub(super) enum PublicKey {
    Ed25519(ed25519_dalek::VerifyingKey),
    Rsa(PublicKeyComponents<Vec<u8>>),
}

impl PublicKey {
    /// An Ed25519 key. `None` for bytes that are not a point, and for points of low order, with
    /// which one signature is valid for nearly every message.
    pub(super) fn ed25519(point: &[u8; 32]) -> Option<Self> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(point).ok()?;
        (!key.is_weak()).then_some(Self::Ed25519(key))
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDsa,
            Self::Rsa(_) => Algorithm::Rs256,
        }
    }

    /// Whether `signature` is valid for `message`. Ed25519 is verified strictly: encodings must be
    /// canonical and points not of low order, so that a signature has one spelling.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Self::Rsa(key) => key
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
        }
    }
}

/// A key that signs.
pub(super) enum PrivateKey {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Rsa(Box<RsaKeyPair>),
}

impl PrivateKey {
    /// An Ed25519 key from its seed.
    pub(super) fn ed25519(seed: &[u8; 32]) -> Self {
        Self::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(seed)))
    }

    /// An RSA key of two primes; `None` if its numbers contradict each other. Some contradictions
    /// show only when the key signs, so this makes one signature.
    pub(super) fn rsa<N: AsRef<[u8]>>(numbers: &KeyPairComponents<N, N>) -> Option<Self> {
        let pair = RsaKeyPair::from_components(numbers).ok()?;
        let key = Self::Rsa(Box::new(pair));
        key.sign(b"").is_some().then_some(key)
    }

    pub(super) fn public(&self) -> PublicKey {
        match self {
            Self::Ed25519(key) => PublicKey::Ed25519(key.verifying_key()),
            Self::Rsa(pair) => PublicKey::Rsa(PublicKeyComponents::from(pair.public())),
        }
    }

    /// Signs `message`; `None` if the numbers of an RSA key contradict each other.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Ed25519(key) => Some(key.sign(message).to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .ok()?;
                Some(signature)
            }
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.algorithm().name())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}
