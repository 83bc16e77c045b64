//! A pool of threads that read from disk, so that no core waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};

use crossbeam::channel::{Sender, bounded};

use crate::limits::DISK_QUEUE_READS;

/// Whether a job was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The job runs on a disk thread: read now.
    Run,
    /// The queue is full or closed. The job runs on the caller's thread and must not read.
    Refused,
}

/// A job, called exactly once.
pub type Job = Box<dyn FnOnce(Admission) + Send>;

/// A bounded queue and the threads behind it.
pub struct DiskPool {
    queue: Sender<Job>,
    threads: Vec<JoinHandle<()>>,
}

impl DiskPool {
    /// Starts `threads` threads, named after `name`.
    pub fn start(name: &str, threads: usize) -> std::io::Result<Self> {
        let (queue, jobs) = bounded::<Job>(DISK_QUEUE_READS);
        let threads = (0..threads)
            .map(|n| {
                let jobs = jobs.clone();
                let work = move || jobs.iter().for_each(run);
                thread::Builder::new()
                    .name(format!("talos-{name}-{n}"))
                    .spawn(work)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { queue, threads })
    }

    /// Queues `job`, or calls it at once with [`Admission::Refused`].
    pub fn submit(&self, job: Job) {
        if let Err(refused) = self.queue.try_send(job) {
            refused.into_inner()(Admission::Refused);
        }
    }
}

/// Runs a job. A panic ends the job, not the thread; the caller sees that the job was dropped.
fn run(job: Job) {
    if catch_unwind(AssertUnwindSafe(|| job(Admission::Run))).is_err() {
        tracing::error!("a read from disk panicked");
    }
}

impl Drop for DiskPool {
    fn drop(&mut self) {
        // The threads finish the queued jobs and then end.
        self.queue = bounded(0).0;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a disk thread had panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_panic_costs_its_job_alone() {
        let pool = DiskPool::start("test", 1).unwrap();
        pool.submit(Box::new(|_| panic!("on purpose")));
        let (sender, receiver) = channel();
        pool.submit(Box::new(move |turn| sender.send(turn).unwrap()));
        assert_eq!(receiver.recv(), Ok(Admission::Run));
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        let pool = DiskPool::start("test", 1).unwrap();
        let (open_gate, gate) = channel::<()>();
        let (started, has_started) = channel();
        pool.submit(Box::new(move |_| {
            started.send(()).unwrap();
            assert!(gate.recv().is_err());
        }));
        has_started.recv().unwrap();
        let (sender, receiver) = channel();
        for _ in 0..DISK_QUEUE_READS + 2 {
            let sender = sender.clone();
            pool.submit(Box::new(move |turn| sender.send(turn).unwrap()));
        }
        assert_eq!(receiver.recv(), Ok(Admission::Refused));
        drop(open_gate);
        drop(pool);
        drop(sender);
        assert_eq!(
            receiver
                .iter()
                .filter(|turn| *turn == Admission::Run)
                .count(),
            DISK_QUEUE_READS
        );
    }
}
