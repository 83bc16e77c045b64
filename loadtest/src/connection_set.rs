//! The connections of one load thread: opens them, watches them for events, knows which have room
//! for a request, and replaces them at a rate.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::connection::{Connection, InFlight, Retiring, State};
use crate::endpoint::Endpoint;

/// How long after a failure a connection is made again, in nanoseconds.
pub const RETRY_NS: u64 = 10_000_000;

/// Which connections a thread keeps.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// The server.
    pub endpoint: Endpoint,
    /// Connections of this thread.
    pub count: usize,
    /// Requests on a connection at a time.
    pub depth: usize,
    /// Connections closed and made again per second; 0 = none.
    pub churn: f64,
}

/// Room for one request on a connection. Outdated when the connection has another generation.
#[derive(Clone, Copy, Debug)]
struct FreeSlot {
    index: usize,
    generation: u32,
}

#[derive(Debug)]
struct Churn {
    interval_ns: f64,
    next_ns: f64,
    next_index: usize,
}

/// Connections by index.
#[derive(Debug)]
pub struct ConnectionSet {
    endpoint: Endpoint,
    poll: OwnedFd,
    connections: Vec<Connection>,
    free: VecDeque<FreeSlot>,
    churn: Churn,
    /// Connections that are closed or connecting.
    unopened: usize,
}

impl ConnectionSet {
    /// Connections that are all closed.
    ///
    /// # Errors
    /// When the system refuses an epoll instance.
    pub fn new(options: ConnectionOptions) -> io::Result<Self> {
        let interval_ns = if options.churn > 0.0 {
            1e9 / options.churn
        } else {
            f64::INFINITY
        };
        Ok(Self {
            endpoint: options.endpoint,
            poll: epoll::create(CreateFlags::CLOEXEC)?,
            connections: (0..options.count).map(|_| Connection::default()).collect(),
            free: VecDeque::with_capacity(options.count * options.depth),
            churn: Churn {
                interval_ns,
                next_ns: interval_ns,
                next_index: 0,
            },
            unopened: options.count,
        })
    }

    /// Whether a connection is closed or connecting.
    #[must_use]
    pub fn has_unopened(&self) -> bool {
        self.unopened > 0
    }

    /// Whether connections are replaced at a rate.
    #[must_use]
    pub fn is_churning(&self) -> bool {
        self.churn.interval_ns.is_finite()
    }

    /// The connection with this index.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut Connection> {
        self.connections.get_mut(index)
    }

    /// The requests of all connections that have no answer yet.
    pub fn in_flight(&self) -> impl Iterator<Item = &InFlight> {
        let connections = self.connections.iter();
        connections.flat_map(|connection| &connection.in_flight)
    }

    /// Waits for events for at most `timeout_ns`, which is below a second.
    ///
    /// # Errors
    /// When the system refuses to wait.
    pub fn wait(&self, events: &mut Vec<Event>, timeout_ns: u64) -> io::Result<()> {
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: timeout_ns.cast_signed(),
        };
        events.clear();
        match epoll::wait(
            &self.poll,
            rustix::buffer::spare_capacity(events),
            Some(&timeout),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The index of the connection that an event belongs to. `None` if that connection was closed
    /// since.
    #[must_use]
    pub fn index_of(&self, event: Event) -> Option<usize> {
        let data = event.data.u64();
        let index = usize::try_from(data & u64::from(u32::MAX)).ok()?;
        let generation = u32::try_from(data >> 32).ok()?;
        let connection = self.connections.get(index)?;
        (connection.generation == generation).then_some(index)
    }

    /// Begins to make all connections that are closed and may be retried at `now_ns`. Calls
    /// `failed` for each that cannot be begun.
    pub fn open_due(&mut self, now_ns: u64, mut failed: impl FnMut(&io::Error)) {
        for (index, connection) in self.connections.iter_mut().enumerate() {
            if !matches!(connection.state, State::Closed { retry_ns } if retry_ns <= now_ns) {
                continue;
            }
            let generation = connection.generation.wrapping_add(1);
            let data = u64::from(generation) << 32 | index as u64;
            let monitor = connection.begin(&self.endpoint, now_ns).and_then(|fd| {
                // Edge-triggered: one registration serves for the life of the connection.
                let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
                Ok(epoll::add(&self.poll, fd, EventData::new_u64(data), flags)?)
            });
            if let Err(error) = monitor {
                connection.close(now_ns + RETRY_NS);
                failed(&error);
            }
        }
    }

    /// Goes on with making a connection at whose socket something has happened. Returns whether it
    /// is open now.
    ///
    /// # Errors
    /// Why it could not be made.
    pub fn finish_connecting(&mut self, index: usize) -> io::Result<bool> {
        let Some(connection) = self.connections.get_mut(index) else {
            return Ok(false);
        };
        let open = connection.finish_connecting()?;
        self.unopened -= usize::from(open);
        Ok(open)
    }

    /// Closes a connection. It is made again at `retry_ns` or later. Its requests in flight stay in
    /// its queue.
    pub fn close(&mut self, index: usize, retry_ns: u64) {
        if let Some(connection) = self.connections.get_mut(index) {
            if connection.state == State::Open {
                self.unopened += 1;
            }
            connection.close(retry_ns);
        }
    }

    /// Notes that a connection has room for one more request.
    pub fn add_free(&mut self, index: usize) {
        if let Some(connection) = self.connections.get(index) {
            self.free.push_back(FreeSlot {
                index,
                generation: connection.generation,
            });
        }
    }

    /// Whether a connection may have room for a request. Outdated notes count, too.
    #[must_use]
    pub fn may_have_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// The connection that has had room for a request for longest. It keeps its room until
    /// [`ConnectionSet::take_free`].
    pub fn next_free(&mut self) -> Option<usize> {
        while let Some(slot) = self.free.front() {
            let connection = self.connections.get(slot.index);
            let is_usable = connection.is_some_and(|connection| {
                connection.generation == slot.generation
                    && connection.state == State::Open
                    && connection.retiring == Retiring::No
            });
            if is_usable {
                return Some(slot.index);
            }
            self.free.pop_front();
        }
        None
    }

    /// Uses the room that [`ConnectionSet::next_free`] has found.
    pub fn take_free(&mut self) {
        self.free.pop_front();
    }

    /// If a connection is to be replaced at `now_ns`, retires the next open one and returns it. The
    /// caller closes it as soon as it has its answers.
    pub fn retire_due(&mut self, now_ns: u64) -> Option<usize> {
        if self.churn.next_ns > now_ns as f64 {
            return None;
        }
        self.churn.next_ns += self.churn.interval_ns;
        for _ in 0..self.connections.len() {
            let index = self.churn.next_index;
            self.churn.next_index = (index + 1) % self.connections.len().max(1);
            let connection = self.connections.get_mut(index)?;
            if connection.state == State::Open && connection.retiring == Retiring::No {
                connection.retiring = Retiring::Replace;
                return Some(index);
            }
        }
        None
    }
}
