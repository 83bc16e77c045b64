//! Notes when the machine did not run this program, so that stalls of the machine can be told from
//! stalls of the server.
//!
//! A thread on each core sleeps for a short time again and again, and measures how late it wakes.
//! It needs nearly no CPU time, so the scheduler runs it at once if it has the core, even beside a
//! busy thread. If the thread wakes much too late, the core stood still: the hypervisor had taken
//! it, or the kernel was busy. Time that the hypervisor takes in shorter pieces is read from the
//! kernel's count of stolen time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::affinity::pin_current_thread;
use crate::clock::{Clock, nanoseconds};
use crate::stalls::Span;
use crate::steal::Steal;

/// How long the threads sleep at a time.
const NAP: Duration = Duration::from_millis(2);
/// Waking later than this is a pause, in nanoseconds. Sharing a core with a busy thread costs up to
/// a few milliseconds.
pub const PAUSE_NS: u64 = 10_000_000;
/// How often the kernel's count is read.
const STEAL_WINDOW_NS: u64 = 100_000_000;
/// Pauses kept on each core.
const KEPT_MAX: usize = 100_000;

/// The threads that watch for pauses.
#[derive(Debug)]
pub struct PauseWatch {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Span>>>,
}

impl PauseWatch {
    /// Starts a thread on each of the cores.
    #[must_use]
    pub fn start(cores: &[usize], clock: Clock) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = cores
            .iter()
            .map(|core| {
                let (core, stop) = (*core, Arc::clone(&stop));
                std::thread::spawn(move || {
                    // If it cannot be pinned, it watches any core.
                    let _ = pin_current_thread(&[core]);
                    watch(core, clock, &stop)
                })
            })
            .collect();
        Self { stop, threads }
    }

    /// Stops the threads. Returns the pauses of all cores.
    #[must_use]
    pub fn stop(self) -> Vec<Span> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_default())
            .collect()
    }
}

fn watch(core: usize, clock: Clock, stop: &AtomicBool) -> Vec<Span> {
    let mut pauses = Vec::new();
    let nap_ns = nanoseconds(NAP);
    let mut steal = Steal::of(core);
    let (mut window_from_ns, mut seen_ns) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let before_ns = clock.now_ns();
        std::thread::sleep(NAP);
        let now_ns = clock.now_ns();
        // The clock shows 0 until the start.
        let is_on = before_ns > 0 && pauses.len() < KEPT_MAX;
        let pause = pause_in(before_ns + nap_ns, now_ns).filter(|_| is_on);
        seen_ns += pause.map_or(0, Span::length_ns);
        pauses.extend(pause);
        if now_ns.saturating_sub(window_from_ns) >= STEAL_WINDOW_NS {
            let unseen_ns = nanoseconds(steal.since_last()).saturating_sub(seen_ns);
            pauses.extend(unseen(unseen_ns, now_ns).filter(|_| is_on));
            (window_from_ns, seen_ns) = (now_ns, 0);
        }
    }
    pauses
}

/// Time that was taken before `now_ns` in pieces that were too short for [`pause_in`].
fn unseen(length_ns: u64, now_ns: u64) -> Option<Span> {
    (length_ns >= PAUSE_NS).then_some(Span {
        from_ns: now_ns.saturating_sub(length_ns),
        to_ns: now_ns,
    })
}

/// The pause of a thread that should have woken at `due_ns` and woke at `woke_ns`.
fn pause_in(due_ns: u64, woke_ns: u64) -> Option<Span> {
    (woke_ns.saturating_sub(due_ns) >= PAUSE_NS).then_some(Span {
        from_ns: due_ns,
        to_ns: woke_ns,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waking_late_is_a_pause() {
        assert_eq!(pause_in(100, PAUSE_NS + 99), None);
        let pause = pause_in(100, PAUSE_NS + 100).unwrap();
        assert_eq!((pause.from_ns, pause.length_ns()), (100, PAUSE_NS));
        assert_eq!(pause_in(100, 50), None);
    }

    #[test]
    fn what_was_taken_in_pieces_counts_from_ten_milliseconds_on() {
        assert_eq!(unseen(PAUSE_NS - 1, 1 << 40), None);
        let pause = unseen(PAUSE_NS, 1 << 40).unwrap();
        assert_eq!((pause.to_ns, pause.length_ns()), (1 << 40, PAUSE_NS));
    }

    #[test]
    fn a_watch_ends_when_it_is_told() {
        let clock = Clock::from(std::time::Instant::now());
        let watch = PauseWatch::start(&[0, 0], clock);
        assert!(
            watch
                .stop()
                .iter()
                .all(|pause| pause.length_ns() >= PAUSE_NS)
        );
    }
}
