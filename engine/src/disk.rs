//! A few threads that wait for the disk so that no core has to.

use std::thread::{self, JoinHandle};

use crossbeam::channel::{Sender, bounded};

use crate::limits::{DISK_QUEUE_READS, DISK_THREADS};

/// Whether a job got its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// On a disk thread: read now.
    Run,
    /// On the caller's thread: the queue is full or closed.
    Refused,
}

/// Called exactly once.
pub type Job = Box<dyn FnOnce(Turn) + Send>;

/// A bounded queue and the threads behind it.
pub struct DiskPool {
    queue: Sender<Job>,
    threads: Vec<JoinHandle<()>>,
}

impl DiskPool {
    /// Starts the threads.
    pub fn start() -> std::io::Result<Self> {
        let (queue, jobs) = bounded::<Job>(DISK_QUEUE_READS);
        let threads = (0..DISK_THREADS)
            .map(|n| {
                let jobs = jobs.clone();
                let work = move || jobs.iter().for_each(|job| job(Turn::Run));
                thread::Builder::new()
                    .name(format!("talos-disk-{n}"))
                    .spawn(work)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { queue, threads })
    }

    /// Queues `job`, or refuses it at once.
    pub fn submit(&self, job: Job) {
        if let Err(refused) = self.queue.try_send(job) {
            refused.into_inner()(Turn::Refused);
        }
    }
}

impl Drop for DiskPool {
    fn drop(&mut self) {
        // Closing the queue lets the threads finish what waits in it.
        self.queue = bounded(0).0;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a disk thread had panicked");
            }
        }
    }
}
