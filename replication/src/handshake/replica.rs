//! The side that connects.

use super::format::{self, Challenge, Evidence, Hello, Transcript};
use super::{HandshakeError, HandshakeStep, Identity, Nonce, Peer};
use crate::limits::{VERSION_MAX, VERSION_MIN};
use crate::refusal::Refusal;
use crate::session::{KeyPair, Session, Side};
use crate::wire::Malformed;

/// The handshake of a replica.
#[derive(Debug)]
pub struct ReplicaHandshake {
    identity: Identity,
    hello: Vec<u8>,
    state: State,
}

enum State {
    Greeted,
    Proven {
        challenge: Challenge,
        /// The handshake so far, this side's evidence included.
        transcript: Box<Transcript>,
        keys: KeyPair,
    },
    Over,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Greeted => "Greeted",
            Self::Proven { .. } => "Proven",
            Self::Over => "Over",
        })
    }
}

impl ReplicaHandshake {
    /// Starts a handshake. Send the returned frame.
    #[must_use]
    pub fn begin(identity: Identity, nonce: Nonce) -> (Self, Vec<u8>) {
        let hello = Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            cluster: identity.cluster,
            node: identity.node,
            nonce,
        };
        let hello = hello.encode();
        let begun = Self {
            identity,
            hello: hello.clone(),
            state: State::Greeted,
        };
        (begun, hello)
    }

    /// Handles a frame of the primary.
    ///
    /// # Errors
    /// [`HandshakeError`]: close the connection.
    pub fn on_frame(&mut self, frame: &[u8]) -> Result<HandshakeStep, HandshakeError> {
        let state = std::mem::replace(&mut self.state, State::Over);
        if let Some(refusal) = format::as_refused(frame) {
            return Err(HandshakeError::Refused(refusal));
        }
        match state {
            State::Greeted => self.on_challenge(frame),
            State::Proven {
                challenge,
                transcript,
                keys,
            } => self.on_evidence(frame, challenge, &transcript, keys),
            State::Over => Err(HandshakeError::Refuses(Refusal::Handshake)),
        }
    }

    fn on_challenge(&mut self, frame: &[u8]) -> Result<HandshakeStep, HandshakeError> {
        let challenge = Challenge::decode(frame).map_err(not_a_handshake)?;
        if challenge.cluster != self.identity.cluster {
            return Err(HandshakeError::Refuses(Refusal::Cluster));
        }
        if challenge.node == self.identity.node {
            return Err(HandshakeError::Refuses(Refusal::SameNode));
        }
        if !(VERSION_MIN..=VERSION_MAX).contains(&challenge.version) {
            return Err(HandshakeError::Refuses(Refusal::Version {
                min: VERSION_MIN,
                max: VERSION_MAX,
            }));
        }
        let keys = KeyPair::draw()?;
        let mut transcript = Box::new(Transcript::new(&self.hello, frame));
        let claim = transcript.claim(Side::Replica, &keys.public());
        let evidence = Evidence {
            public_key: keys.public(),
            proof: self.identity.secrets.current.prove(&claim),
        };
        let evidence = evidence.encode(Side::Replica);
        transcript.add(&evidence);
        self.state = State::Proven {
            challenge,
            transcript,
            keys,
        };
        Ok(HandshakeStep::Send(evidence))
    }

    fn on_evidence(
        &mut self,
        frame: &[u8],
        challenge: Challenge,
        transcript: &Transcript,
        keys: KeyPair,
    ) -> Result<HandshakeStep, HandshakeError> {
        let evidence = Evidence::decode(frame, Side::Primary).map_err(not_a_handshake)?;
        let claim = transcript.claim(Side::Primary, &evidence.public_key);
        let secret = &self.identity.secrets.current;
        if !secret.verifies(&claim, &evidence.proof) {
            return Err(HandshakeError::Refuses(Refusal::Proof));
        }
        let session = Session::agree(
            Side::Replica,
            keys,
            &evidence.public_key,
            secret,
            &transcript.with(frame),
        )?;
        let peer = Peer {
            node: challenge.node,
            version: challenge.version,
            session,
        };
        Ok(HandshakeStep::Done(None, Box::new(peer)))
    }
}

fn not_a_handshake(_: Malformed) -> HandshakeError {
    HandshakeError::Refuses(Refusal::Handshake)
}
