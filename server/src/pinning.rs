//! Binds each worker to a core of its own.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores for `workers` workers, one each. Empty if the process may use fewer cores than that:
/// pinned threads would then wait for each other, and the scheduler does better.
pub fn cores_for(workers: usize) -> Vec<usize> {
    let allowed = sched_getaffinity(None).unwrap_or_default();
    let cores: Vec<_> = (0..CpuSet::MAX_CPU)
        .filter(|core| allowed.is_set(*core))
        .collect();
    if cores.len() >= workers {
        cores
    } else {
        Vec::new()
    }
}

/// Binds the calling thread to a core.
///
/// # Errors
/// The system's error, for example if the process may no longer use the core.
pub fn pin_current_thread(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_may_use_its_core_only() {
        let last = *cores_for(1).last().unwrap();
        let pinned = std::thread::spawn(move || {
            pin_current_thread(last).unwrap();
            cores_for(1)
        });
        assert_eq!(pinned.join().unwrap(), [last]);
    }

    #[test]
    fn more_workers_than_cores_are_not_pinned() {
        assert!(cores_for(CpuSet::MAX_CPU + 1).is_empty());
    }
}
