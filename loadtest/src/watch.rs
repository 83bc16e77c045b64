//! Watches a loop while it runs: what each second brought, what the server used, when the machine stood still.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::pauses::PauseWatch;
use crate::process::{Process, Usage};
use crate::seconds::{Part, Second, Seconds};
use crate::stalls::Span;

/// What is watched beside the answers.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// The server's process, if it runs on this machine.
    pub process: Option<Process>,
    /// Cores on which the machine's pauses are noted.
    pub cores: Vec<usize>,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Each second.
    pub seconds: Vec<Second>,
    /// When cores stood still.
    pub pauses: Vec<Span>,
    /// What the server used at the start.
    pub before: Usage,
    /// What it used at the end.
    pub after: Usage,
    /// The time between the two.
    pub between: Duration,
}

impl Watched {
    /// Watches until all threads have ended their loops, which they show by hanging up.
    #[must_use]
    pub fn until_the_end(&self, clock: Clock, parts: &Receiver<Part>) -> Seen {
        let pauses = PauseWatch::start(&self.cores, clock);
        std::thread::sleep(clock.until_start());
        let (before, began) = (self.usage(), Instant::now());
        let mut seconds = Seconds::default();
        let mut last = (before, began);
        let mut second = 0;
        loop {
            let due = began + Duration::from_secs(u64::from(second) + 1);
            match parts.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(part) => seconds.add(part),
                Err(RecvTimeoutError::Timeout) => {
                    let now = (self.usage(), Instant::now());
                    if self.process.is_some() {
                        note(seconds.row(second), last, now);
                    }
                    last = now;
                    second += 1;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let (after, between) = (self.usage(), began.elapsed());
        let pauses = pauses.stop();
        for pause in &pauses {
            let second = u32::try_from(pause.from_ns / 1_000_000_000).unwrap_or(u32::MAX);
            if second <= u32::try_from(between.as_secs()).unwrap_or(u32::MAX) {
                seconds.row(second).paused_ms += pause.length_ns() as f64 / 1e6;
            }
        }
        Seen {
            seconds: seconds.finish(),
            pauses,
            before,
            after,
            between,
        }
    }

    fn usage(&self) -> Usage {
        self.process
            .as_ref()
            .map(Process::usage)
            .unwrap_or_default()
    }
}

fn note(row: &mut Second, before: (Usage, Instant), now: (Usage, Instant)) {
    let seconds = now.1.saturating_duration_since(before.1).as_secs_f64();
    if let (Some(from), Some(to)) = (before.0.cpu, now.0.cpu)
        && seconds > 0.0
    {
        row.server_cores = Some(to.saturating_sub(from).as_secs_f64() / seconds);
    }
    row.server_rss_bytes = now.0.rss_bytes;
    row.server_descriptors = now.0.descriptors;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seconds::SecondMeter;

    #[test]
    fn a_watch_lasts_as_long_as_the_threads() {
        let watched = Watched {
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
        let seen = watched.until_the_end(Clock::from(Instant::now()), &from);
        thread.join().unwrap();
        let first = &seen.seconds[0];
        assert_eq!((first.at_s, first.answers), (0, 1));
        assert!(first.server_rss_bytes.unwrap() > 0 && first.server_cores.is_some());
        assert!(seen.between >= Duration::from_millis(1_200) && seen.after.cpu.is_some());
    }
}
