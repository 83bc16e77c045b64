//! One load thread's loop: answers in, requests out.
//!
//! Guarantees: a request that is due goes to a free connection at once, else to the first one that
//! becomes free. Due requests are sent in order, so the time that they wait for a connection is
//! part of their latency. An answer costs one read, one look at the clock, and one write for the
//! next request.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::epoll::{Event, EventFlags};

use crate::clock::Clock;
use crate::composer::Composer;
use crate::connection::{InFlight, Received, Retiring, State};
use crate::connection_set::{ConnectionOptions, ConnectionSet, RETRY_NS};
use crate::judge::{Judge, Response};
use crate::measure::Measurement;
use crate::schedule::Schedule;
use crate::seconds::SecondMeter;

/// How long to wait for the last answers after the end, in nanoseconds.
pub const GIVE_UP_NS: u64 = 5_000_000_000;
/// The longest sleep of a sleeping thread, in nanoseconds.
const SLEEP_NS_MAX: u64 = 20_000_000;
/// The longest sleep while connections must be made or replaced, in nanoseconds.
const SHORT_SLEEP_NS_MAX: u64 = 1_000_000;
const EVENTS: usize = 256;
const GONE: EventFlags = EventFlags::RDHUP
    .union(EventFlags::HUP)
    .union(EventFlags::ERR);

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
pub struct SenderOptions {
    /// Its connections.
    pub connections: ConnectionOptions,
    /// How it waits.
    pub waiting: Waiting,
    /// Ends the loop early.
    pub interrupted: Arc<AtomicBool>,
}

/// The loop of one thread.
#[derive(Debug)]
pub struct Sender {
    depth: usize,
    waiting: Waiting,
    interrupted: Arc<AtomicBool>,
    composer: Composer,
    clock: Clock,
    schedule: Schedule,
    connections: ConnectionSet,
    in_flight: usize,
    measurement: Measurement,
    seconds: SecondMeter,
    last_answer_ns: u64,
    idle_ns: u64,
}

/// What a loop measured. The caller adds what it cost.
#[derive(Debug)]
pub struct Sent {
    /// Answers, errors and latencies.
    pub measurement: Measurement,
    /// Time in which nothing happened. Known only of a thread that spins.
    pub idle_ns: u64,
    /// Time from the start to the end of the loop.
    pub ran_ns: u64,
}

impl Sender {
    /// A loop that has not begun.
    ///
    /// # Errors
    /// When the system refuses an epoll instance.
    pub fn new(
        options: SenderOptions,
        composer: Composer,
        clock: Clock,
        schedule: Schedule,
        seconds: SecondMeter,
    ) -> io::Result<Self> {
        Ok(Self {
            depth: options.connections.depth,
            waiting: options.waiting,
            interrupted: options.interrupted,
            connections: ConnectionSet::new(options.connections)?,
            in_flight: 0,
            measurement: Measurement::default(),
            last_answer_ns: 0,
            idle_ns: 0,
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
            self.connections.wait(&mut events, SHORT_SLEEP_NS_MAX)?;
            self.handle_events(&events, 0);
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
            if self.connections.has_unopened() {
                self.open_connections(now_ns);
            }
            if let Some(index) = self.connections.retire_due(now_ns) {
                self.refill(index, 0, now_ns);
            }
            self.seconds.tick(now_ns);
            let timeout_ns = self.timeout_ns(now_ns);
            self.connections.wait(&mut events, timeout_ns)?;
            quiet &= events.is_empty();
            // Only connections that are being made use this time.
            let woke_ns = if self.connections.has_unopened() {
                self.clock.now_ns()
            } else {
                now_ns
            };
            self.handle_events(&events, woke_ns);
        };
        Ok(self.conclude(ended_ns))
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn is_done(&self, now_ns: u64) -> bool {
        (self.schedule.is_over(now_ns) && self.in_flight == 0)
            || now_ns > self.schedule.end_ns().saturating_add(GIVE_UP_NS)
            || self.is_interrupted()
    }

    /// How long the thread may wait for events.
    fn timeout_ns(&self, now_ns: u64) -> u64 {
        if self.waiting == Waiting::Spin {
            return 0;
        }
        let until_due = match self.schedule.next_ns() {
            Some(due_ns) if self.connections.may_have_free() => due_ns.saturating_sub(now_ns),
            _ => SLEEP_NS_MAX,
        };
        if self.connections.has_unopened() || self.connections.is_churning() {
            until_due.min(SHORT_SLEEP_NS_MAX)
        } else {
            until_due.min(SLEEP_NS_MAX)
        }
    }

    fn handle_events(&mut self, events: &[Event], now_ns: u64) {
        for event in events {
            let Some(index) = self.connections.index_of(*event) else {
                continue;
            };
            if let Err(error) = self.handle_event(index, event.flags, now_ns) {
                self.give_up_connection(index, now_ns, &error);
            }
        }
    }

    fn handle_event(&mut self, index: usize, flags: EventFlags, now_ns: u64) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(index) else {
            return Ok(());
        };
        match connection.state {
            State::Closed { .. } => {}
            State::Connecting { since_ns } => {
                if !self.connections.finish_connecting(index)? {
                    return Ok(());
                }
                // The clock shows 0 until the start, so earlier connections have no time.
                if since_ns > 0 {
                    let took = now_ns.saturating_sub(since_ns);
                    self.measurement.connects.saturating_record(took);
                }
                self.refill(index, self.depth, now_ns);
            }
            State::Open => {
                if connection.has_unsent() {
                    connection.flush()?;
                }
                if flags.intersects(EventFlags::IN | GONE) {
                    self.receive(index, flags)?;
                }
            }
        }
        Ok(())
    }

    fn open_connections(&mut self, now_ns: u64) {
        let measurement = &mut self.measurement;
        self.connections.open_due(now_ns, |error| {
            measurement.complain(|| format!("connecting: {error}"));
        });
    }

    /// Reads what has arrived, judges it, and sends the next requests in its place.
    fn receive(&mut self, index: usize, flags: EventFlags) -> io::Result<()> {
        let gone = flags.intersects(GONE);
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
                let response = Response {
                    status: answer.status,
                    body: connection.bytes(answer.body),
                    at_ns: now_ns,
                };
                let mut judge = Judge {
                    measurement: &mut self.measurement,
                    seconds: &mut self.seconds,
                    schedule: &self.schedule,
                };
                judge.count(&request, &response);
                self.last_answer_ns = now_ns;
            }
            if close {
                return if connection.in_flight.is_empty() {
                    self.connections.close(index, now_ns);
                    Ok(())
                } else {
                    Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server closed the connection before it answered",
                    ))
                };
            }
            // After an event of a closed connection, the next read shows its end, or why it broke.
            if received == Received::All && !gone {
                break;
            }
        }
        self.refill(index, answered, now_ns);
        Ok(())
    }

    /// Sends due requests on a connection that has room for `count`. Room that is left over becomes
    /// free.
    fn refill(&mut self, index: usize, count: usize, now_ns: u64) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        if connection.retiring == Retiring::Replace {
            if connection.in_flight.is_empty() {
                self.connections.close(index, now_ns);
            }
            return;
        }
        let mut sent = 0;
        while sent < count
            && let Some(due_ns) = self.schedule.take(now_ns)
        {
            let asked = self.composer.compose(&mut connection.outgoing);
            connection.in_flight.push_back(InFlight { due_ns, asked });
            sent += 1;
        }
        self.in_flight += sent;
        let flushed = if connection.outgoing.is_empty() {
            Ok(())
        } else {
            connection.flush()
        };
        for _ in sent..count {
            self.connections.add_free(index);
        }
        if let Err(error) = flushed {
            self.give_up_connection(index, now_ns, &error);
        }
    }

    /// Sends due requests on free connections. Returns how many it sent.
    fn dispatch(&mut self, now_ns: u64) -> usize {
        let mut dispatched = 0;
        while let Some(index) = self.connections.next_free() {
            let Some(due_ns) = self.schedule.take(now_ns) else {
                break;
            };
            self.connections.take_free();
            let Some(connection) = self.connections.get_mut(index) else {
                break;
            };
            dispatched += 1;
            self.measurement
                .lateness
                .saturating_record(now_ns.saturating_sub(due_ns));
            let asked = self.composer.compose(&mut connection.outgoing);
            connection.in_flight.push_back(InFlight { due_ns, asked });
            self.in_flight += 1;
            if let Err(error) = connection.flush() {
                self.give_up_connection(index, now_ns, &error);
            }
        }
        dispatched
    }

    /// Counts the unanswered requests of a broken connection, and has the connection made again a
    /// little later.
    fn give_up_connection(&mut self, index: usize, now_ns: u64, error: &io::Error) {
        self.connections.close(index, now_ns + RETRY_NS);
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        self.in_flight -= connection.in_flight.len();
        for request in connection.in_flight.drain(..) {
            self.measurement.failed(request.asked.class, 1);
            self.seconds.failed(1);
        }
        self.measurement.complain(|| error.to_string());
    }

    fn conclude(mut self, ended_ns: u64) -> Sent {
        let end_ns = self.schedule.end_ns();
        let is_open_loop = matches!(self.schedule, Schedule::Open(_));
        let interrupted = self.is_interrupted();
        let unsent = self.schedule.drain();
        if !interrupted {
            for request in self.connections.in_flight() {
                self.measurement.failed(request.asked.class, 1);
            }
            // Requests that were never sent were never composed and have no class.
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
        } else if is_open_loop {
            end_ns.max(self.last_answer_ns)
        } else {
            end_ns
        };
        self.measurement.elapsed = Duration::from_nanos(elapsed_ns);
        if !is_open_loop {
            // Requests of a closed loop are due when they are sent, so they cannot be late.
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
