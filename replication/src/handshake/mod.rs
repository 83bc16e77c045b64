//! How two nodes prove to each other that they belong together, before either says anything else.
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
//! - A primary does nothing for a stranger but draw a nonce and check one HMAC a known secret: no storage is touched, no key
//!   is drawn and nothing is told but its name before the proof holds.
//! - Either proof covers both nonces, both roles, both names, the cluster and all versions that were offered; so none can be
//!   used again, on another connection, in the other direction, or for an older version than both sides know.
//! - A replica that has been refused, or told anything, by somebody without the secret believes nothing of it for good.
//!
//! The nonces are given by the caller, who draws them at random; keys for the session are drawn where they are needed.

mod format;
mod primary;
mod replica;
#[cfg(test)]
mod tests;

pub use primary::PrimaryHandshake;
pub use replica::ReplicaHandshake;

use crate::position::{ClusterId, NodeId};
use crate::refusal::Refusal;
use crate::secret::Secrets;
use crate::session::{Session, SessionError};

/// Who a node is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Itself.
    pub node: NodeId,
    /// What it shares with the other nodes of the cluster.
    pub secrets: Secrets,
}

/// A number that is used in one handshake only: 32 bytes at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(pub [u8; 32]);

/// The other side, proven.
#[derive(Debug)]
pub struct Peer {
    /// Who it is.
    pub node: NodeId,
    /// The version of the protocol that both speak.
    pub version: u16,
    /// The seal of what follows.
    pub session: Session,
}

/// What a frame of the handshake led to.
#[derive(Debug)]
pub enum HandshakeStep {
    /// Send this frame, and wait for the next.
    Send(Vec<u8>),
    /// The other side has proven who it is; send the frame, if there is one.
    Done(Option<Vec<u8>>, Box<Peer>),
}

/// The end of a handshake that led nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// This node refuses the other one. Send it the refusal, count it, and close.
    #[error("refused: {0}")]
    Refuses(Refusal),
    /// The other node has refused this one, or somebody in between says so; retry later.
    #[error("refused by the other node: {0}")]
    Refused(Refusal),
    /// The keys could not be agreed on; retry on a new connection.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl HandshakeError {
    /// The frame that tells the other side, if it is to be told.
    #[must_use]
    pub fn frame(self) -> Option<Vec<u8>> {
        match self {
            Self::Refuses(refusal) => Some(format::refused(refusal)),
            Self::Refused(_) | Self::Session(_) => None,
        }
    }
}
