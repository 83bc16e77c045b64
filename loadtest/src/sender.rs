//! One load thread's loop: readiness in, requests out.
//!
//! Guarantees: a request that is due goes to a free connection at once, else to the first one that becomes free; due
//! requests are taken in order, so that the time they wait for a connection is part of their latency; an answer costs one read,
//! one look at the clock, and one write for the next request.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::clock::Clock;
use crate::composer::Composer;
use crate::connection::{Connection, InFlight, Received, Retiring, State};
use crate::endpoint::Endpoint;
use crate::judge::judge;
use crate::measure::Measurement;
use crate::schedule::Schedule;
use crate::seconds::SecondMeter;

/// How long to wait for the last answers after the end, in nanoseconds.
pub const GIVE_UP_NS: u64 = 5_000_000_000;
/// Before a connection that broke is made again, in nanoseconds.
const RETRY_NS: u64 = 10_000_000;
/// How long a sleeping thread looks at nothing, in nanoseconds.
const LOOK_AROUND_NS: u64 = 20_000_000;
/// The same while connections must be replaced or made.
const LOOK_AROUND_SOON_NS: u64 = 1_000_000;
const EVENTS: usize = 256;

/// How a thread waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// It never sleeps: exact to the microsecond, for a thread with a core of its own.
    Spin,
    /// It sleeps until something happens or is due, and leaves its core to others.
    Sleep,
}

/// How a thread sends.
#[derive(Clone, Debug)]
pub struct Manner {
    /// The server.
    pub endpoint: Endpoint,
    /// Connections of this thread.
    pub connections: usize,
    /// Requests on a connection at a time.
    pub depth: usize,
    /// How it waits.
    pub waiting: Waiting,
    /// Connections closed and made again per second; 0 = none.
    pub churn: f64,
    /// Ends the loop early.
    pub interrupted: Arc<AtomicBool>,
}

/// Room for one request on a connection.
#[derive(Clone, Copy, Debug)]
struct Place {
    index: usize,
    generation: u32,
}

#[derive(Debug)]
struct Churn {
    interval_ns: f64,
    next_ns: f64,
    next_index: usize,
}

/// The loop of one thread.
#[derive(Debug)]
pub struct Sender {
    manner: Manner,
    composer: Composer,
    clock: Clock,
    schedule: Schedule,
    poll: OwnedFd,
    connections: Vec<Connection>,
    free: VecDeque<Place>,
    churn: Churn,
    /// Connections that are not open.
    unopened: usize,
    in_flight: usize,
    measurement: Measurement,
    seconds: SecondMeter,
    last_answer_ns: u64,
    idle_ns: u64,
}

/// What a loop saw, before it is known what it cost.
#[derive(Debug)]
pub struct Sent {
    /// What it saw.
    pub measurement: Measurement,
    /// Time in which nothing happened; only of a thread that spins.
    pub idle_ns: u64,
    /// Time from the start to the end of the loop.
    pub ran_ns: u64,
}

impl Sender {
    /// A loop that has not begun.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(
        manner: Manner,
        composer: Composer,
        clock: Clock,
        schedule: Schedule,
        seconds: SecondMeter,
    ) -> io::Result<Self> {
        let interval_ns = if manner.churn > 0.0 {
            1e9 / manner.churn
        } else {
            f64::INFINITY
        };
        Ok(Self {
            poll: epoll::create(CreateFlags::CLOEXEC)?,
            connections: (0..manner.connections)
                .map(|_| Connection::default())
                .collect(),
            free: VecDeque::with_capacity(manner.connections * manner.depth),
            churn: Churn {
                interval_ns,
                next_ns: interval_ns,
                next_index: 0,
            },
            unopened: manner.connections,
            in_flight: 0,
            measurement: Measurement::default(),
            last_answer_ns: 0,
            idle_ns: 0,
            manner,
            composer,
            clock,
            schedule,
            seconds,
        })
    }

    /// Runs the loop. Connections are made before the clock starts.
    ///
    /// # Errors
    /// When the system refuses to wait for events.
    pub fn run(mut self) -> io::Result<Sent> {
        let mut events = Vec::with_capacity(EVENTS);
        while !self.clock.until_start().is_zero() && !self.is_interrupted() {
            self.open_connections(0);
            self.wait(&mut events, LOOK_AROUND_SOON_NS)?;
            self.take_events(&events, 0);
        }
        let (mut before_ns, mut quiet) = (0, false);
        let ended_ns = loop {
            let now_ns = self.clock.now_ns();
            if quiet {
                self.idle_ns += now_ns.saturating_sub(before_ns);
            }
            if self.is_done(now_ns) {
                break now_ns;
            }
            before_ns = now_ns;
            quiet = self.dispatch(now_ns) == 0;
            if self.unopened > 0 {
                self.open_connections(now_ns);
            }
            if self.churn.next_ns <= now_ns as f64 {
                self.replace_one(now_ns);
            }
            self.seconds.tick(now_ns);
            let patience_ns = self.patience_ns(now_ns);
            self.wait(&mut events, patience_ns)?;
            quiet &= events.is_empty();
            // Only connections that are being made look at this time.
            let woke_ns = if self.unopened > 0 {
                self.clock.now_ns()
            } else {
                now_ns
            };
            self.take_events(&events, woke_ns);
        };
        Ok(self.conclude(ended_ns))
    }

    fn is_interrupted(&self) -> bool {
        self.manner.interrupted.load(Ordering::Relaxed)
    }

    fn is_done(&self, now_ns: u64) -> bool {
        (self.schedule.is_over(now_ns) && self.in_flight == 0)
            || now_ns > self.schedule.end_ns().saturating_add(GIVE_UP_NS)
            || self.is_interrupted()
    }

    fn patience_ns(&self, now_ns: u64) -> u64 {
        if self.manner.waiting == Waiting::Spin {
            return 0;
        }
        let until_due = match self.schedule.next_ns() {
            Some(due_ns) if !self.free.is_empty() => due_ns.saturating_sub(now_ns),
            _ => LOOK_AROUND_NS,
        };
        if self.unopened > 0 || self.manner.churn > 0.0 {
            until_due.min(LOOK_AROUND_SOON_NS)
        } else {
            until_due.min(LOOK_AROUND_NS)
        }
    }

    fn wait(&self, events: &mut Vec<Event>, patience_ns: u64) -> io::Result<()> {
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: patience_ns.min(LOOK_AROUND_NS).cast_signed(),
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

    fn take_events(&mut self, events: &[Event], now_ns: u64) {
        for event in events {
            let data = event.data.u64();
            let index = usize::try_from(data & u64::from(u32::MAX)).unwrap_or(usize::MAX);
            let generation = u32::try_from(data >> 32).unwrap_or(0);
            let Some(connection) = self.connections.get_mut(index) else {
                continue;
            };
            if connection.generation != generation {
                continue;
            }
            let flags = event.flags;
            let taken = match connection.state {
                State::Closed { .. } => Ok(()),
                State::Connecting { since_ns } => connection.finish_connecting().map(|()| {
                    // Before the start the clock stands still.
                    if since_ns > 0 {
                        let took = now_ns.saturating_sub(since_ns);
                        self.measurement.connects.saturating_record(took);
                    }
                    self.unopened -= 1;
                    self.refill(index, self.manner.depth, now_ns);
                }),
                State::Open => {
                    let flushed = if connection.outgoing.is_empty() {
                        Ok(())
                    } else {
                        connection.flush()
                    };
                    let come =
                        EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
                    flushed.and_then(|()| {
                        if flags.intersects(come) {
                            self.receive(index, flags)
                        } else {
                            Ok(())
                        }
                    })
                }
            };
            if let Err(error) = taken {
                self.give_up_connection(index, now_ns, &error);
            }
        }
    }

    /// Makes the connections that are due to be made.
    fn open_connections(&mut self, now_ns: u64) {
        for index in 0..self.connections.len() {
            let Some(connection) = self.connections.get_mut(index) else {
                return;
            };
            if !matches!(connection.state, State::Closed { retry_ns } if retry_ns <= now_ns) {
                continue;
            }
            let generation = connection.generation.wrapping_add(1);
            let data = u64::from(generation) << 32 | index as u64;
            let watched = connection
                .begin(&self.manner.endpoint, now_ns)
                .and_then(|fd| {
                    // Edges, told once: nothing has to be registered again while the connection lives.
                    let flags =
                        EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
                    Ok(epoll::add(&self.poll, fd, EventData::new_u64(data), flags)?)
                });
            if let Err(error) = watched {
                connection.close(now_ns + RETRY_NS);
                self.measurement.complain(|| format!("connecting: {error}"));
            }
        }
    }

    /// Reads what there is, judges it, and sends the next requests in its place.
    fn receive(&mut self, index: usize, flags: EventFlags) -> io::Result<()> {
        let gone = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        let mut answered = 0;
        let mut now_ns = 0;
        loop {
            let Some(connection) = self.connections.get_mut(index) else {
                return Ok(());
            };
            let received = connection.receive()?;
            now_ns = self.clock.now_ns().max(now_ns);
            let mut close = received == Received::End;
            while let Some(answer) = connection.next_answer()? {
                let Some(request) = connection.in_flight.pop_front() else {
                    let what = "an answer to no request";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                };
                self.in_flight -= 1;
                answered += 1;
                close |= answer.close;
                let body = connection.bytes(answer.body.clone());
                judge(
                    &mut self.measurement,
                    &mut self.seconds,
                    &self.schedule,
                    &request,
                    (answer.status, body),
                    now_ns,
                );
                self.last_answer_ns = now_ns;
            }
            if close {
                return if connection.in_flight.is_empty() {
                    connection.close(now_ns);
                    self.unopened += 1;
                    Ok(())
                } else {
                    Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server closed the connection before it answered",
                    ))
                };
            }
            // When the end is announced, the next read shows it, or why the connection broke.
            if received == Received::All && !gone {
                break;
            }
        }
        self.refill(index, answered, now_ns);
        Ok(())
    }

    /// Uses room for `count` requests on a connection: for what is due, else it becomes free.
    fn refill(&mut self, index: usize, count: usize, now_ns: u64) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        if connection.retiring == Retiring::Replace {
            if connection.in_flight.is_empty() {
                connection.close(now_ns);
                self.unopened += 1;
            }
            return;
        }
        for _ in 0..count {
            if let Some(due_ns) = self.schedule.take(now_ns) {
                let asked = self.composer.compose(&mut connection.outgoing);
                connection.in_flight.push_back(InFlight { due_ns, asked });
                self.in_flight += 1;
            } else {
                self.free.push_back(Place {
                    index,
                    generation: connection.generation,
                });
            }
        }
        if !connection.outgoing.is_empty()
            && let Err(error) = connection.flush()
        {
            self.give_up_connection(index, now_ns, &error);
        }
    }

    /// Hands due requests to free connections; how many.
    fn dispatch(&mut self, now_ns: u64) -> usize {
        let mut handed = 0;
        while let Some(place) = self.free.front().copied() {
            let connection = self.connections.get_mut(place.index);
            let Some(connection) = connection.filter(|connection| {
                connection.generation == place.generation
                    && connection.state == State::Open
                    && connection.retiring == Retiring::No
            }) else {
                self.free.pop_front();
                continue;
            };
            let Some(due_ns) = self.schedule.take(now_ns) else {
                break;
            };
            self.free.pop_front();
            handed += 1;
            self.measurement
                .lateness
                .saturating_record(now_ns.saturating_sub(due_ns));
            let asked = self.composer.compose(&mut connection.outgoing);
            connection.in_flight.push_back(InFlight { due_ns, asked });
            self.in_flight += 1;
            if let Err(error) = connection.flush() {
                self.give_up_connection(place.index, now_ns, &error);
            }
        }
        handed
    }

    /// Retires the next open connection; it is closed as soon as it has its answers, and made again.
    fn replace_one(&mut self, now_ns: u64) {
        self.churn.next_ns += self.churn.interval_ns;
        for _ in 0..self.connections.len() {
            let index = self.churn.next_index;
            self.churn.next_index = (index + 1) % self.connections.len().max(1);
            let Some(connection) = self.connections.get_mut(index) else {
                return;
            };
            if connection.state == State::Open && connection.retiring == Retiring::No {
                connection.retiring = Retiring::Replace;
                self.refill(index, 0, now_ns);
                return;
            }
        }
    }

    /// Counts what a broken connection leaves unanswered, and has it made again a little later.
    fn give_up_connection(&mut self, index: usize, now_ns: u64, error: &io::Error) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        if connection.state == State::Open {
            self.unopened += 1;
        }
        connection.close(now_ns + RETRY_NS);
        self.in_flight -= connection.in_flight.len();
        for request in connection.in_flight.drain(..) {
            self.measurement.failed(request.asked.class, 1);
            self.seconds.failed(1);
        }
        self.measurement.complain(|| error.to_string());
    }

    fn conclude(mut self, ended_ns: u64) -> Sent {
        let end_ns = self.schedule.end_ns();
        let open = matches!(self.schedule, Schedule::Open(_));
        let interrupted = self.is_interrupted();
        let unsent = self.schedule.drain();
        if !interrupted {
            for connection in &self.connections {
                for request in &connection.in_flight {
                    self.measurement.failed(request.asked.class, 1);
                }
            }
            // Nothing was composed for those that were never sent.
            self.measurement
                .failed(self.composer.most_frequent(), unsent);
            let unanswered = self.in_flight as u64 + unsent;
            if unanswered > 0 {
                let seconds = GIVE_UP_NS / 1_000_000_000;
                self.measurement.complain(|| {
                    format!("{unanswered} requests had no answer {seconds} s after the end")
                });
            }
        }
        let elapsed_ns = if interrupted {
            ended_ns.min(end_ns)
        } else if open {
            end_ns.max(self.last_answer_ns)
        } else {
            end_ns
        };
        self.measurement.elapsed = std::time::Duration::from_nanos(elapsed_ns);
        if !open {
            // A closed loop has no times that it could miss.
            self.measurement.lateness.reset();
        }
        self.seconds.finish();
        Sent {
            measurement: self.measurement,
            idle_ns: self.idle_ns,
            ran_ns: ended_ns,
        }
    }
}
