//! SIGTERM and SIGINT: the first asks the server to stop, the second insists.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Registered;

/// What a shell reports for a process that SIGINT ended.
const INTERRUPTED: i32 = 130;
/// A signal that follows the first within this time is the same wish: supervisors send one to the process and one to
/// its group.
const SAME_WISH: Duration = Duration::from_secs(1);

/// The signals, caught from now on.
pub(crate) struct Signals(Registered);

/// Whether a signal has come.
pub(crate) struct Stopping(Arc<AtomicBool>);

impl Signals {
    /// Catches SIGTERM and SIGINT; those that come before [`Signals::on_first`] wait for it.
    pub(crate) fn register() -> io::Result<Self> {
        Registered::new([SIGTERM, SIGINT]).map(Self)
    }

    /// Calls `stop`, which must not wait, on a thread of its own when the first signal comes. A second one ends the
    /// process after `last_words`, which loses nothing that was acknowledged.
    pub(crate) fn on_first(
        mut self,
        stop: impl FnOnce() + Send + 'static,
        last_words: impl Fn() + Send + 'static,
    ) -> Stopping {
        let asked = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            let mut signals = self.0.forever();
            if signals.next().is_none() {
                return;
            }
            seen.store(true, Ordering::SeqCst);
            tracing::info!("stopping: requests that have begun are answered first");
            stop();
            let first = Instant::now();
            for _ in signals {
                if first.elapsed() >= SAME_WISH {
                    tracing::warn!("stopping at once");
                    last_words();
                    std::process::exit(INTERRUPTED);
                }
            }
        });
        Stopping(asked)
    }
}

impl Stopping {
    /// Whether a signal has come.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
