//! Progress of a long command, drawn on standard error while it runs. Nothing is drawn unless
//! standard error is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use crate::console::Console;

const BAR: &str = "[{bar:30}] {pos} of {len}, {msg} failed";
const COUNTER: &str = "{msg}: {pos} keys";

/// How many of a known number of items are done, as a bar. It stays on the screen when it is
/// dropped.
pub(crate) struct Bar {
    drawn: ProgressBar,
    failed: usize,
}

impl Bar {
    /// Starts a bar of `total` items, of which `done` were done before.
    pub(crate) fn new(console: &Console<'_>, total: usize, done: usize) -> Self {
        Self::on(target(console), total, done)
    }

    fn on(target: ProgressDrawTarget, total: usize, done: usize) -> Self {
        let drawn = ProgressBar::with_draw_target(Some(total as u64), target)
            .with_style(style(BAR).progress_chars("#-"))
            .with_position(done as u64)
            .with_message("0")
            .with_finish(ProgressFinish::Abandon);
        Self { drawn, failed: 0 }
    }

    /// Counts `done` more items, of which `failed` have failed.
    pub(crate) fn advance(&mut self, done: usize, failed: usize) {
        self.failed += failed;
        self.drawn.set_message(self.failed.to_string());
        self.drawn.inc(done as u64);
    }
}

/// How many keys are done, of a number that is not known before. It stays on the screen when it is
/// dropped.
pub(crate) struct Counter(ProgressBar);

impl Counter {
    /// Starts a counter; `verb` says what is done to the keys.
    pub(crate) fn new(console: &Console<'_>, verb: &'static str) -> Self {
        let drawn = ProgressBar::with_draw_target(None, target(console))
            .with_style(style(COUNTER))
            .with_message(verb)
            .with_finish(ProgressFinish::Abandon);
        Self(drawn)
    }

    /// Shows that `keys` keys are done.
    pub(crate) fn set(&self, keys: u64) {
        self.0.set_position(keys);
    }
}

fn target(console: &Console<'_>) -> ProgressDrawTarget {
    if console.draws_progress {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

/// The style of a template. The templates are constants that tests parse.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::*;

    #[test]
    fn the_bar_fills() {
        for (done, shown) in [
            (0, "[------------------------------] 0 of 90, 1 failed"),
            (45, "[###############---------------] 45 of 90, 1 failed"),
            (90, "[##############################] 90 of 90, 1 failed"),
        ] {
            let terminal = InMemoryTerm::new(2, 80);
            let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
            let mut bar = Bar::on(target, 90, 0);
            bar.advance(done, 1);
            drop(bar);
            assert_eq!(terminal.contents(), shown);
        }
    }

    #[test]
    fn the_templates_are_valid() {
        for template in [BAR, COUNTER] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
