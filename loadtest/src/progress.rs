//! Shows on standard error how far the making of keys is: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::numbers::thousands;

const ON_TERMINAL: Duration = Duration::from_millis(200);
const ELSEWHERE: Duration = Duration::from_secs(5);
const BAR: usize = 24;

/// Counts what is done of a whole.
#[derive(Debug)]
pub struct Progress {
    doing: &'static str,
    total: u64,
    done: AtomicU64,
    began: Instant,
}

impl Progress {
    /// Does `work` and shows meanwhile how far it is; nothing when it takes less than the first interval.
    pub fn during<T>(doing: &'static str, total: u64, work: impl FnOnce(&Self) -> T) -> T {
        let progress = Self {
            doing,
            total,
            done: AtomicU64::new(0),
            began: Instant::now(),
        };
        let (end, ended) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let shown = &progress;
            scope.spawn(move || shown.show(&ended));
            let result = work(&progress);
            drop(end);
            result
        })
    }

    /// So many more are done.
    pub fn add(&self, count: u64) {
        self.done.fetch_add(count, Ordering::Relaxed);
    }

    fn show(&self, ended: &mpsc::Receiver<()>) {
        let terminal = std::io::stderr().is_terminal();
        let interval = if terminal { ON_TERMINAL } else { ELSEWHERE };
        let mut shown = false;
        while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            let line = self.line(self.began.elapsed());
            // Standard error may be closed; that is no reason to stop.
            let _ = if terminal {
                write!(std::io::stderr(), "\r{line}\x1b[K")
            } else {
                writeln!(std::io::stderr(), "{line}")
            };
            shown = true;
        }
        if shown && terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let done = self.done.load(Ordering::Relaxed);
        let share = (done as f64 / self.total.max(1) as f64).min(1.0);
        let rate = done as f64 / elapsed.as_secs_f64().max(1e-9);
        let left = if done > 0 {
            format!(
                "{:.0} s left",
                (self.total.saturating_sub(done)) as f64 / rate
            )
        } else {
            "waiting".to_owned()
        };
        let full = usize::try_from(done.min(self.total) * BAR as u64 / self.total.max(1));
        let full = full.unwrap_or(BAR);
        format!(
            "{} [{}{}] {:3.0} %  {} of {}, {}/s, {left}",
            self.doing,
            "#".repeat(full),
            ".".repeat(BAR - full.min(BAR)),
            share * 100.0,
            thousands(done as f64),
            thousands(self.total as f64),
            thousands(rate),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_says_how_far_and_how_long() {
        let result = Progress::during("importing keys", 4000, |progress| {
            progress.add(1000);
            progress.line(Duration::from_secs(10))
        });
        assert_eq!(
            result,
            "importing keys [######..................]  25 %  1,000 of 4,000, 100/s, 30 s left"
        );
    }

    #[test]
    fn nothing_done_and_nothing_to_do_divide_by_nothing() {
        for total in [0, 10] {
            Progress::during("x", total, |progress| {
                assert!(progress.line(Duration::ZERO).contains("waiting"));
            });
        }
    }
}
