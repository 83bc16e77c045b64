//! The shared secret of a cluster, and the keys derived from it.
//!
//! Guarantees: the secret itself is not kept. Only two keys are, derived by HMAC-SHA256: one for
//! proofs in handshakes, one for session keys. Neither appears in `Debug` output; both are wiped on
//! drop.

use std::fmt;

use ring::hmac;
use zeroize::Zeroizing;

use crate::limits::{SECRET_BYTES_MIN, SECRETS_RETIRED};

/// The keys derived from a shared secret.
#[derive(Clone)]
pub struct SharedSecret {
    proof: Zeroizing<[u8; 32]>,
    session: Zeroizing<[u8; 32]>,
}

/// The secret is short enough to be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a shared secret has at least {SECRET_BYTES_MIN} bytes")]
pub struct ShortSecret;

impl SharedSecret {
    /// Derives the keys from `secret`.
    ///
    /// # Errors
    /// [`ShortSecret`]: fewer than [`SECRET_BYTES_MIN`] bytes.
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

    /// Proves knowledge of the secret for `transcript`.
    pub(crate) fn prove(&self, transcript: &[u8]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.proof.as_ref());
        let mut proof = [0; 32];
        for (byte, from) in proof.iter_mut().zip(hmac::sign(&key, transcript).as_ref()) {
            *byte = *from;
        }
        proof
    }

    /// Checks a proof for `transcript`, in constant time.
    pub(crate) fn verifies(&self, transcript: &[u8], proof: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.proof.as_ref());
        hmac::verify(&key, transcript, proof).is_ok()
    }

    /// The input to the keys of a session.
    pub(crate) fn session(&self) -> &[u8; 32] {
        &self.session
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(…)")
    }
}

/// The secret that a node uses, and those that it also accepts while the secret is being replaced.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// The secret that the node proves when it connects.
    pub current: SharedSecret,
    /// Secrets that it also accepts. Only the first [`SECRETS_RETIRED`] are checked.
    pub retired: Vec<SharedSecret>,
}

impl Secrets {
    /// The secret that `proof` was made with.
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
