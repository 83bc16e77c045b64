//! The state of one connection.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use talos_model::Principal;
use talos_model::clock::{self, UnixMillis};

use crate::core::Core;
use crate::deadlines::{CoarseMillis, Phase, Place};
use crate::limits;
use crate::port::Port;
use crate::position::Reached;
use crate::registry::{Arrival, Registered};
use crate::stream::Stream;
use crate::wait::Dropped;

/// The connection ended before all answers were sent.
pub(super) struct Closed;

/// The other end of a new connection.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// Its address; `None` over a Unix socket.
    pub address: Option<IpAddr>,
    /// Its principal, if the connection proves one.
    pub principal: Option<Arc<Principal>>,
}

/// One connection. The "current request" is the one that begins at `answered`.
pub(super) struct Connection<S> {
    /// Declared before `stream`, so that it is dropped before the socket that it refers to.
    pub slot: Registered,
    pub stream: S,
    pub remote_ip: Option<IpAddr>,
    /// The principal of the other end, if the connection proves one.
    pub principal: Option<Arc<Principal>>,
    pub core: Rc<Core>,
    /// What the connection may do.
    pub port: Rc<Port>,
    /// Received bytes. The first `answered` of them belong to answered requests.
    pub input: Vec<u8>,
    pub answered: usize,
    /// The decoded body of the current request, if it is chunked.
    pub body: Vec<u8>,
    /// Whether all of `body` is there.
    pub is_body_whole: bool,
    /// The memory of the current request that the control plane holds, in bytes.
    pub handed_over: usize,
    /// The result of waiting for the position that the current request demands.
    pub reached: Option<Result<Reached, Dropped>>,
    /// Answers not yet sent.
    pub output: Vec<u8>,
    /// Where the answer to the current request begins in `output`.
    pub answer_start: usize,
    /// When the client or another thread last sent something.
    pub now: UnixMillis,
    /// When the head that is being read began.
    pub head_start: Option<CoarseMillis>,
    /// Whether the connection still waits for its first request. Its slot already has the deadline
    /// for that.
    pub fresh: bool,
}

impl<S: Stream> Connection<S> {
    /// Registers a new connection.
    pub fn new(core: &Rc<Core>, port: &Rc<Port>, stream: S, peer: Peer, place: Place) -> Self {
        // The first byte of a new connection may take as long as a head.
        let now = core.now();
        let deadline = now.plus(core.live().deadlines.head);
        let fd = stream.as_raw_fd();
        let arrival = Arrival {
            peer: peer.address,
            place,
        };
        let slot = core
            .connections
            .register(fd, arrival, Phase::Idle, now, deadline);
        Self {
            slot,
            stream,
            remote_ip: peer.address.map(|address| address.to_canonical()),
            principal: peer.principal,
            core: Rc::clone(core),
            port: Rc::clone(port),
            input: Vec::with_capacity(limits::BUFFER_BYTES),
            answered: 0,
            body: Vec::new(),
            is_body_whole: false,
            handed_over: 0,
            reached: None,
            output: Vec::with_capacity(limits::BUFFER_BYTES),
            answer_start: 0,
            now: clock::now(),
            head_start: None,
            fresh: true,
        }
    }
}
