//! The encryption ("seal") of every frame after the handshake.
//!
//! Guarantees: a reader of the stream learns only lengths and times. An altered, repeated,
//! reordered or dropped frame is detected at the next frame. Each direction has its own key, so a
//! frame cannot be reflected to its sender. The keys come from an X25519 agreement with ephemeral
//! keys, mixed with the shared secret by HKDF-SHA256 over the whole handshake: a captured stream
//! stays sealed even if the secret leaks later.
//!
//! The cipher is ChaCha20-Poly1305 (RFC 8439). Each direction counts its frames for the nonce.

use std::fmt;

use ring::aead::{self, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::rand::SystemRandom;
use zeroize::Zeroizing;

use crate::secret::SharedSecret;

/// The bytes that the seal adds to a frame.
pub(crate) const SEAL_BYTES: usize = 16;

/// The cryptography of a session has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The frame does not match its seal: the stream was altered.
    #[error("a frame whose seal does not hold")]
    Broken,
    /// No randomness from the system, or an invalid key of the other side; retry on a new
    /// connection.
    #[error("the keys of the session could not be agreed on")]
    Agreement,
    /// The nonce would repeat. Not reachable in practice: it counts 2^64 frames.
    #[error("the session has sealed all frames that it may")]
    Exhausted,
}

/// A public key for one connection.
pub(crate) type PublicKey = [u8; 32];

/// A key pair for one connection.
#[derive(Debug)]
pub(crate) struct KeyPair {
    private: EphemeralPrivateKey,
    public: PublicKey,
}

impl KeyPair {
    /// Generates a key pair from the system's randomness.
    pub(crate) fn draw() -> Result<Self, SessionError> {
        let failed = |_| SessionError::Agreement;
        let private =
            EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).map_err(failed)?;
        let public = private.compute_public_key().map_err(failed)?;
        let public = public.as_ref().try_into();
        Ok(Self {
            private,
            public: public.map_err(|_| SessionError::Agreement)?,
        })
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The end that connected and wants to follow.
    Replica,
    /// The end that accepted and feeds.
    Primary,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replica => "replica",
            Self::Primary => "primary",
        })
    }
}

/// One direction of a session.
struct Direction {
    key: LessSafeKey,
    frames: u64,
}

impl Direction {
    fn new(keys: &Prk, purpose: &[u8]) -> Result<Self, SessionError> {
        let info = [purpose];
        let key = keys
            .expand(&info, &CHACHA20_POLY1305)
            .map_err(|_| SessionError::Agreement)?;
        Ok(Self {
            key: LessSafeKey::new(UnboundKey::from(key)),
            frames: 0,
        })
    }

    /// The nonce of the next frame. Never used twice with this key.
    fn nonce(&mut self) -> Result<Nonce, SessionError> {
        let number = self.frames;
        self.frames = number.checked_add(1).ok_or(SessionError::Exhausted)?;
        let mut nonce = [0; aead::NONCE_LEN];
        for (byte, from) in nonce.iter_mut().zip(number.to_le_bytes()) {
            *byte = from;
        }
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

/// Both directions of a session.
pub struct Session {
    sends: Direction,
    receives: Direction,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(…)")
    }
}

impl Session {
    /// Agrees on keys with the other side. `transcript` is the digest of the handshake.
    pub(crate) fn agree(
        side: Side,
        ours: KeyPair,
        theirs: &PublicKey,
        secret: &SharedSecret,
        transcript: &[u8; 32],
    ) -> Result<Self, SessionError> {
        let theirs = UnparsedPublicKey::new(&X25519, theirs);
        let keys = agree_ephemeral(ours.private, &theirs, |agreed| {
            let material = Zeroizing::new([secret.session().as_slice(), agreed].concat());
            Salt::new(HKDF_SHA256, transcript).extract(&material)
        })
        .map_err(|_| SessionError::Agreement)?;
        let to_primary = Direction::new(&keys, b"talos/replication/v1/replica-to-primary")?;
        let to_replica = Direction::new(&keys, b"talos/replication/v1/primary-to-replica")?;
        Ok(match side {
            Side::Replica => Self {
                sends: to_primary,
                receives: to_replica,
            },
            Side::Primary => Self {
                sends: to_replica,
                receives: to_primary,
            },
        })
    }

    /// Seals the next frame to send.
    pub(crate) fn seal(&mut self, mut body: Vec<u8>) -> Result<Vec<u8>, SessionError> {
        let nonce = self.sends.nonce()?;
        let sealed = self
            .sends
            .key
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut body);
        sealed.map_err(|_| SessionError::Exhausted)?;
        Ok(body)
    }

    /// Opens the next received frame.
    pub(crate) fn open(&mut self, mut sealed: Vec<u8>) -> Result<Vec<u8>, SessionError> {
        let nonce = self.receives.nonce()?;
        let opened = self
            .receives
            .key
            .open_in_place(nonce, Aad::empty(), &mut sealed);
        let length = opened.map_err(|_| SessionError::Broken)?.len();
        sealed.truncate(length);
        Ok(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(secrets: [u8; 2], transcripts: [u8; 2]) -> [Session; 2] {
        let secret = secrets.map(|byte| SharedSecret::new(&[byte; 32]).unwrap());
        let [replica, primary] = [KeyPair::draw().unwrap(), KeyPair::draw().unwrap()];
        let publics = [replica.public(), primary.public()];
        let [one, two] = transcripts.map(|byte| [byte; 32]);
        [
            Session::agree(Side::Replica, replica, &publics[1], &secret[0], &one).unwrap(),
            Session::agree(Side::Primary, primary, &publics[0], &secret[1], &two).unwrap(),
        ]
    }

    #[test]
    fn what_is_sealed_opens_once_and_in_order() {
        let [mut replica, mut primary] = pair([1, 1], [2, 2]);
        for text in ["one", "two", ""] {
            let sealed = replica.seal(text.into()).unwrap();
            assert_eq!(sealed.len(), text.len() + SEAL_BYTES);
            assert_eq!(primary.open(sealed).unwrap(), text.as_bytes());
            let sealed = primary.seal(text.into()).unwrap();
            assert_eq!(replica.open(sealed).unwrap(), text.as_bytes());
        }
        let repeated = replica.seal(b"three".to_vec()).unwrap();
        assert_eq!(primary.open(repeated.clone()).unwrap(), b"three");
        assert_eq!(primary.open(repeated), Err(SessionError::Broken));
    }

    #[test]
    fn what_is_altered_dropped_or_sent_back_does_not_open() {
        let [mut replica, mut primary] = pair([1, 1], [2, 2]);
        let mut altered = replica.seal(b"text".to_vec()).unwrap();
        assert!(!altered.windows(4).any(|window| window == b"text"));
        altered[0] ^= 1;
        assert_eq!(primary.open(altered), Err(SessionError::Broken));

        let [mut replica, mut primary] = pair([1, 1], [2, 2]);
        let _dropped = replica.seal(b"one".to_vec()).unwrap();
        let second = replica.seal(b"two".to_vec()).unwrap();
        assert_eq!(primary.open(second), Err(SessionError::Broken));

        let [mut replica, _] = pair([1, 1], [2, 2]);
        let sent = replica.seal(b"one".to_vec()).unwrap();
        assert_eq!(replica.open(sent), Err(SessionError::Broken));
        assert!(replica.open(vec![1, 2, 3]).is_err());
    }

    #[test]
    fn another_secret_or_handshake_makes_other_keys() {
        for [mut replica, mut primary] in [pair([1, 2], [2, 2]), pair([1, 1], [2, 3])] {
            let sealed = replica.seal(b"text".to_vec()).unwrap();
            assert_eq!(primary.open(sealed), Err(SessionError::Broken));
        }
    }
}
