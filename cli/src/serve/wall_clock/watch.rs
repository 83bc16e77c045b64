//! The thread that watches the wall clock.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use talos_model::clock::{self, UnixMillis};
use talos_model::{ClockReading, ClockWatch, Jump, is_behind};
use talos_node::{Node, NodeStatus};

use super::{State, WallClock, millis, reading, text};

/// A correction of the clock is seen within this time.
const PERIOD: Duration = Duration::from_millis(250);

impl WallClock {
    /// Starts the thread, which ends when the last copy of this clock is dropped. `node` is the
    /// node of a fleet, whose clock is compared with that of its primary.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(in super::super) fn watch(&self, node: Option<&Arc<Node>>) -> io::Result<()> {
        let (state, node) = (Arc::downgrade(&self.0), node.map(Arc::downgrade));
        let watch = ClockWatch::new(self.0.start, millis(self.0.tolerance));
        let watcher = Watcher {
            watch,
            node,
            differs: false,
        };
        thread::Builder::new()
            .name("talos-clock".to_owned())
            .spawn(move || watcher.run(&state))?;
        Ok(())
    }
}

struct Watcher {
    watch: ClockWatch,
    node: Option<Weak<Node>>,
    /// Whether the clock of the primary was another one when it was last looked at.
    differs: bool,
}

impl Watcher {
    fn run(mut self, state: &Weak<State>) {
        while let Some(state) = state.upgrade() {
            let reading = reading();
            self.compare(&state, reading);
            catch_up(&state, reading.wall);
            self.compare_with_primary(&state);
            drop(state);
            thread::sleep(PERIOD);
        }
    }

    fn compare(&mut self, state: &State, reading: ClockReading) {
        let jump = self.watch.read(reading);
        let offset_ms = self.watch.offset_ms();
        state.offset_ms.store(offset_ms, Ordering::Relaxed);
        let Some(Jump { by_ms, offset_ms }) = jump else {
            return;
        };
        let (counter, direction) = if by_ms > 0 {
            (&state.ahead, "ahead")
        } else {
            (&state.back, "back")
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let is_right = offset_ms.unsigned_abs() <= millis(state.tolerance);
        tracing::warn!(
            direction,
            by = text(by_ms),
            since_start = text(offset_ms),
            "{}",
            if is_right {
                "the wall clock jumped, and is again where it is expected to be"
            } else {
                "the wall clock jumped; keys expire, and new ones are dated, by the clock as it is now"
            }
        );
    }

    /// Warns once when the clock of the primary is another one, and says when it is not any more.
    fn compare_with_primary(&mut self, state: &State) {
        let Some(node) = self.node.as_ref().and_then(Weak::upgrade) else {
            return;
        };
        let NodeStatus::Replica { status, primary } = node.status() else {
            self.differs = false;
            return;
        };
        let Some(offset_ms) = status.clock_offset_ms else {
            return;
        };
        let differs = offset_ms.unsigned_abs() > millis(state.tolerance);
        if differs && !self.differs {
            let direction = if offset_ms > 0 { "ahead" } else { "behind" };
            tracing::warn!(
                primary,
                direction,
                by = text(offset_ms),
                "the clock of the primary differs from the one here; keys expire on each node by its own clock"
            );
        }
        if !differs && self.differs {
            tracing::info!(primary, "the clock of the primary agrees with the one here");
        }
        self.differs = differs;
    }
}

/// Ends what began when the clock was behind at the start: first the server is ready, and when the
/// clock has reached the time that had passed, keys expire by the clock alone.
fn catch_up(state: &State, wall: UnixMillis) {
    let Some(passed) = state.behind else { return };
    let tolerance_ms = millis(state.tolerance);
    let was_behind = state.is_behind.load(Ordering::Relaxed);
    if was_behind && !is_behind(wall, passed, tolerance_ms) {
        state.is_behind.store(false, Ordering::Relaxed);
        tracing::info!("the clock has caught up with the newest change");
    }
    if wall >= passed {
        clock::set_floor(None);
    }
}
