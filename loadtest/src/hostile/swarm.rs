//! Plays all hostile clients of a round, on one thread.
//!
//! Guarantees: a client acts at the times that its script says or later, never earlier; the work of
//! the thread is bounded by the numbers of `attack.rs` and the paces of the scripts. New clients
//! that the thread is too late for are skipped and counted.

use std::collections::BinaryHeap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::attack::Attack;
use super::client::{Client, End, Heard, Next};
use super::compose::{Composer, Prey};
use super::tally::Tally;
use crate::affinity::pin_current_thread;
use crate::error::LoadError;
use crate::generator::thread_cpu;
use crate::random::Random;
use crate::tls::Tls;

/// The longest sleep. Then the thread checks whether it should stop, and which clients must leave.
const SLEEP: Duration = Duration::from_millis(20);
const EVENTS: usize = 256;
const BUFFER: usize = 64 << 10;
/// New clients of one kind that are begun at once. More are skipped.
const BURST: f64 = 20.0;

/// Which hostile clients there are.
#[derive(Clone, Debug)]
pub struct SwarmOptions {
    /// The server.
    pub server: SocketAddr,
    /// How it speaks TLS, if it does.
    pub tls: Option<Tls>,
    /// What they know of it.
    pub prey: Prey,
    /// Their kinds.
    pub attacks: Vec<Attack>,
    /// A factor for the numbers of `attack.rs`.
    pub intensity: f64,
    /// The cores of the thread; empty = any.
    pub cores: Vec<usize>,
}

/// A thread that plays hostile clients until it is stopped.
#[derive(Debug)]
pub struct Swarm {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Tally>>,
}

impl Swarm {
    /// Starts the clients of a round. Their scripts follow from `seed` and `round`.
    #[must_use]
    pub fn start(options: SwarmOptions, seed: u64, round: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ordered = Arc::clone(&stop);
        let random = Random::new(seed, 1_000 + round);
        let thread = std::thread::spawn(move || {
            if !options.cores.is_empty() {
                pin_current_thread(&options.cores)?;
            }
            Player::new(&options, random)?.play(&ordered)
        });
        Self { stop, thread }
    }

    /// Ends all clients. Returns what became of them.
    ///
    /// # Errors
    /// When the thread could not wait for events, or panicked.
    pub fn stop(self) -> Result<Tally, LoadError> {
        self.stop.store(true, Ordering::Relaxed);
        let played = self.thread.join().map_err(|_| LoadError::Panicked)?;
        played.map_err(LoadError::io("playing hostile clients"))
    }
}

/// When a client acts next. The earliest is the greatest.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: std::cmp::Reverse<Instant>,
    place: Place,
}

/// The place of a client, and how many clients have had it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    index: u32,
    generation: u32,
}

/// The arrivals of one kind.
#[derive(Debug)]
struct Arrivals {
    attack: Attack,
    per_second: f64,
    most: usize,
    open: usize,
    next: Instant,
}

struct Player {
    server: SocketAddr,
    tls: Option<Tls>,
    composer: Composer,
    random: Random,
    poll: OwnedFd,
    arrivals: Vec<Arrivals>,
    clients: Vec<(u32, Option<Client>)>,
    free: Vec<u32>,
    due: BinaryHeap<Due>,
    tally: Tally,
}

impl Player {
    fn new(options: &SwarmOptions, mut random: Random) -> io::Result<Self> {
        let now = Instant::now();
        let arrivals = options.attacks.iter().map(|attack| {
            let numbers = attack.numbers();
            Arrivals {
                attack: *attack,
                per_second: numbers.per_second * options.intensity,
                most: scaled(numbers.most, options.intensity),
                open: 0,
                next: now,
            }
        });
        Ok(Self {
            server: options.server,
            tls: options.tls.clone(),
            arrivals: arrivals.collect(),
            composer: Composer::new(options.prey.clone(), Random::new(random.next(), 0)),
            random,
            poll: epoll::create(CreateFlags::CLOEXEC)?,
            clients: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            tally: Tally::new(&options.attacks),
        })
    }

    fn play(mut self, stop: &AtomicBool) -> io::Result<Tally> {
        let (began, cpu) = (Instant::now(), thread_cpu());
        let mut buffer = vec![0; BUFFER];
        let mut events = Vec::with_capacity(EVENTS);
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            self.begin_clients(now);
            self.act(now);
            let sleep = self.until_next(Instant::now());
            let timeout = Timespec {
                tv_sec: 0,
                tv_nsec: i64::from(sleep.subsec_nanos()),
            };
            events.clear();
            let spare = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.poll, spare, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            for event in &events {
                self.handle(event.data.u64(), event.flags, &mut buffer);
            }
        }
        for (_, client) in &mut self.clients {
            if let Some(client) = client.take() {
                self.tally.ended(&client, End::GaveUp);
            }
        }
        self.tally.cpu = thread_cpu().saturating_sub(cpu);
        self.tally.ran = began.elapsed();
        Ok(self.tally)
    }

    fn until_next(&self, now: Instant) -> Duration {
        let due = self.due.peek().map(|due| due.at.0);
        let arrival = self.arrivals.iter().map(|arrivals| arrivals.next).min();
        let next = due.into_iter().chain(arrival).min();
        next.map_or(SLEEP, |at| at.saturating_duration_since(now).min(SLEEP))
    }

    /// Begins the clients that are due.
    fn begin_clients(&mut self, now: Instant) {
        for index in 0..self.arrivals.len() {
            let late = BURST / self.arrivals.get(index).map_or(1.0, |kind| kind.per_second);
            let late = Duration::from_secs_f64(late);
            while let Some(kind) = self.arrivals.get_mut(index)
                && kind.next <= now
            {
                // A Poisson process: the clients do not know of each other.
                let pause = -self.random.unit().ln() / kind.per_second;
                kind.next += Duration::from_secs_f64(pause);
                if kind.open >= kind.most || kind.next + late < now {
                    self.tally.skipped += 1;
                    continue;
                }
                kind.open += 1;
                let (attack, open) = (kind.attack, kind.open);
                if let Some(row) = self.tally.row(attack) {
                    row.connections += 1;
                    row.most = row.most.max(open);
                }
                self.begin(attack, now);
            }
        }
    }

    fn begin(&mut self, attack: Attack, now: Instant) {
        let script = self.composer.compose(attack);
        let begun = Client::connect(script, self.server, self.tls.as_ref(), now).ok();
        let Some(client) = begun else {
            if let Some(row) = self.tally.row(attack) {
                row.not_connected += 1;
            }
            self.closed(attack);
            return;
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.clients.push((0, None));
            u32::try_from(self.clients.len() - 1).unwrap_or(u32::MAX)
        });
        let Some((generation, place)) = self.clients.get_mut(as_index(index)) else {
            return;
        };
        *generation = generation.wrapping_add(1);
        let at = Place {
            index,
            generation: *generation,
        };
        let client = place.insert(client);
        // If the system cannot watch the socket, the client leaves when its time is over.
        let _ = epoll::add(&self.poll, client.socket(), at.data(), EventFlags::OUT);
        self.due.push(at.due(client.leaves));
    }

    fn closed(&mut self, attack: Attack) {
        let kind = self.arrivals.iter_mut().find(|kind| kind.attack == attack);
        if let Some(kind) = kind {
            kind.open = kind.open.saturating_sub(1);
        }
    }

    fn client(&mut self, at: Place) -> Option<&mut Client> {
        let (generation, client) = self.clients.get_mut(as_index(at.index))?;
        client.as_mut().filter(|_| *generation == at.generation)
    }

    /// Has every client act that is due.
    fn act(&mut self, now: Instant) {
        while let Some(due) = self.due.peek()
            && due.at.0 <= now
        {
            let at = due.place;
            self.due.pop();
            let Some(client) = self.client(at) else {
                continue;
            };
            if client.leaves <= now {
                let end = if client.is_connecting() {
                    End::NotConnected
                } else {
                    End::GaveUp
                };
                self.finish(at, end);
            } else {
                self.step(at, now);
            }
        }
    }

    fn step(&mut self, at: Place, now: Instant) {
        match self.client(at).map(Client::step) {
            Some(Next::After(pause)) => self.due.push(at.due(now + pause)),
            Some(Next::Ends) => self.finish(at, End::ByScript),
            Some(Next::Waits) | None => {}
        }
    }

    fn finish(&mut self, at: Place, end: End) {
        let Some((_, place)) = self.clients.get_mut(as_index(at.index)) else {
            return;
        };
        if let Some(client) = place.take() {
            self.tally.ended(&client, end);
            self.closed(client.script.attack);
            self.free.push(at.index);
        }
    }

    fn handle(&mut self, data: u64, flags: EventFlags, buffer: &mut [u8]) {
        let at = Place::from(data);
        let Some(client) = self.client(at) else {
            return;
        };
        if client.is_connecting() {
            if !client.finish_connecting() {
                return self.finish(at, End::NotConnected);
            }
            self.watch(at);
            self.step(at, Instant::now());
            return;
        }
        match client.receive(flags, buffer) {
            Heard::Nothing => {}
            Heard::Opened => {
                self.watch(at);
                self.step(at, Instant::now());
            }
            Heard::Ended(end) => self.finish(at, end),
        }
    }

    /// Waits for the events that the client needs now.
    fn watch(&self, at: Place) {
        if let Some((_, Some(client))) = self.clients.get(as_index(at.index)) {
            let _ = epoll::modify(&self.poll, client.socket(), at.data(), client.events());
        }
    }
}

impl Place {
    fn data(self) -> EventData {
        EventData::new_u64(u64::from(self.generation) << 32 | u64::from(self.index))
    }

    fn from(data: u64) -> Self {
        Self {
            index: u32::try_from(data & u64::from(u32::MAX)).unwrap_or(u32::MAX),
            generation: u32::try_from(data >> 32).unwrap_or(u32::MAX),
        }
    }

    fn due(self, at: Instant) -> Due {
        Due {
            at: std::cmp::Reverse(at),
            place: self,
        }
    }
}

fn as_index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small positive number"
)]
fn scaled(most: usize, intensity: f64) -> usize {
    ((most as f64 * intensity).ceil() as usize).max(1)
}

/// The most connections that hostile clients of these kinds have at a time.
#[must_use]
pub fn connections(attacks: &[Attack], intensity: f64) -> usize {
    let most = |attack: &Attack| scaled(attack.numbers().most, intensity);
    attacks.iter().map(most).sum()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn clients_are_played_and_counted() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // Fails when the client has gone.
                let _ = stream.unwrap().write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            }
        });
        let attacks = vec![Attack::CrossSite, Attack::HangUp, Attack::Silent];
        let options = SwarmOptions {
            server,
            tls: None,
            prey: Prey::default(),
            attacks: attacks.clone(),
            intensity: 1.0,
            cores: Vec::new(),
        };
        let swarm = Swarm::start(options, 1, 0);
        std::thread::sleep(Duration::from_millis(500));
        let mut tally = swarm.stop().unwrap();
        for attack in attacks {
            let row = tally.row(attack).unwrap().clone();
            let ended = row.not_connected + row.closed_by_server + row.reset;
            assert_eq!(
                row.connections,
                ended + row.by_script + row.gave_up,
                "{row:?}"
            );
            assert!(row.connections > 0, "{row:?}");
        }
        assert!(tally.row(Attack::CrossSite).unwrap().breaches > 0);
        assert!(
            tally.breaches[0].contains("succeeded"),
            "{:?}",
            tally.breaches
        );
        assert!(tally.ran >= Duration::from_millis(500));
    }
}
