//! The loop that serves one connection, the same at both ends.
//!
//! The loop reads, sends, keeps the time and ends the connection. What an end makes of bytes, and
//! what else it waits for, is its [`Endpoint`].

use std::future::Future;
use std::io;
use std::time::Duration;

use talos_model::Acceptance;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::TICK;
use super::clock::now_ms;
use super::transport::{Outbox, Transport};
use crate::handshake::HandshakeError;
use crate::ids::NodeId;
use crate::limits::SILENCE_MS;
use crate::link::{Incoming, Link, LinkError};
use crate::message::Message;
use crate::refusal::Refusal;
use crate::session::Side;

/// Why a connection ends. `R` holds the reasons that only one of the two ends has.
#[derive(Debug, thiserror::Error)]
pub(super) enum End<R> {
    #[error(transparent)]
    Endpoint(R),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the {0} has closed the connection")]
    Closed(Side),
    #[error("the {0} has taken nothing for {SILENCE_MS} ms")]
    Stuck(Side),
}

/// One end of a connection.
///
/// A method that returns an error ends the connection; what is in the outbox is still sent.
pub(super) trait Endpoint: Send {
    /// The other end.
    const PEER: Side;
    /// What this end waits for besides the connection.
    type Event: Send;
    /// Why this end closes a connection.
    type Reason;

    /// The connection's frames and seal.
    fn link(&mut self) -> &mut Link;

    /// Whether to read from the connection now.
    fn wants_input(&self) -> bool {
        true
    }

    /// How long until [`Endpoint::on_tick`] is due, if that is before the next regular tick.
    fn wake(&self) -> Option<Duration> {
        None
    }

    /// Waits for the next event. Cancel safe. `has_room` says whether the outbox takes more.
    fn next_event(&mut self, has_room: bool) -> impl Future<Output = Self::Event> + Send;

    /// Handles an event.
    fn on_event(
        &mut self,
        event: Self::Event,
        outbox: &mut Outbox,
    ) -> Result<(), End<Self::Reason>>;

    /// This end has refused the other one in the handshake.
    fn on_handshake_refused(&mut self, _refusal: Refusal) {}

    /// The other node has proven that it is `peer`. Messages may be sent from now on.
    fn on_open(&mut self, peer: NodeId, outbox: &mut Outbox) -> Result<(), End<Self::Reason>>;

    /// Which credentials this node accepts now.
    fn acceptance(&mut self) -> Acceptance;

    /// Which credentials this node accepts, if that has changed since they were last asked for.
    fn changed_acceptance(&mut self) -> Option<Acceptance>;

    /// The other node accepts these credentials; `None` if it is of a release that does not say so.
    fn on_acceptance(&mut self, acceptance: Option<Acceptance>);

    /// Handles a message.
    fn on_message(
        &mut self,
        message: Message,
        outbox: &mut Outbox,
    ) -> Result<(), End<Self::Reason>>;

    /// Called several times per heartbeat interval.
    fn on_tick(&mut self, outbox: &mut Outbox) -> Result<(), End<Self::Reason>>;

    /// Called after every event while the outbox takes more.
    fn on_room(&mut self, _outbox: &mut Outbox) -> Result<(), End<Self::Reason>> {
        Ok(())
    }

    /// The connection is over, but for the bytes that are still to be sent.
    fn on_end(&mut self) {}
}

/// What the loop waits for.
enum Event<E> {
    Read(io::Result<usize>),
    Sent(io::Result<()>),
    Endpoint(E),
    Tick,
}

/// Serves a connection until it ends, and returns the reason. Sends `greeting` first.
pub(super) async fn serve<E: Endpoint, S: AsyncRead + AsyncWrite>(
    endpoint: &mut E,
    stream: S,
    greeting: &[u8],
) -> End<E::Reason> {
    let mut transport = Transport::new(stream);
    if !greeting.is_empty() {
        transport.outbox.buffer().extend_from_slice(greeting);
    }
    let end = exchange(endpoint, &mut transport).await;
    endpoint.on_end();
    if !matches!(end, End::Stuck(_) | End::Io(_)) {
        transport.close().await;
    }
    end
}

async fn exchange<E: Endpoint, S: AsyncRead + AsyncWrite>(
    endpoint: &mut E,
    transport: &mut Transport<S>,
) -> End<E::Reason> {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let Transport {
            reader,
            writer,
            input,
            outbox,
        } = transport;
        let (reads, wake) = (endpoint.wants_input(), endpoint.wake());
        let has_room = outbox.has_room();
        let event = tokio::select! {
            read = reader.read(input), if reads => Event::Read(read),
            sent = outbox.send(writer), if outbox.is_waiting() => Event::Sent(sent),
            event = endpoint.next_event(has_room) => Event::Endpoint(event),
            () = sleep(wake.unwrap_or_default()), if wake.is_some() => Event::Tick,
            _ = tick.tick() => Event::Tick,
        };
        if let Err(end) = handle(endpoint, event, input, outbox) {
            return end;
        }
    }
}

fn handle<E: Endpoint>(
    endpoint: &mut E,
    event: Event<E::Event>,
    input: &[u8],
    outbox: &mut Outbox,
) -> Result<(), End<E::Reason>> {
    match event {
        Event::Read(read) => match read? {
            0 => return Err(End::Closed(E::PEER)),
            count => on_bytes(endpoint, input.get(..count).unwrap_or_default(), outbox)?,
        },
        Event::Sent(sent) => sent?,
        Event::Endpoint(event) => endpoint.on_event(event, outbox)?,
        Event::Tick => {
            let now_ms = now_ms();
            endpoint.link().on_tick(now_ms)?;
            if outbox.is_stuck(now_ms) {
                return Err(End::Stuck(E::PEER));
            }
            if endpoint.link().shows_acceptance()
                && let Some(acceptance) = endpoint.changed_acceptance()
            {
                let acceptance = Message::Acceptance(acceptance);
                endpoint.link().send(&acceptance, outbox.buffer())?;
            }
            endpoint.on_tick(outbox)?;
        }
    }
    if outbox.has_room() {
        endpoint.on_room(outbox)?;
    }
    Ok(())
}

fn on_bytes<E: Endpoint>(
    endpoint: &mut E,
    bytes: &[u8],
    outbox: &mut Outbox,
) -> Result<(), End<E::Reason>> {
    let incoming = endpoint.link().on_bytes(bytes, outbox.buffer());
    if let Err(LinkError::Handshake(HandshakeError::Refuses(refusal))) = &incoming {
        endpoint.on_handshake_refused(*refusal);
    }
    for one in incoming? {
        match one {
            Incoming::Open(peer) => {
                if endpoint.link().shows_acceptance() {
                    let acceptance = Message::Acceptance(endpoint.acceptance());
                    endpoint.link().send(&acceptance, outbox.buffer())?;
                }
                endpoint.on_open(peer, outbox)?;
                if !endpoint.link().shows_acceptance() {
                    endpoint.on_acceptance(None);
                }
            }
            Incoming::Message(Message::Acceptance(acceptance))
                if endpoint.link().shows_acceptance() =>
            {
                endpoint.on_acceptance(Some(acceptance));
            }
            Incoming::Message(message) => endpoint.on_message(message, outbox)?,
        }
    }
    Ok(())
}
