//! Observes a loop while it runs: the answers of each second, what the server used, when the
//! machine stood still.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::pauses::PauseWatch;
use crate::process::{Process, Usage};
use crate::seconds::{Part, Second, Seconds};
use crate::stalls::Span;

/// What is observed beside the answers.
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    /// The server's process, if it runs on this machine.
    pub process: Option<Process>,
    /// Cores whose pauses are noted.
    pub cores: Vec<usize>,
}

/// What was observed.
#[derive(Debug, Default)]
pub struct Observations {
    /// Each second.
    pub seconds: Vec<Second>,
    /// Periods in which cores stood still.
    pub pauses: Vec<Span>,
    /// What the server used at the start.
    pub before: Usage,
    /// What it used at the end.
    pub after: Usage,
    /// The time between the two.
    pub between: Duration,
}

/// What the server used at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    usage: Usage,
    at: Instant,
}

impl Monitor {
    /// Observes until all load threads have dropped their senders of `parts`.
    #[must_use]
    pub fn observe(&self, clock: Clock, parts: &Receiver<Part>) -> Observations {
        let pauses = PauseWatch::start(&self.cores, clock);
        std::thread::sleep(clock.until_start());
        let first = self.sample();
        let mut seconds = Seconds::default();
        let mut last = first;
        let mut second = 0;
        loop {
            let due = first.at + Duration::from_secs(u64::from(second) + 1);
            match parts.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(part) => seconds.add(part),
                Err(RecvTimeoutError::Timeout) => {
                    let now = self.sample();
                    if self.process.is_some() {
                        note(seconds.row(second), &last, &now);
                    }
                    last = now;
                    second += 1;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let end = self.sample();
        let between = end.at.saturating_duration_since(first.at);
        let pauses = pauses.stop();
        for pause in &pauses {
            let second = u32::try_from(pause.from_ns / 1_000_000_000).unwrap_or(u32::MAX);
            if second <= u32::try_from(between.as_secs()).unwrap_or(u32::MAX) {
                seconds.row(second).paused_ms += pause.length_ns() as f64 / 1e6;
            }
        }
        Observations {
            seconds: seconds.finish(),
            pauses,
            before: first.usage,
            after: end.usage,
            between,
        }
    }

    fn sample(&self) -> Sample {
        let usage = self.process.as_ref().map(Process::usage);
        Sample {
            usage: usage.unwrap_or_default(),
            at: Instant::now(),
        }
    }
}

/// Adds to a row what the server used between two samples.
fn note(row: &mut Second, before: &Sample, now: &Sample) {
    let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
    if let (Some(from), Some(to)) = (before.usage.cpu, now.usage.cpu)
        && seconds > 0.0
    {
        row.server_cores = Some(to.saturating_sub(from).as_secs_f64() / seconds);
    }
    row.server_rss_bytes = now.usage.rss_bytes;
    row.server_descriptors = now.usage.descriptors;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seconds::SecondMeter;

    #[test]
    fn a_watch_lasts_as_long_as_the_threads() {
        let monitor = Monitor {
            process: Some(Process::new(std::process::id())),
            cores: vec![0],
        };
        let (to, from) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut meter = SecondMeter::new(to);
            std::thread::sleep(Duration::from_millis(1_200));
            meter.answered(5, 1_000_000);
            meter.finish();
        });
        let seen = monitor.observe(Clock::from(Instant::now()), &from);
        thread.join().unwrap();
        let first = &seen.seconds[0];
        assert_eq!((first.at_s, first.answers), (0, 1));
        assert!(first.server_rss_bytes.unwrap() > 0 && first.server_cores.is_some());
        assert!(seen.between >= Duration::from_millis(1_200) && seen.after.cpu.is_some());
    }
}
