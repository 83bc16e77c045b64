//! The encoding of the handshake, which is not sealed.
//!
//! ```text
//! Hello      01  "TALOSREP"  u16 oldest version  u16 newest  cluster (16)  node (16)  role 01  nonce (32)
//! Challenge  02  u16 version  cluster (16)  node (16)  role 02  nonce (32)
//! Evidence   03 of a replica, 04 of a primary  public key (32)  proof (32)
//! Refused    05  u8 code  u64  u64
//! ```

use ring::digest::{Context, SHA256};

use super::Nonce;
use crate::ids::{ClusterId, NodeId};
use crate::message_format::{decode_refusal, encode_refusal};
use crate::refusal::Refusal;
use crate::session::{PublicKey, Side};
use crate::wire::{Malformed, Reader, Writer};

const HELLO: u8 = 1;
const CHALLENGE: u8 = 2;
const REPLICA_EVIDENCE: u8 = 3;
const PRIMARY_EVIDENCE: u8 = 4;
const REFUSED: u8 = 5;
const MAGIC: &[u8; 8] = b"TALOSREP";
const ROLE_REPLICA: u8 = 1;
const ROLE_PRIMARY: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    pub version_min: u16,
    pub version_max: u16,
    pub cluster: ClusterId,
    pub node: NodeId,
    pub nonce: Nonce,
}

impl Hello {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u8(HELLO).raw(MAGIC);
        out.u16(self.version_min).u16(self.version_max);
        out.raw(&self.cluster.0).raw(&self.node.0);
        out.u8(ROLE_REPLICA).raw(&self.nonce.0);
        out.finish()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != HELLO || reader.array()? != *MAGIC {
            return Err(Malformed("no greeting"));
        }
        let (version_min, version_max) = (reader.u16()?, reader.u16()?);
        let (cluster, node) = (ClusterId(reader.array()?), NodeId(reader.array()?));
        if reader.u8()? != ROLE_REPLICA {
            return Err(Malformed("another role"));
        }
        let nonce = Nonce(reader.array()?);
        reader.finish()?;
        Ok(Self {
            version_min,
            version_max,
            cluster,
            node,
            nonce,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub version: u16,
    pub cluster: ClusterId,
    pub node: NodeId,
    pub nonce: Nonce,
}

impl Challenge {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.u8(CHALLENGE).u16(self.version);
        out.raw(&self.cluster.0).raw(&self.node.0);
        out.u8(ROLE_PRIMARY).raw(&self.nonce.0);
        out.finish()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != CHALLENGE {
            return Err(Malformed("no challenge"));
        }
        let version = reader.u16()?;
        let (cluster, node) = (ClusterId(reader.array()?), NodeId(reader.array()?));
        if reader.u8()? != ROLE_PRIMARY {
            return Err(Malformed("another role"));
        }
        let nonce = Nonce(reader.array()?);
        reader.finish()?;
        Ok(Self {
            version,
            cluster,
            node,
            nonce,
        })
    }
}

/// The first byte of this side's evidence.
fn evidence_kind(side: Side) -> u8 {
    match side {
        Side::Replica => REPLICA_EVIDENCE,
        Side::Primary => PRIMARY_EVIDENCE,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub public_key: PublicKey,
    pub proof: [u8; 32],
}

impl Evidence {
    pub fn encode(&self, side: Side) -> Vec<u8> {
        let mut out = Writer::default();
        out.u8(evidence_kind(side))
            .raw(&self.public_key)
            .raw(&self.proof);
        out.finish()
    }

    pub fn decode(bytes: &[u8], side: Side) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != evidence_kind(side) {
            return Err(Malformed("no evidence"));
        }
        let (public_key, proof) = (reader.array()?, reader.array()?);
        reader.finish()?;
        Ok(Self { public_key, proof })
    }
}

pub fn refused(refusal: Refusal) -> Vec<u8> {
    let mut out = Writer::default();
    out.u8(REFUSED);
    encode_refusal(refusal, &mut out);
    out.finish()
}

/// Decodes a frame as a refusal. `None` if it is something else.
pub fn as_refused(bytes: &[u8]) -> Option<Refusal> {
    let mut reader = Reader::new(bytes);
    if reader.u8() != Ok(REFUSED) {
        return None;
    }
    let refusal = decode_refusal(&mut reader).ok()?;
    reader.finish().ok().map(|()| refusal)
}

/// A running hash of the handshake. Each part is prefixed by its length, so that different
/// handshakes never hash the same bytes.
#[derive(Clone)]
pub struct Transcript(Context);

impl Transcript {
    pub fn new(hello: &[u8], challenge: &[u8]) -> Self {
        let mut transcript = Self(Context::new(&SHA256));
        transcript.add(b"talos/replication/v1/handshake");
        transcript.add(hello);
        transcript.add(challenge);
        transcript
    }

    pub fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// The digest of everything so far followed by `part`.
    pub fn with(&self, part: &[u8]) -> [u8; 32] {
        let mut whole = self.clone();
        whole.add(part);
        let mut digest = [0; 32];
        for (byte, from) in digest.iter_mut().zip(whole.0.finish().as_ref()) {
            *byte = *from;
        }
        digest
    }

    /// The digest that `side` proves when it sends this public key.
    pub fn claim(&self, side: Side, public_key: &PublicKey) -> [u8; 32] {
        let mut claim = self.clone();
        claim.add(match side {
            Side::Replica => b"replica",
            Side::Primary => b"primary",
        });
        claim.with(public_key)
    }
}
