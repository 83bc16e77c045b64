//! The side that accepts the connection.

use super::format::{Challenge, Evidence, Hello, Transcript};
use super::{HandshakeError, HandshakeStep, Identity, Nonce, Peer};
use crate::ids::NodeId;
use crate::limits::{VERSION_MAX, VERSION_MIN};
use crate::refusal::Refusal;
use crate::session::{KeyPair, Session, Side};
use crate::wire::Malformed;

/// The handshake of a primary with a connecting node.
pub struct PrimaryHandshake {
    identity: Identity,
    nonce: Nonce,
    state: State,
}

enum State {
    Called,
    Challenged {
        peer: NodeId,
        version: u16,
        transcript: Box<Transcript>,
    },
    Over,
}

impl std::fmt::Debug for PrimaryHandshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrimaryHandshake(…)")
    }
}

impl PrimaryHandshake {
    /// Starts a handshake: waits for the greeting.
    #[must_use]
    pub fn begin(identity: Identity, nonce: Nonce) -> Self {
        Self {
            identity,
            nonce,
            state: State::Called,
        }
    }

    /// Handles a frame of the connecting node.
    ///
    /// # Errors
    /// [`HandshakeError`]: close the connection.
    pub fn on_frame(&mut self, frame: &[u8]) -> Result<HandshakeStep, HandshakeError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Called => self.on_hello(frame),
            State::Challenged {
                peer,
                version,
                transcript,
            } => self.on_evidence(frame, peer, version, transcript),
            State::Over => Err(HandshakeError::Refuses(Refusal::Handshake)),
        }
    }

    fn on_hello(&mut self, frame: &[u8]) -> Result<HandshakeStep, HandshakeError> {
        let hello = Hello::decode(frame).map_err(not_a_handshake)?;
        let version = hello.version_max.min(VERSION_MAX);
        if version < hello.version_min.max(VERSION_MIN) {
            return Err(HandshakeError::Refuses(Refusal::Version {
                min: VERSION_MIN,
                max: VERSION_MAX,
            }));
        }
        if hello.cluster != self.identity.cluster {
            return Err(HandshakeError::Refuses(Refusal::Cluster));
        }
        if hello.node == self.identity.node {
            return Err(HandshakeError::Refuses(Refusal::SameNode));
        }
        let challenge = Challenge {
            version,
            cluster: self.identity.cluster,
            node: self.identity.node,
            nonce: self.nonce,
        };
        let challenge = challenge.encode();
        self.state = State::Challenged {
            peer: hello.node,
            version,
            transcript: Box::new(Transcript::new(frame, &challenge)),
        };
        Ok(HandshakeStep::Send(challenge))
    }

    fn on_evidence(
        &mut self,
        frame: &[u8],
        peer: NodeId,
        version: u16,
        mut transcript: Box<Transcript>,
    ) -> Result<HandshakeStep, HandshakeError> {
        let theirs = Evidence::decode(frame, Side::Replica).map_err(not_a_handshake)?;
        let claim = transcript.claim(Side::Replica, &theirs.public_key);
        let secret = self
            .identity
            .secrets
            .proven(&claim, &theirs.proof)
            .ok_or(HandshakeError::Refuses(Refusal::Proof))?;
        transcript.add(frame);
        let keys = KeyPair::draw()?;
        let claim = transcript.claim(Side::Primary, &keys.public());
        let ours = Evidence {
            public_key: keys.public(),
            // The secret that the other side has used, which may be a retired one.
            proof: secret.prove(&claim),
        };
        let ours = ours.encode(Side::Primary);
        let session = Session::agree(
            Side::Primary,
            keys,
            &theirs.public_key,
            secret,
            &transcript.with(&ours),
        )?;
        let peer = Peer {
            node: peer,
            version,
            session,
        };
        Ok(HandshakeStep::Done(Some(ours), Box::new(peer)))
    }
}

fn not_a_handshake(_: Malformed) -> HandshakeError {
    HandshakeError::Refuses(Refusal::Handshake)
}
