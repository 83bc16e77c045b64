//! The load threads. Each has its own core and connections, and all start at the same moment.
//!
//! In a closed loop, every connection sends its next request as soon as it has its answer. That
//! finds the highest rate. In an open loop, requests are due at random times that do not depend on
//! answers (`schedule.rs`). That shows the latency at a given rate.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::affinity::pin_current_thread;
use crate::clock::Clock;
use crate::composer::{Composer, Workload};
use crate::connection_set::ConnectionOptions;
use crate::endpoint::Endpoint;
use crate::error::LoadError;
use crate::measure::{LoadCost, Measurement};
use crate::monitor::{Monitor, Observations};
use crate::random::Random;
use crate::schedule::Schedule;
use crate::seconds::SecondMeter;
use crate::sender::{Sender, SenderOptions, Waiting};

/// Time for all threads to connect before the first request is due.
const LEAD: Duration = Duration::from_millis(300);

/// The requests, the server, and the threads.
#[derive(Clone, Debug)]
pub struct Load {
    /// The server.
    pub endpoint: Endpoint,
    /// The requests.
    pub workload: Workload,
    /// Connections over all threads; at least 1.
    pub connections: usize,
    /// Requests on a connection at a time; at least 1.
    pub depth: usize,
    /// Threads. At most one runs for each connection.
    pub threads: usize,
    /// The threads' cores, in turn; empty = not pinned.
    pub cores: Vec<usize>,
    /// How a thread waits.
    pub waiting: Waiting,
    /// Connections closed and made again per second, over all threads.
    pub churn: f64,
    /// The seed of credentials and send times.
    pub seed: u64,
    /// What is observed beside the answers.
    pub monitor: Monitor,
    /// Ends a loop early.
    pub interrupted: Arc<AtomicBool>,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loop {
    /// As soon as a connection has its answer.
    Closed,
    /// At this many requests per second, over all threads.
    Open(f64),
}

impl Load {
    /// The number of threads that send.
    #[must_use]
    pub fn running_threads(&self) -> usize {
        self.threads.clamp(1, self.connections.max(1))
    }

    /// Runs a loop for `duration`, or until it is interrupted.
    ///
    /// # Errors
    /// When a thread cannot be set up.
    pub fn run(
        &self,
        kind: Loop,
        duration: Duration,
    ) -> Result<(Measurement, Observations), LoadError> {
        let threads = self.running_threads();
        let clock = Clock::from(Instant::now() + LEAD);
        let (to, parts) = mpsc::channel();
        let running: Vec<_> = (0..threads)
            .map(|index| {
                let (load, meter) = (self.clone(), SecondMeter::new(to.clone()));
                std::thread::spawn(move || load.run_part(index, kind, duration, clock, meter))
            })
            .collect();
        drop(to);
        let seen = self.monitor.observe(clock, &parts);
        let mut all = Measurement::default();
        for thread in running {
            all.add(&thread.join().map_err(|_| LoadError::Panicked)??);
        }
        Ok((all, seen))
    }

    fn run_part(
        &self,
        index: usize,
        kind: Loop,
        duration: Duration,
        clock: Clock,
        meter: SecondMeter,
    ) -> Result<Measurement, LoadError> {
        let threads = self.running_threads();
        if let Some(core) = self.cores.iter().cycle().nth(index) {
            pin_current_thread(&[*core]).map_err(LoadError::io(format!(
                "pinning a load thread to core {core}"
            )))?;
        }
        // By default the kernel may wake a sleeping thread up to 50 µs late. If this is not
        // permitted, it stays so.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let stream = index as u64 * 2;
        let schedule = match kind {
            Loop::Closed => Schedule::closed(duration),
            Loop::Open(rate) => Schedule::open(
                rate / threads as f64,
                duration,
                Random::new(self.seed, stream),
            ),
        };
        let options = SenderOptions {
            connections: ConnectionOptions {
                endpoint: self.endpoint.clone(),
                // If the connections do not divide evenly, the first threads have one more.
                count: self.connections / threads + usize::from(index < self.connections % threads),
                depth: self.depth,
                churn: self.churn / threads as f64,
            },
            waiting: self.waiting,
            interrupted: Arc::clone(&self.interrupted),
        };
        let composer = Composer::new(self.workload.clone(), Random::new(self.seed, stream + 1));
        let sender = Sender::new(options, composer, clock, schedule, meter)
            .map_err(LoadError::io("starting a load thread"))?;
        let (cpu_before, delay_before) = (thread_cpu(), run_delay());
        let sent = sender.run().map_err(LoadError::io("waiting for answers"))?;
        let available = Duration::from_nanos(sent.ran_ns);
        let mut measurement = sent.measurement;
        measurement.cost = LoadCost {
            busy: match self.waiting {
                Waiting::Spin => available.saturating_sub(Duration::from_nanos(sent.idle_ns)),
                Waiting::Sleep => thread_cpu().saturating_sub(cpu_before).min(available),
            },
            available,
            robbed: run_delay().saturating_sub(delay_before),
        };
        Ok(measurement)
    }
}

/// The CPU time of the calling thread.
#[must_use]
pub fn thread_cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .unwrap_or_default()
}

/// How long the calling thread has waited for a core so far: the second field of `schedstat`. Zero
/// if the kernel does not count it.
fn run_delay() -> Duration {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = counted.and_then(|text| text.split_ascii_whitespace().nth(1)?.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}
