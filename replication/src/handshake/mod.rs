//! The handshake: two nodes prove to each other that they know the shared secret.
//!
//! ```text
//! replica                                                            primary
//!   Hello      versions, cluster, node, role, nonce            ──►
//!                                     ◄──   version, cluster, node, role, nonce   Challenge
//!   Evidence   public key, HMAC over all of the above          ──►
//!                                     ◄──   public key, HMAC over all of the above  Evidence
//! ```
//!
//! Guarantees:
//! - Before the proof holds a primary only draws a nonce and checks one HMAC per accepted secret.
//!   It reads no storage, generates no key, and reveals only its name.
//! - Each proof covers both nonces, both roles, both names, the cluster and all offered versions.
//!   So a proof cannot be replayed, reflected, or used to downgrade the version.
//! - Nothing that a stranger tells a replica, a refusal included, has a lasting effect.
//!
//! The caller supplies random nonces; session keys are generated here.

mod format;
mod primary;
mod replica;
#[cfg(test)]
mod tests;

pub use primary::PrimaryHandshake;
pub use replica::ReplicaHandshake;

use crate::ids::{ClusterId, NodeId};
use crate::refusal::Refusal;
use crate::secret::Secrets;
use crate::session::{Session, SessionError};

/// The identity of a node.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// The secrets that it shares with the other nodes of the cluster.
    pub secrets: Secrets,
}

/// 32 random bytes that are used in one handshake only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(pub [u8; 32]);

/// The other side, after its proof.
#[derive(Debug)]
pub struct Peer {
    /// The other node.
    pub node: NodeId,
    /// The protocol version of this connection.
    pub version: u16,
    /// Seals and opens the frames that follow.
    pub session: Session,
}

/// The result of a handshake frame.
#[derive(Debug)]
pub enum HandshakeStep {
    /// Send this frame and wait for the next one.
    Send(Vec<u8>),
    /// The other side has proven its identity. Send the frame, if there is one.
    Done(Option<Vec<u8>>, Box<Peer>),
}

/// A handshake that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// This node refuses the other one. Send [`HandshakeError::frame`], count the refusal, and
    /// close.
    #[error("refused: {0}")]
    Refuses(Refusal),
    /// The other node, or somebody on the network, has refused this one; retry later.
    #[error("refused by the other node: {0}")]
    Refused(Refusal),
    /// The key agreement has failed; retry on a new connection.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl HandshakeError {
    /// The frame that reports the error to the other side, if it gets one.
    #[must_use]
    pub fn frame(self) -> Option<Vec<u8>> {
        match self {
            Self::Refuses(refusal) => Some(format::refused(refusal)),
            Self::Refused(_) | Self::Session(_) => None,
        }
    }
}
