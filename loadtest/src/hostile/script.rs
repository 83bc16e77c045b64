//! What one hostile client does with its connection.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::attack::Attack;

/// What one hostile client does, from its connection to its end.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its kind.
    pub attack: Attack,
    /// The address that it connects from, in 127.0.0.0/8.
    pub from: Ipv4Addr,
    /// How its bytes travel.
    pub layer: Layer,
    /// What it sends first.
    pub opening: Arc<[u8]>,
    /// How fast it sends that.
    pub pace: Pace,
    /// What it sends after that.
    pub then: Option<Repeat>,
    /// What it does with answers.
    pub reading: Reading,
    /// What it does when it has sent everything.
    pub ending: Ending,
    /// How long it stays at most.
    pub lasts: Duration,
}

/// How the bytes of a client travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// As they are.
    Plain,
    /// Within TLS, after a handshake.
    Tls,
    /// Within TLS. The second half of the records of each write is not sent.
    CutTls,
    /// Within TLS, with new keys before each write.
    RekeyedTls,
}

/// How fast a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes of one write.
    pub bytes: usize,
    /// The time between two writes.
    pub every: Duration,
}

impl Pace {
    /// As fast as a hostile client sends: 12 MiB a second. Without a bound the attackers' own work
    /// would take the processor from the valid load.
    pub const FAST: Self = Self {
        bytes: 64 << 10,
        every: Duration::from_millis(5),
    };

    /// A few bytes at a time.
    #[must_use]
    pub fn slow(bytes: usize, millis: u64) -> Self {
        Self {
            bytes,
            every: Duration::from_millis(millis),
        }
    }
}

/// A piece that is sent again and again, each time as one write.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// The piece.
    pub piece: Arc<[u8]>,
    /// The time between two pieces.
    pub every: Duration,
    /// How often; `u32::MAX` is as good as for ever.
    pub times: u32,
}

/// What a client does with answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It reads them.
    Everything,
    /// It reads nothing, and its receive buffer is small.
    Nothing,
}

/// What a client does when it has sent everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It keeps the connection.
    Hold,
    /// It closes its sending side and keeps the rest.
    HalfClose,
    /// It closes the connection.
    Close,
    /// It resets the connection.
    Reset,
}

impl Script {
    /// A client that sends `opening` at once, reads answers, and keeps the connection.
    #[must_use]
    pub fn new(attack: Attack, from: Ipv4Addr, opening: impl Into<Arc<[u8]>>) -> Self {
        Self {
            attack,
            from,
            layer: Layer::Plain,
            opening: opening.into(),
            pace: Pace::FAST,
            then: None,
            reading: Reading::Everything,
            ending: Ending::Hold,
            lasts: attack.lasts(),
        }
    }
}
