//! The wall clock of the server: judged at the start, watched from then on, and compared with that
//! of the primary. `docs/clocks.md` says what follows from each.

mod accepted;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use talos_api::timestamp;
use talos_engine::Engine;
use talos_metrics::Exposition;
use talos_model::clock::{self, UnixMillis};
use talos_model::{AcceptedClock, ClockReading, StartClock, duration};
use talos_replication::driver::clock::now_ms;

use crate::error::CliError;

/// Whether the clock has been right so far. Copies share it.
#[derive(Clone)]
pub(crate) struct WallClock(Arc<State>);

struct State {
    /// How far clocks may be off.
    tolerance: Duration,
    start: ClockReading,
    /// A time that has passed, and that the clock has not reached since the start.
    behind: Option<UnixMillis>,
    /// Whether the clock is behind that time by more than the tolerance.
    is_behind: AtomicBool,
    /// Jumps of the clock.
    ahead: AtomicU64,
    back: AtomicU64,
    /// How far the clock is from where it was at the start, the time since aside.
    offset_ms: AtomicI64,
}

impl WallClock {
    /// Judges the clock by the newest change of the database in `directory`. `is_accepted`: the
    /// operator says that the clock is right. If the clock is behind, expiry is judged by the time
    /// of that change from now on.
    ///
    /// # Errors
    /// If the newest change cannot be read, or what the operator says cannot be noted.
    pub(super) fn judge(
        engine: &Engine,
        directory: &Path,
        tolerance: Duration,
        is_accepted: bool,
    ) -> Result<Self, CliError> {
        let start = reading();
        let newest = engine.newest_change_time();
        let newest = newest.map_err(|error| CliError::Clock(error.to_string()))?;
        let accepted = accepted::load(directory);
        let judged = StartClock::judge(start.wall, newest, accepted, millis(tolerance));
        let behind = match (judged, newest) {
            (StartClock::Behind(_), Some(newest_change)) if is_accepted => {
                let accepted = AcceptedClock {
                    newest_change,
                    wall: start.wall,
                };
                accepted::save(directory, accepted).map_err(|error| {
                    let file = accepted::path(directory);
                    CliError::Clock(format!("{}: {error}", file.display()))
                })?;
                tracing::warn!(
                    clock = timestamp::format(start.wall),
                    newest_change = timestamp::format(newest_change),
                    "the clock is behind the newest change, and is accepted as right; the times of new changes stay at that of the newest one until the clock has caught up"
                );
                None
            }
            (StartClock::Behind(passed), _) => Some(passed),
            (StartClock::Plausible, _) => None,
        };
        if is_accepted && judged == StartClock::Plausible {
            tracing::warn!("--accept-clock has no effect: the clock is not behind; leave it out");
        }
        let clock = Self(Arc::new(State {
            tolerance,
            start,
            behind,
            is_behind: AtomicBool::new(behind.is_some()),
            ahead: AtomicU64::new(0),
            back: AtomicU64::new(0),
            offset_ms: AtomicI64::new(0),
        }));
        clock::set_floor(behind);
        if let Some(reason) = clock.reason() {
            tracing::error!(clock = timestamp::format(start.wall), "{reason}");
        }
        Ok(clock)
    }

    /// Whether the clock is behind a time that has passed.
    pub(super) fn is_behind(&self) -> bool {
        self.0.is_behind.load(Ordering::Relaxed)
    }

    /// Why clients may not send traffic, if it is the clock.
    pub(super) fn reason(&self) -> Option<String> {
        let behind = self.0.behind.filter(|_| self.is_behind())?;
        Some(format!(
            "the clock is behind {}, which has passed: the database was changed then; keys expire by that time until the clock has caught up; if the clock is right, restart with --accept-clock",
            timestamp::format(behind)
        ))
    }

    /// Writes the metrics of the clock.
    pub(super) fn expose(&self, page: &mut Exposition) {
        let State {
            ahead,
            back,
            offset_ms,
            ..
        } = &*self.0;
        let mut jumps = page.counter(
            "talos_clock_jumps_total",
            "Jumps of the wall clock by more than credentials.clock_skew, by direction.",
        );
        jumps.sample(&[("direction", "ahead")], ahead.load(Ordering::Relaxed));
        jumps.sample(&[("direction", "back")], back.load(Ordering::Relaxed));
        page.gauge(
            "talos_clock_offset_milliseconds",
            "How far the wall clock has moved against the monotonic clock since the start.",
        )
        .signed(&[], offset_ms.load(Ordering::Relaxed));
        page.gauge(
            "talos_clock_behind",
            "1 while the clock is behind the newest change that the database had at the start.",
        )
        .sample(&[], u64::from(self.is_behind()));
    }
}

/// Both clocks, read now.
fn reading() -> ClockReading {
    ClockReading {
        wall: clock::wall(),
        monotonic_ms: now_ms(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds as text, without their sign.
fn text(ms: i64) -> String {
    duration::format_protobuf(Duration::from_millis(ms.unsigned_abs()))
}
