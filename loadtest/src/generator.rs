//! Load threads: each with its own core, ring and connections, one task per connection.
//!
//! In a closed loop every connection sends its next request as soon as it has its answer, which finds the highest rate. In
//! an open loop requests are due at times of their own (`pace.rs`), which shows the latency at a rate.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use monoio::time::{TimeDriver, sleep};
use monoio::{FusionRuntime, IoUringDriver, LegacyDriver, RuntimeBuilder};
use rustix::time::{ClockId, clock_gettime};

use crate::affinity::pin_current_thread;
use crate::client::Connection;
use crate::error::LoadError;
use crate::measure::{LoadCost, Measurement};
use crate::mix::{Random, Request, Shares, Workload};
use crate::pace::{Pace, PaceReport};

/// Time for all threads to connect before the first request is due.
const LEAD: Duration = Duration::from_millis(300);
/// How long to wait for the last answers after the end.
const GIVE_UP: Duration = Duration::from_secs(5);
/// How often a sleeping thread looks whether it should stop.
const LOOK_AROUND: Duration = Duration::from_millis(20);
/// Before a connection that failed tries again in a closed loop.
const RETRY: Duration = Duration::from_millis(10);

/// What is sent where, and by whom.
#[derive(Clone, Debug)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// The requests.
    pub workload: Arc<Workload>,
    /// How often each class is chosen.
    pub shares: Shares,
    /// Connections over all threads; at least 1.
    pub connections: usize,
    /// One thread for each, as far as there are connections.
    pub cores: Vec<usize>,
    /// Choice of credentials and send times.
    pub seed: u64,
    /// Ends a loop early.
    pub interrupted: Arc<AtomicBool>,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loop {
    /// Each connection sends when it has its answer.
    Closed,
    /// At this many requests per second, over all threads.
    Open(f64),
}

/// A thread's part of a loop.
#[derive(Debug)]
struct Part {
    load: Load,
    core: Option<usize>,
    connections: usize,
    /// Numbers the streams of random numbers.
    index: u64,
    start: Instant,
    duration: Duration,
}

impl Load {
    /// How many threads send.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.cores.len().clamp(1, self.connections.max(1))
    }

    /// Runs a loop for `duration`. Returns what it saw, and the differences that `sample` shows over it: its values before
    /// the first request and after the last answer, with the time between the two.
    ///
    /// # Errors
    /// When a thread cannot be set up, and when the run is interrupted.
    pub fn run<S>(
        &self,
        kind: Loop,
        duration: Duration,
        sample: impl Fn() -> S,
    ) -> Result<Sampled<S>, LoadError> {
        let threads = self.threads();
        let start = Instant::now() + LEAD;
        let running: Vec<_> = (0..threads)
            .map(|index| {
                // The first threads take one connection more when they do not divide evenly.
                let connections =
                    self.connections / threads + usize::from(index < self.connections % threads);
                let part = Part {
                    load: self.clone(),
                    core: self.cores.get(index).copied(),
                    connections,
                    index: index as u64,
                    start,
                    duration,
                };
                std::thread::spawn(move || part.run(kind, threads))
            })
            .collect();
        std::thread::sleep(start.saturating_duration_since(Instant::now()));
        let (before, began) = (sample(), Instant::now());
        let mut all = Measurement::default();
        for thread in running {
            all.add(&thread.join().map_err(|_| LoadError::Panicked)??);
        }
        let (after, between) = (sample(), began.elapsed());
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(LoadError::Interrupted);
        }
        Ok(Sampled {
            measurement: all,
            before,
            after,
            between,
        })
    }
}

/// A measurement with two samples of something else around it.
#[derive(Clone, Debug)]
pub struct Sampled<S> {
    /// What the loop saw.
    pub measurement: Measurement,
    /// The sample before the first request.
    pub before: S,
    /// The sample after the last answer.
    pub after: S,
    /// The time between the samples.
    pub between: Duration,
}

type LoadRuntime = FusionRuntime<TimeDriver<IoUringDriver>, TimeDriver<LegacyDriver>>;

/// A runtime for the calling thread: `io_uring` where the kernel allows it, else epoll.
///
/// The ring runs completions when this thread enters the kernel and never interrupts it, which a thread that never
/// sleeps wants. They run on every entry, also on those that only submit, which `DEFER_TASKRUN` would not do.
fn runtime() -> io::Result<LoadRuntime> {
    let mut ring = io_uring::IoUring::builder();
    ring.setup_coop_taskrun().setup_single_issuer();
    if let Ok(runtime) = RuntimeBuilder::<IoUringDriver>::new()
        .uring_builder(ring)
        .enable_timer()
        .build()
    {
        return Ok(runtime.into());
    }
    Ok(RuntimeBuilder::<LegacyDriver>::new()
        .enable_timer()
        .build()?
        .into())
}

impl Part {
    fn run(self, kind: Loop, threads: usize) -> Result<Measurement, LoadError> {
        if let Some(core) = self.core {
            pin_current_thread(&[core]).map_err(LoadError::io(format!(
                "pinning a load thread to core {core}"
            )))?;
        }
        let mut runtime = runtime().map_err(LoadError::io("starting a load thread"))?;
        Ok(match kind {
            Loop::Closed => runtime.block_on(self.closed()),
            Loop::Open(rate) => runtime.block_on(self.open(rate / threads as f64)),
        })
    }

    fn interrupted(&self) -> bool {
        self.load.interrupted.load(Ordering::Relaxed)
    }

    async fn closed(self) -> Measurement {
        let (start, end) = (self.start, self.start + self.duration);
        let shared = Rc::new(Shared::new(self));
        for seat in 0..shared.part.connections {
            monoio::spawn(Rc::clone(&shared).send_closed(seat));
        }
        sleep_until(start).await;
        let (cpu_before, delay_before) = (thread_cpu(), run_delay());
        while Instant::now() < end && !shared.part.interrupted() {
            sleep(LOOK_AROUND.min(end.saturating_duration_since(Instant::now()))).await;
        }
        let cpu = thread_cpu().saturating_sub(cpu_before);
        let robbed = run_delay().saturating_sub(delay_before);
        let elapsed = start.elapsed();
        shared.finished.set(true);
        let deadline = Instant::now() + GIVE_UP;
        while shared.awaiting.get() > 0 && Instant::now() < deadline {
            sleep(Duration::from_millis(1)).await;
        }
        shared.conclude(
            shared.awaiting.get(),
            elapsed,
            LoadCost {
                busy: cpu,
                available: elapsed,
                robbed,
            },
        )
    }

    async fn open(self, rate: f64) -> Measurement {
        let (connections, duration) = (self.connections, self.duration);
        let random = Random::new(self.load.seed, self.index << 32);
        let pace = Rc::new(Pace::new(self.start, rate, duration, connections, random));
        let shared = Rc::new(Shared::new(self));
        for seat in 0..connections {
            monoio::spawn(Rc::clone(&shared).send_open(Rc::clone(&pace), seat));
        }
        // Connections are made, and the ring is warm, before the pacemaker takes the core for itself.
        sleep_until(shared.part.start).await;
        let delay_before = run_delay();
        let report = pace.keep(GIVE_UP, || shared.part.interrupted()).await;
        let robbed = run_delay().saturating_sub(delay_before);
        let PaceReport {
            lateness,
            busy,
            available,
            unanswered,
            last_answer,
        } = report;
        let cost = LoadCost {
            busy,
            available,
            robbed,
        };
        let mut measurement = shared.conclude(unanswered, duration.max(last_answer), cost);
        measurement.lateness = lateness;
        measurement
    }
}

/// What the connections of one thread share.
#[derive(Debug)]
struct Shared {
    part: Part,
    measurement: RefCell<Measurement>,
    /// Requests sent and not yet answered.
    awaiting: Cell<usize>,
    finished: Cell<bool>,
}

impl Shared {
    fn new(part: Part) -> Self {
        Self {
            part,
            measurement: RefCell::new(Measurement::default()),
            awaiting: Cell::new(0),
            finished: Cell::new(false),
        }
    }

    fn random(&self, seat: usize) -> Random {
        Random::new(
            self.part.load.seed,
            (self.part.index << 32) + seat as u64 + 1,
        )
    }

    async fn connect(&self, connection: &mut Connection) {
        if let Err(error) = connection.connect().await {
            self.measurement
                .borrow_mut()
                .complain(|| format!("connecting: {error}"));
        }
    }

    async fn send_closed(self: Rc<Self>, seat: usize) {
        let workload = Arc::clone(&self.part.load.workload);
        let mut random = self.random(seat);
        let mut connection = Connection::new(self.part.load.address);
        self.connect(&mut connection).await;
        sleep_until(self.part.start).await;
        while !self.finished.get() {
            let Some(request) = workload.choose(&self.part.load.shares, &mut random) else {
                return;
            };
            let sent = Instant::now();
            match self.exchange(&mut connection, &request).await {
                // An answer after the end is not part of the rate.
                Some(_) if self.finished.get() => {}
                Some(right) => {
                    self.measurement
                        .borrow_mut()
                        .answered(request.class, sent.elapsed(), right);
                }
                None => sleep(RETRY).await,
            }
        }
    }

    async fn send_open(self: Rc<Self>, pace: Rc<Pace>, seat: usize) {
        let workload = Arc::clone(&self.part.load.workload);
        let mut random = self.random(seat);
        let mut connection = Connection::new(self.part.load.address);
        self.connect(&mut connection).await;
        loop {
            let due = pace.next(seat).await;
            let Some(request) = workload.choose(&self.part.load.shares, &mut random) else {
                return;
            };
            let right = self.exchange(&mut connection, &request).await;
            let now = pace.now();
            pace.answered(now);
            if let Some(right) = right {
                self.measurement.borrow_mut().answered(
                    request.class,
                    now.saturating_sub(due),
                    right,
                );
            }
        }
    }

    /// Sends a request and judges its answer; `None` when there was none to judge, which is counted here.
    async fn exchange(&self, connection: &mut Connection, request: &Request<'_>) -> Option<bool> {
        self.awaiting.set(self.awaiting.get() + 1);
        let answer = connection.exchange(request.bytes).await;
        self.awaiting.set(self.awaiting.get() - 1);
        let mut measurement = self.measurement.borrow_mut();
        match answer {
            Ok(answer) if answer.status == 200 => {
                let right = request.answered_rightly_by(answer.body);
                if !right {
                    measurement.complain(|| {
                        let body = String::from_utf8_lossy(answer.body);
                        format!("a {} credential was answered: {body}", request.class.name())
                    });
                }
                Some(right)
            }
            Ok(answer) => {
                measurement.failed(request.class);
                measurement.complain(|| {
                    format!(
                        "status {}: {}",
                        answer.status,
                        String::from_utf8_lossy(answer.body)
                    )
                });
                None
            }
            Err(error) => {
                measurement.failed(request.class);
                measurement.complain(|| error.to_string());
                None
            }
        }
    }

    /// The thread's measurement. Requests that were given up count as errors of the class that is sent most.
    fn conclude(&self, unanswered: usize, elapsed: Duration, cost: LoadCost) -> Measurement {
        let mut measurement = self.measurement.take();
        measurement.elapsed = elapsed;
        measurement.cost = cost;
        if unanswered > 0 && !self.part.interrupted() {
            let shares = &self.part.load.shares;
            let class = crate::mix::Class::ALL
                .into_iter()
                .max_by_key(|class| *shares.get(*class));
            for _ in 0..unanswered {
                measurement.failed(class.unwrap_or(crate::mix::Class::Valid));
            }
            measurement.complain(|| {
                format!(
                    "{unanswered} requests had no answer {} s after the end",
                    GIVE_UP.as_secs()
                )
            });
        }
        measurement
    }
}

async fn sleep_until(instant: Instant) {
    sleep(instant.saturating_duration_since(Instant::now())).await;
}

/// The CPU time of the calling thread.
fn thread_cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .unwrap_or_default()
}

/// How long the calling thread has waited for a core so far: the second field of `schedstat`. Zero where the kernel does
/// not count it.
fn run_delay() -> Duration {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = counted.and_then(|text| text.split_ascii_whitespace().nth(1)?.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}
