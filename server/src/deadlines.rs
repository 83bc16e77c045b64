//! Deadlines without a timer per read or write.
//!
//! Every connection keeps its phase and deadline in a [`Slot`] that its core can read. A tick
//! checks all slots and shuts overdue sockets down, which ends the pending read or write. So no
//! future is dropped while the kernel may still write to its buffer.
//!
//! Guarantees: once [`Slot::is_read_closed`] is true the connection reads only what the kernel has
//! already received; once [`Slot::is_cut`] is true it neither reads nor writes; every tick wakes a
//! task that waits for another thread, so that neither a cut nor a lost wake-up leaves it asleep.

use std::cell::{Cell, RefCell};
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, RawFd};
use std::task::Waker;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use crate::addresses::CountedAddress;
use crate::limits;
use crate::metrics::Timeouts;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waiting for the first byte of a request.
    Idle,
    /// Agreeing on TLS.
    Handshake,
    /// Reading a head.
    Head,
    /// Reading a body.
    Body,
    /// Sending answers.
    Write,
    /// Waiting for another thread's answer. That thread guarantees an answer in time. The deadline
    /// is set once the client has hung up.
    Wait,
    /// Waiting for the next chunk of another thread's answer. It may never come.
    AwaitChunk,
    /// Sending such a chunk.
    SendChunk,
    /// Dropping what the client still sends after the last answer.
    Linger,
}

/// Time since the server started, in milliseconds, as of the last tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CoarseMillis(pub u64);

impl CoarseMillis {
    /// Later than every instant.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// The instant `duration` later.
    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

/// Which connections a tick ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressure {
    /// Only overdue connections.
    None,
    /// Overdue and idle connections.
    Drain,
    /// All connections.
    Cut,
}

/// Which place a connection has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// One of the places for all requests.
    #[default]
    Regular,
    /// One of the places for questions about the health of the server.
    Reserved,
}

/// The state of one connection that its core can read.
#[derive(Debug)]
pub(crate) struct Slot {
    fd: RawFd,
    /// The index in the registry, so that removing the slot needs no search.
    pub(crate) at: Cell<usize>,
    /// The address of the client; `None` over a Unix socket.
    address: Option<CountedAddress>,
    place: Cell<Place>,
    phase: Cell<Phase>,
    deadline: Cell<CoarseMillis>,
    /// Since when the client has made too little progress in this phase.
    since: Cell<CoarseMillis>,
    /// Whether the connection has had an answer to a request.
    proven: Cell<bool>,
    /// The memory that counts against the budget, in bytes.
    pub(crate) held: Cell<usize>,
    read_closed: Cell<bool>,
    cut: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Slot {
    /// The slot of a new connection over `fd`, which must stay open as long as the slot is in a
    /// registry.
    pub(crate) fn new(
        fd: RawFd,
        address: Option<CountedAddress>,
        place: Place,
        phase: Phase,
        now: CoarseMillis,
        deadline: CoarseMillis,
    ) -> Self {
        Self {
            fd,
            at: Cell::new(0),
            address,
            place: Cell::new(place),
            phase: Cell::new(phase),
            deadline: Cell::new(deadline),
            since: Cell::new(now),
            proven: Cell::new(false),
            held: Cell::new(0),
            read_closed: Cell::new(false),
            cut: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    /// Which place the connection has.
    pub(crate) fn place(&self) -> Place {
        self.place.get()
    }

    /// Replaces the place.
    pub(crate) fn set_place(&self, place: Place) {
        self.place.set(place);
    }

    /// What the connection is doing.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Since when the client has made too little progress in this phase.
    pub(crate) fn since(&self) -> CoarseMillis {
        self.since.get()
    }

    /// Whether the connection has had an answer to a request.
    pub(crate) fn is_proven(&self) -> bool {
        self.proven.get()
    }

    /// How many connections its client has; 1 if they are not counted.
    pub(crate) fn share(&self) -> usize {
        self.address.as_ref().map_or(1, CountedAddress::share)
    }

    /// The address of the client, with the count of its connections.
    pub(crate) fn address(&self) -> Option<&CountedAddress> {
        self.address.as_ref()
    }

    /// Begins to wait for progress anew.
    pub(crate) fn restart(&self, now: CoarseMillis) {
        self.since.set(now);
    }

    /// Enters `phase`, which must end before `deadline`. `since` is when the client last made
    /// progress.
    pub(crate) fn enter(&self, phase: Phase, since: CoarseMillis, deadline: CoarseMillis) {
        self.phase.set(phase);
        self.since.set(since);
        self.deadline.set(deadline);
    }

    /// Whether the connection has waited for its client for so long that it may lose its memory to
    /// others.
    pub(crate) fn may_lose_memory(&self, now: CoarseMillis) -> bool {
        let waits_for_client = match self.phase.get() {
            Phase::Head | Phase::Body => !self.read_closed.get(),
            Phase::Handshake | Phase::Write | Phase::SendChunk => !self.cut.get(),
            Phase::Idle | Phase::Wait | Phase::AwaitChunk | Phase::Linger => false,
        };
        waits_for_client && self.held.get() > 0 && now >= self.since.get().plus(limits::STALLED)
    }

    /// Notes that the connection has had an answer to a request.
    pub(crate) fn set_proven(&self) {
        self.proven.set(true);
    }

    /// Whether the connection waits for its client, and so may give its place to another one.
    pub(crate) fn may_lose_place(&self) -> bool {
        !self.cut.get() && !matches!(self.phase.get(), Phase::Wait | Phase::AwaitChunk)
    }

    /// Ends the connection so that it gives up its place. A proven client between two requests
    /// still gets an answer to what has arrived.
    pub(crate) fn lose_place(&self) {
        if self.proven.get() && self.phase.get() == Phase::Idle {
            self.end_reading(None);
        } else {
            self.end_all();
        }
    }

    /// Ends the connection so that it frees its memory.
    pub(crate) fn lose_memory(&self) {
        match self.phase.get() {
            Phase::Handshake | Phase::Write | Phase::SendChunk => self.end_all(),
            _ => self.end_reading(None),
        }
    }

    /// Whether the read side was shut down. The connection must still answer what it has received.
    pub(crate) fn is_read_closed(&self) -> bool {
        self.read_closed.get()
    }

    /// Whether the connection must end without sending anything more.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// Registers the task that waits for another thread.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let mut registered = self.waker.borrow_mut();
        match registered.as_mut() {
            Some(existing) => existing.clone_from(waker),
            None => *registered = Some(waker.clone()),
        }
    }

    /// Removes the registered task.
    pub(crate) fn clear_waker(&self) {
        self.waker.borrow_mut().take();
    }

    /// Ends the connection if it is overdue, or if `pressure` demands it.
    pub(crate) fn tick(&self, now: CoarseMillis, pressure: Pressure, timeouts: &Timeouts) {
        let overdue = now >= self.deadline.get();
        match self.phase.get() {
            _ if pressure == Pressure::Cut => self.end_all(),
            Phase::Idle if pressure == Pressure::Drain => self.end_reading(None),
            Phase::Idle if overdue => self.end_reading(Some(&timeouts.idle)),
            // It reads and writes, and has nothing to answer.
            Phase::Handshake if pressure == Pressure::Drain => self.end_all(),
            Phase::Handshake if overdue => {
                timeouts.handshake.increment();
                self.end_all();
            }
            Phase::Head if overdue => self.end_reading(Some(&timeouts.head)),
            Phase::Body if overdue => self.end_reading(Some(&timeouts.body)),
            Phase::Write | Phase::SendChunk if overdue => {
                timeouts.write.increment();
                self.end_all();
            }
            // A drain does not wait for the end of a stream.
            Phase::SendChunk if pressure == Pressure::Drain => self.end_all(),
            // For a wait this means: the client hung up [`limits::HUNG_UP`] ago.
            Phase::Linger | Phase::Wait | Phase::AwaitChunk if overdue => self.end_all(),
            // The connection neither reads nor writes now, so only a poll shows that the client has
            // closed its sending side. It may have gone. If it is still there, it gets the answer,
            // or the next chunk of it, unless that takes long.
            Phase::Wait | Phase::AwaitChunk
                if self.deadline.get() == CoarseMillis::NEVER && has_hung_up(self.fd) =>
            {
                self.deadline.set(now.plus(limits::HUNG_UP));
            }
            _ => {}
        }
        // A registered waker belongs to a waiting task. Polling that task once more is cheap.
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    fn end_reading(&self, timeout: Option<&crate::metrics::Counter>) {
        if !self.read_closed.replace(true) {
            if let Some(counter) = timeout {
                counter.increment();
            }
            shut_down(self.fd, Shutdown::Read);
        }
    }

    fn end_all(&self) {
        self.read_closed.set(true);
        self.deadline.set(CoarseMillis::NEVER);
        if !self.cut.replace(true) {
            shut_down(self.fd, Shutdown::Both);
        }
    }
}

/// Shuts down a socket that this core owns, so that pending operations on it end. Ignores the error
/// of a socket whose peer has already gone.
#[expect(
    unsafe_code,
    reason = "monoio's sockets lend their descriptor only as a number"
)]
pub(crate) fn shut_down(fd: RawFd, how: Shutdown) {
    // SAFETY: the callers keep `fd` open: a slot is in the registry only while its connection owns
    // the socket (see `Registered`), and a listener is shut down through a reference to its owner.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    let _ = SockRef::from(&socket).shutdown(how);
}

/// Whether the peer of a socket that this core owns will send nothing more. Closed and crashed
/// peers cannot be told apart without reading.
#[expect(
    unsafe_code,
    reason = "monoio's sockets lend their descriptor only as a number"
)]
fn has_hung_up(fd: RawFd) -> bool {
    // SAFETY: a slot is in the registry only while its connection owns the socket, so `fd` is open.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    let ended = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    let mut asked = [PollFd::new(&socket, PollFlags::RDHUP)];
    let at_once = Timespec::default();
    poll(&mut asked, Some(&at_once)).is_ok()
        && asked.iter().any(|fd| fd.revents().intersects(ended))
}
