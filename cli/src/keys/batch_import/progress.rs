//! How far a batch import is, on a terminal.

use super::super::console::Console;
use super::Outcome;

const WIDTH: usize = 30;

/// Counts items.
pub(super) struct Progress {
    total: usize,
    done: usize,
    failed: usize,
}

impl Progress {
    /// `skipped` of `total` items are done already.
    pub(super) fn new(total: usize, skipped: usize) -> Self {
        Self {
            total,
            done: skipped,
            failed: 0,
        }
    }

    /// These have been sent.
    pub(super) fn advance(&mut self, console: &mut Console<'_>, sent: &[Outcome]) {
        self.done += sent.len();
        self.failed += sent.iter().filter(|outcome| !outcome.is_done()).count();
        if console.is_watched {
            // Nobody is kept from importing by a terminal that is gone.
            let _ = write!(console.remarks, "\r{}", self.bar());
            let _ = console.remarks.flush();
        }
    }

    /// Nothing more will come.
    pub(super) fn finish(&self, console: &mut Console<'_>) {
        if console.is_watched {
            let _ = writeln!(console.remarks, "\r{}", self.bar());
        }
    }

    fn bar(&self) -> String {
        let filled = WIDTH * self.done / self.total.max(1);
        format!(
            "[{}{}] {} of {}, {} failed",
            "#".repeat(filled),
            "-".repeat(WIDTH.saturating_sub(filled)),
            self.done,
            self.total,
            self.failed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills() {
        let bar = |done| {
            Progress {
                total: 90,
                done,
                failed: 1,
            }
            .bar()
        };
        assert_eq!(bar(0), "[------------------------------] 0 of 90, 1 failed");
        assert_eq!(
            bar(45),
            "[###############---------------] 45 of 90, 1 failed"
        );
        assert_eq!(
            bar(90),
            "[##############################] 90 of 90, 1 failed"
        );
    }
}
