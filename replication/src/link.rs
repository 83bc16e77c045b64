//! One connection, seen from either side: converts received bytes to messages and messages to
//! bytes.
//!
//! Guarantees: no message is received or sent before the other side has proven its identity. After
//! an error the connection is over. A handshake that takes too long ends the connection, so that
//! strangers cannot occupy slots that replicas need.

use crate::frame::{self, Decoder, FrameError};
use crate::handshake::{
    HandshakeError, HandshakeStep, Identity, Nonce, Peer, PrimaryHandshake, ReplicaHandshake,
};
use crate::ids::NodeId;
use crate::limits::{FRAME_BYTES, GREETING_MS, HANDSHAKE_MS, VERSION_WITH_ACCEPTANCE};
use crate::message::Message;
use crate::message_format;
use crate::session::{SEAL_BYTES, Session, SessionError};
use crate::wire::Malformed;

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Invalid frames; retry.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The handshake has failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The seal is broken. Retry, and check who can alter the traffic.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The other side sends invalid messages; for the operator.
    #[error(transparent)]
    Message(#[from] Malformed),
    /// The handshake took too long; retry.
    #[error("the handshake was not through after {HANDSHAKE_MS} ms")]
    Slow,
    /// The connecting node did not greet in time.
    #[error("no greeting after {GREETING_MS} ms")]
    Silent,
    /// A message before the end of the handshake, or after the end of the connection: a bug in this
    /// program.
    #[error("the connection is not open")]
    NotOpen,
    /// A message that no reader accepts: a bug in this program.
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
}

/// What was received.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The other side has proven to be this node. Messages may be sent from now on.
    Open(NodeId),
    /// A message.
    Message(Message),
}

#[derive(Debug)]
enum Stage {
    Calling(Box<ReplicaHandshake>),
    Called(Box<PrimaryHandshake>),
    Open(Box<Session>),
    Over,
}

/// One connection.
#[derive(Debug)]
pub struct Link {
    decoder: Decoder,
    stage: Stage,
    since_ms: u64,
    /// Whether a valid frame has come.
    has_greeted: bool,
    /// The version of the protocol; 0 before the handshake is through.
    version: u16,
}

impl Link {
    /// A replica's end, which connects to a primary. Send the returned bytes.
    #[must_use]
    pub fn call(identity: Identity, nonce: Nonce, now_ms: u64) -> (Self, Vec<u8>) {
        let (handshake, hello) = ReplicaHandshake::begin(identity, nonce);
        let mut out = Vec::new();
        frame::append(&hello, &mut out);
        let stage = Stage::Calling(Box::new(handshake));
        (Self::new(stage, now_ms), out)
    }

    /// A primary's end of a connection that it has accepted.
    #[must_use]
    pub fn answer(identity: Identity, nonce: Nonce, now_ms: u64) -> Self {
        let handshake = PrimaryHandshake::begin(identity, nonce);
        Self::new(Stage::Called(Box::new(handshake)), now_ms)
    }

    fn new(stage: Stage, now_ms: u64) -> Self {
        Self {
            decoder: Decoder::new(),
            stage,
            since_ms: now_ms,
            has_greeted: false,
            version: 0,
        }
    }

    /// Whether messages may be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    /// Whether both nodes show each other which credentials they accept.
    #[must_use]
    pub fn shows_acceptance(&self) -> bool {
        self.version >= VERSION_WITH_ACCEPTANCE
    }

    /// Whether the other side has begun a valid handshake. It has proven nothing yet.
    #[must_use]
    pub fn has_greeted(&self) -> bool {
        self.has_greeted
    }

    /// Handles received bytes. Appends the bytes to send to `out`, after an error as well.
    ///
    /// # Errors
    /// [`LinkError`]: send the bytes in `out`, then close. Messages received before the error are
    /// lost.
    pub fn on_bytes(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Vec<Incoming>, LinkError> {
        let taken = self.take(bytes, out);
        if taken.is_err() {
            self.stage = Stage::Over;
        }
        taken
    }

    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Vec<Incoming>, LinkError> {
        if matches!(self.stage, Stage::Over) {
            return Err(LinkError::NotOpen);
        }
        let mut incoming = Vec::new();
        self.decoder.push(bytes);
        while let Some(body) = self.decoder.next_frame()? {
            if let Some(one) = self.on_frame(body, out)? {
                incoming.push(one);
            }
        }
        Ok(incoming)
    }

    fn on_frame(
        &mut self,
        body: Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Incoming>, LinkError> {
        let step = match &mut self.stage {
            Stage::Calling(handshake) => handshake.on_frame(&body),
            Stage::Called(handshake) => handshake.on_frame(&body),
            Stage::Open(session) => {
                let message = message_format::decode(&session.open(body)?)?;
                return Ok(Some(Incoming::Message(message)));
            }
            Stage::Over => return Err(LinkError::NotOpen),
        };
        match step {
            Ok(HandshakeStep::Send(answer)) => {
                self.has_greeted = true;
                frame::append(&answer, out);
                Ok(None)
            }
            Ok(HandshakeStep::Done(answer, peer)) => {
                if let Some(answer) = answer {
                    frame::append(&answer, out);
                }
                let Peer {
                    node,
                    version,
                    session,
                } = *peer;
                self.version = version;
                self.stage = Stage::Open(Box::new(session));
                self.decoder.allow(FRAME_BYTES);
                Ok(Some(Incoming::Open(node)))
            }
            Err(error) => {
                if let Some(refusal) = error.frame() {
                    frame::append(&refusal, out);
                }
                Err(error.into())
            }
        }
    }

    /// Appends the frame of a message to `out`.
    ///
    /// # Errors
    /// [`LinkError`]: close the connection.
    pub fn send(&mut self, message: &Message, out: &mut Vec<u8>) -> Result<(), LinkError> {
        let Stage::Open(session) = &mut self.stage else {
            return Err(LinkError::NotOpen);
        };
        let body = message_format::encode(message);
        if body.len() + SEAL_BYTES > FRAME_BYTES {
            return Err(LinkError::TooLong(body.len()));
        }
        frame::append(&session.seal(body)?, out);
        Ok(())
    }

    /// Checks the deadlines of the handshake.
    ///
    /// # Errors
    /// [`LinkError::Slow`]: close the connection.
    pub fn on_tick(&mut self, now_ms: u64) -> Result<(), LinkError> {
        let elapsed_ms = now_ms.saturating_sub(self.since_ms);
        if elapsed_ms > GREETING_MS && !self.has_greeted && matches!(self.stage, Stage::Called(_)) {
            self.stage = Stage::Over;
            return Err(LinkError::Silent);
        }
        let late = elapsed_ms > HANDSHAKE_MS;
        if late && matches!(self.stage, Stage::Calling(_) | Stage::Called(_)) {
            self.stage = Stage::Over;
            return Err(LinkError::Slow);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ClusterId;
    use crate::message::StatusUpdate;
    use crate::secret::{Secrets, SharedSecret};

    fn identity(node: u8, secret: u8) -> Identity {
        Identity {
            cluster: ClusterId([1; 16]),
            node: NodeId([node; 16]),
            secrets: Secrets {
                current: SharedSecret::new(&[secret; 32]).unwrap(),
                retired: vec![],
            },
        }
    }

    fn status_update() -> Message {
        Message::StatusUpdate(StatusUpdate {
            durable: None,
            sent_ms: 0x5ec1_2e75_ec12_e75e,
        })
    }

    /// Both ends of a connection after the handshake.
    fn open() -> (Link, Link) {
        let (mut replica, hello) = Link::call(identity(1, 7), Nonce([1; 32]), 0);
        let mut primary = Link::answer(identity(2, 7), Nonce([2; 32]), 0);
        let (mut challenge, mut evidence, mut answer) = (vec![], vec![], vec![]);
        assert_eq!(primary.on_bytes(&hello, &mut challenge), Ok(vec![]));
        assert_eq!(replica.on_bytes(&challenge, &mut evidence), Ok(vec![]));
        let opened = primary.on_bytes(&evidence, &mut answer).unwrap();
        assert_eq!(opened, [Incoming::Open(NodeId([1; 16]))]);
        let opened = replica.on_bytes(&answer, &mut vec![]).unwrap();
        assert_eq!(opened, [Incoming::Open(NodeId([2; 16]))]);
        (replica, primary)
    }

    #[test]
    fn messages_pass_when_both_have_proven_themselves() {
        let (mut replica, mut primary) = open();
        let mut out = Vec::new();
        replica.send(&status_update(), &mut out).unwrap();
        replica.send(&status_update(), &mut out).unwrap();
        let readable = 0x5ec1_2e75_ec12_e75e_u64.to_le_bytes();
        assert!(!out.windows(8).any(|window| window == readable));
        let messages = primary.on_bytes(&out, &mut vec![]).unwrap();
        assert_eq!(
            messages,
            [(); 2].map(|()| Incoming::Message(status_update()))
        );
    }

    #[test]
    fn nothing_is_said_before() {
        let (mut replica, hello) = Link::call(identity(1, 7), Nonce([1; 32]), 0);
        assert_eq!(
            replica.send(&status_update(), &mut vec![]),
            Err(LinkError::NotOpen)
        );
        let mut primary = Link::answer(identity(2, 8), Nonce([2; 32]), 0);
        let (mut challenge, mut evidence, mut refusal) = (vec![], vec![], vec![]);
        primary.on_bytes(&hello, &mut challenge).unwrap();
        replica.on_bytes(&challenge, &mut evidence).unwrap();
        assert!(primary.on_bytes(&evidence, &mut refusal).is_err());
        assert!(!primary.is_open());
        let told = replica.on_bytes(&refusal, &mut vec![]).unwrap_err();
        assert_eq!(
            told.to_string(),
            "refused by the other node: the shared secret could not be proven"
        );
        assert_eq!(primary.on_bytes(&[], &mut vec![]), Err(LinkError::NotOpen));
        // No message is accepted without a proof.
        let mut primary = Link::answer(identity(2, 7), Nonce([2; 32]), 0);
        let mut frame = Vec::new();
        frame::append(&message_format::encode(&status_update()), &mut frame);
        assert!(primary.on_bytes(&frame, &mut vec![]).is_err());
    }

    #[test]
    fn a_slow_stranger_is_given_up() {
        let mut primary = Link::answer(identity(2, 7), Nonce([2; 32]), 1000);
        assert_eq!(primary.on_tick(1000 + GREETING_MS), Ok(()));
        assert_eq!(primary.on_tick(1001 + GREETING_MS), Err(LinkError::Silent));
        let mut primary = Link::answer(identity(2, 7), Nonce([2; 32]), 1000);
        let (_, hello) = Link::call(identity(1, 7), Nonce([1; 32]), 1000);
        assert!(!primary.has_greeted());
        primary.on_bytes(&hello, &mut vec![]).unwrap();
        assert!(primary.has_greeted() && !primary.is_open());
        assert_eq!(primary.on_tick(1000 + HANDSHAKE_MS), Ok(()));
        assert_eq!(primary.on_tick(1001 + HANDSHAKE_MS), Err(LinkError::Slow));
        let (_, mut primary) = open();
        assert_eq!(primary.on_tick(u64::MAX), Ok(()));
    }
}
