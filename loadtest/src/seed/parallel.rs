//! Does a numbered job in batches, on several connections at a time, and shows its progress.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::error::LoadError;
use crate::progress::Progress;

/// A job over numbered items.
#[derive(Clone, Debug)]
pub struct Job {
    /// What it does, for the progress display.
    pub doing: &'static str,
    /// Its items.
    pub items: Range<u32>,
    /// Items done together. The last batch may be smaller.
    pub batch: u32,
    /// Workers at a time.
    pub workers: u32,
}

impl Job {
    /// Calls `work` for each batch. Each worker makes its own state by `worker` first. The first
    /// error ends the job.
    ///
    /// # Errors
    /// The first error of `work`; [`LoadError::Interrupted`]; [`LoadError::Panicked`].
    pub fn run<Worker>(
        self,
        interrupted: &AtomicBool,
        worker: impl Fn() -> Worker + Sync,
        work: impl Fn(&mut Worker, Range<u32>) -> Result<(), LoadError> + Sync,
    ) -> Result<(), LoadError> {
        let Range { start, end } = self.items;
        let total = end.saturating_sub(start);
        let batches = total.div_ceil(self.batch);
        let next = AtomicU32::new(0);
        let failed = AtomicBool::new(false);
        Progress::during(self.doing, u64::from(total), |progress| {
            let run_worker = || -> Result<(), LoadError> {
                let mut worker = worker();
                loop {
                    if failed.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= batches {
                        return Ok(());
                    }
                    if interrupted.load(Ordering::Relaxed) {
                        return Err(LoadError::Interrupted);
                    }
                    let from = start + index * self.batch;
                    let to = from.saturating_add(self.batch).min(end);
                    work(&mut worker, from..to)
                        .inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
                    progress.add(u64::from(to - from));
                }
            };
            std::thread::scope(|scope| {
                let workers: Vec<_> = (0..self.workers.min(batches))
                    .map(|_| scope.spawn(run_worker))
                    .collect();
                workers
                    .into_iter()
                    .map(|worker| worker.join().map_err(|_| LoadError::Panicked)?)
                    .fold(Ok(()), Result::and)
            })
        })
    }
}
