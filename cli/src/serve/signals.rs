//! SIGTERM and SIGINT: the first signal stops the server gracefully, the second one at once. SIGHUP
//! asks for the configuration to be loaded again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Registered;

/// The exit code that a shell reports for a process that SIGINT ended.
const INTERRUPTED: i32 = 130;
/// A second signal within this time after the first is ignored: supervisors send one signal to the
/// process and one to its group.
const REPEAT_WINDOW: Duration = Duration::from_secs(1);

/// The registered signals.
pub(crate) struct Signals(Registered);

/// Tells whether a signal has arrived.
pub(crate) struct Stopping(Arc<AtomicBool>);

impl Signals {
    /// Registers SIGTERM, SIGINT and SIGHUP. Signals that arrive before [`Signals::on_first`] are
    /// kept for it.
    pub(crate) fn register() -> io::Result<Self> {
        Registered::new([SIGTERM, SIGINT, SIGHUP]).map(Self)
    }

    /// Calls `stop` on its own thread when the first signal arrives; `stop` must not block. A
    /// second signal ends the process after `last_words`. Nothing that was acknowledged is lost
    /// then. Calls `reload` for each SIGHUP before the first of them.
    pub(crate) fn on_first(
        mut self,
        stop: impl FnOnce() + Send + 'static,
        last_words: impl Fn() + Send + 'static,
        reload: impl Fn() + Send + 'static,
    ) -> Stopping {
        let asked = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            let mut signals = self.0.forever();
            loop {
                match signals.next() {
                    Some(SIGHUP) => reload(),
                    Some(_) => break,
                    None => return,
                }
            }
            seen.store(true, Ordering::SeqCst);
            tracing::info!("stopping: requests that have begun are answered first");
            stop();
            let first = Instant::now();
            for _ in signals.filter(|signal| *signal != SIGHUP) {
                if first.elapsed() >= REPEAT_WINDOW {
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
    /// Whether a signal has arrived.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
