//! Shows on standard error how far the making of keys is: a bar on a terminal, plain lines
//! elsewhere.

use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::numbers::thousands;

const ON_TERMINAL: Duration = Duration::from_millis(200);
const ELSEWHERE: Duration = Duration::from_secs(5);
/// The width of the bar in characters.
const BAR: usize = 24;

/// Counts how much of a total is done.
#[derive(Debug)]
pub struct Progress {
    doing: &'static str,
    /// Draws nothing if standard error is no terminal.
    bar: ProgressBar,
}

impl Progress {
    /// Does `work` and shows meanwhile how far it is. Elsewhere than on a terminal, nothing is
    /// shown of work that takes less than 5 s.
    pub fn during<T>(doing: &'static str, total: u64, work: impl FnOnce(&Self) -> T) -> T {
        let progress = Self {
            doing,
            bar: ProgressBar::new(total)
                .with_style(style())
                .with_message(doing),
        };
        if !progress.bar.is_hidden() {
            progress.bar.enable_steady_tick(ON_TERMINAL);
            let result = work(&progress);
            progress.bar.finish_and_clear();
            return result;
        }
        let (end, ended) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let shown = &progress;
            scope.spawn(move || shown.write_lines(&ended));
            let result = work(&progress);
            drop(end);
            result
        })
    }

    /// Counts `count` more as done.
    pub fn add(&self, count: u64) {
        self.bar.inc(count);
    }

    fn write_lines(&self, ended: &mpsc::Receiver<()>) {
        let began = Instant::now();
        while ended.recv_timeout(ELSEWHERE) == Err(RecvTimeoutError::Timeout) {
            // Standard error may be closed. The work goes on.
            let _ = writeln!(std::io::stderr(), "{}", self.line(began.elapsed()));
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let share = (done as f64 / total.max(1) as f64).min(1.0);
        let rate = done as f64 / elapsed.as_secs_f64().max(1e-9);
        let left = if done > 0 {
            format!("{:.0} s left", total.saturating_sub(done) as f64 / rate)
        } else {
            "waiting".to_owned()
        };
        let full = usize::try_from(done.min(total) * BAR as u64 / total.max(1)).unwrap_or(BAR);
        format!(
            "{} [{}{}] {:3.0} %  {} of {}, {}/s, {left}",
            self.doing,
            "#".repeat(full),
            ".".repeat(BAR - full.min(BAR)),
            share * 100.0,
            thousands(done as f64),
            thousands(total as f64),
            thousands(rate),
        )
    }
}

/// The bar on a terminal, in the form of [`Progress::line`].
fn style() -> ProgressStyle {
    let template = format!(
        "{{msg}} [{{bar:{BAR}}}] {{percent:>3}} %  {{human_pos}} of {{human_len}}, {{rate}}/s, {{eta}} left"
    );
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // The bar is redrawn soon if a number is missing once.
        let _ = write!(out, "{}", thousands(state.per_sec()));
    };
    ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", rate)
        .progress_chars("#.")
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
