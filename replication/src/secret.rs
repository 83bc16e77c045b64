//! The secret that the nodes of a cluster share, and the keys that follow from it.
//!
//! Guarantees: the secret itself is kept nowhere, only two keys that HMAC-SHA256 makes of it: one proves in a handshake that
//! it is known, the other goes into the keys of a session. Neither prints; both are wiped when dropped.

use std::fmt;

use ring::hmac;
use zeroize::Zeroizing;

use crate::limits::{SECRET_BYTES_MIN, SECRETS_RETIRED};

/// What is left of a shared secret.
#[derive(Clone)]
pub struct SharedSecret {
    proof: Zeroizing<[u8; 32]>,
    session: Zeroizing<[u8; 32]>,
}

/// A secret that could be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a shared secret has at least {SECRET_BYTES_MIN} bytes")]
pub struct ShortSecret;

impl SharedSecret {
    /// Makes the keys of `secret`.
    ///
    /// # Errors
    /// It is too short.
    pub fn new(secret: &[u8]) -> Result<Self, ShortSecret> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(ShortSecret);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derive = |purpose: &[u8]| {
            let mut derived = Zeroizing::new([0; 32]);
            for (byte, from) in derived.iter_mut().zip(hmac::sign(&key, purpose).as_ref()) {
                *byte = *from;
            }
            derived
        };
        Ok(Self {
            proof: derive(b"talos/replication/v1/proof-key"),
            session: derive(b"talos/replication/v1/session-key"),
        })
    }

    /// The proof of who knows the secret and means `transcript`.
    pub(crate) fn prove(&self, transcript: &[u8]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.proof.as_ref());
        let mut proof = [0; 32];
        for (byte, from) in proof.iter_mut().zip(hmac::sign(&key, transcript).as_ref()) {
            *byte = *from;
        }
        proof
    }

    /// Whether `proof` is that of `transcript`, in constant time.
    pub(crate) fn verifies(&self, transcript: &[u8], proof: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.proof.as_ref());
        hmac::verify(&key, transcript, proof).is_ok()
    }

    /// What goes into the keys of a session.
    pub(crate) fn session(&self) -> &[u8; 32] {
        &self.session
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(…)")
    }
}

/// The secret that a node proves, and those that it accepts as well while the secret is being replaced.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// The one it proves when it calls another node.
    pub current: SharedSecret,
    /// Those that it accepts besides; at most [`SECRETS_RETIRED`] are looked at.
    pub retired: Vec<SharedSecret>,
}

impl Secrets {
    /// The secret of which `proof` is a proof.
    pub(crate) fn proven(&self, transcript: &[u8], proof: &[u8]) -> Option<&SharedSecret> {
        let retired = self.retired.iter().take(SECRETS_RETIRED);
        std::iter::once(&self.current)
            .chain(retired)
            .find(|secret| secret.verifies(transcript, proof))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_secret_and_transcript_only() {
        let secret = |byte| SharedSecret::new(&[byte; 32]).unwrap();
        let proof = secret(1).prove(b"one");
        assert!(secret(1).verifies(b"one", &proof));
        assert!(!secret(1).verifies(b"two", &proof));
        assert!(!secret(2).verifies(b"one", &proof));
        assert!(!secret(1).verifies(b"one", &proof[..31]));
        let rotated = Secrets {
            current: secret(2),
            retired: vec![secret(3), secret(1)],
        };
        assert!(rotated.proven(b"one", &proof).is_some());
        assert!(rotated.proven(b"two", &proof).is_none());
        assert_ne!(secret(1).proof, secret(1).session);
    }

    #[test]
    fn a_short_secret_is_refused_and_none_prints() {
        assert_eq!(SharedSecret::new(&[1; 31]).err(), Some(ShortSecret));
        let secret = SharedSecret::new(b"0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(format!("{secret:?}"), "SharedSecret(…)");
    }
}
