//! Runs storage work on blocking threads, away from the threads that serve connections.
//!
//! Guarantees: jobs run one at a time, in the order of [`StorageWorker::push`], and their results
//! are returned in that order. When a job fails, the jobs that were queued before its result was
//! returned are dropped.

use std::collections::VecDeque;
use std::future::pending;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::sink::{ChangeSink, SinkDone, SinkError, SinkWork};
use crate::source::{ChangeSource, SourceDone, SourceError, SourceWork};

/// A job for storage of type `S`.
pub(super) trait Job<S>: Send + 'static {
    /// Its result.
    type Done: Send + 'static;

    /// Runs the job. `None` if it has no result to return.
    fn perform(self, storage: &mut S) -> Option<Self::Done>;

    /// The result of a job that has panicked.
    fn broken_off() -> Self::Done;

    /// Whether the job has failed.
    fn has_failed(done: &Self::Done) -> bool;
}

const BROKEN_OFF: &str = "the work broke off";

impl<S: ChangeSource + Send + 'static> Job<S> for SourceWork {
    type Done = SourceDone;

    fn perform(self, storage: &mut S) -> Option<SourceDone> {
        SourceWork::perform(self, storage)
    }

    fn broken_off() -> SourceDone {
        SourceDone::Failed(SourceError(BROKEN_OFF.to_owned()))
    }

    fn has_failed(done: &SourceDone) -> bool {
        matches!(done, SourceDone::Failed(_))
    }
}

impl<S: ChangeSink + Send + 'static> Job<S> for SinkWork {
    type Done = SinkDone;

    fn perform(self, storage: &mut S) -> Option<SinkDone> {
        Some(SinkWork::perform(self, storage))
    }

    fn broken_off() -> SinkDone {
        SinkDone::Failed(SinkError(BROKEN_OFF.to_owned()))
    }

    fn has_failed(done: &SinkDone) -> bool {
        matches!(done, SinkDone::Failed(_))
    }
}

/// Storage, and the jobs that wait for it.
pub(super) struct StorageWorker<S, P: Job<S>> {
    /// `None` while a job runs, and after a job has panicked.
    storage: Option<S>,
    waiting: VecDeque<P>,
    running: Option<JoinHandle<(S, Option<P::Done>)>>,
}

impl<S: Send + 'static, P: Job<S>> StorageWorker<S, P> {
    pub(super) fn new(storage: S) -> Self {
        Self {
            storage: Some(storage),
            waiting: VecDeque::new(),
            running: None,
        }
    }

    /// Queues a job.
    pub(super) fn push(&mut self, job: P) {
        self.waiting.push_back(job);
        self.begin();
    }

    /// Whether no job waits or runs.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// The storage of an idle worker. `None` if a job has panicked.
    pub(super) fn into_storage(self) -> Option<S> {
        self.storage
    }

    fn begin(&mut self) {
        if self.running.is_some() {
            return;
        }
        let Some(job) = self.waiting.pop_front() else {
            return;
        };
        let Some(mut storage) = self.storage.take() else {
            return;
        };
        self.running = Some(spawn_blocking(move || {
            let done = job.perform(&mut storage);
            (storage, done)
        }));
    }

    /// The result of the oldest job whose result was not returned yet. Pends while there is no job.
    /// Cancel safe.
    pub(super) async fn next_done(&mut self) -> P::Done {
        loop {
            let Some(running) = &mut self.running else {
                return pending().await;
            };
            let joined = running.await;
            self.running = None;
            let Ok((storage, done)) = joined else {
                self.waiting.clear();
                return P::broken_off();
            };
            self.storage = Some(storage);
            if done.as_ref().is_some_and(P::has_failed) {
                self.waiting.clear();
            }
            self.begin();
            if let Some(done) = done {
                return done;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job that appends its number to the storage.
    enum Note {
        Told(u8),
        Untold(u8),
        Fails,
        Breaks,
    }

    impl Job<Vec<u8>> for Note {
        type Done = Result<u8, &'static str>;

        fn perform(self, notes: &mut Vec<u8>) -> Option<Self::Done> {
            match self {
                Self::Told(number) => {
                    notes.push(number);
                    Some(Ok(number))
                }
                Self::Untold(number) => {
                    notes.push(number);
                    None
                }
                Self::Fails => Some(Err("failed")),
                Self::Breaks => panic!("on purpose"),
            }
        }

        fn broken_off() -> Self::Done {
            Err("broken off")
        }

        fn has_failed(done: &Self::Done) -> bool {
            done.is_err()
        }
    }

    fn storage_worker(jobs: impl IntoIterator<Item = Note>) -> StorageWorker<Vec<u8>, Note> {
        let mut storage_worker = StorageWorker::new(Vec::new());
        jobs.into_iter().for_each(|job| storage_worker.push(job));
        storage_worker
    }

    #[tokio::test]
    async fn pieces_are_done_and_told_in_their_order() {
        let mut storage_worker = storage_worker([Note::Told(1), Note::Untold(2), Note::Told(3)]);
        assert_eq!(storage_worker.next_done().await, Ok(1));
        assert!(!storage_worker.is_idle());
        assert_eq!(storage_worker.next_done().await, Ok(3));
        assert!(storage_worker.is_idle());
        assert_eq!(storage_worker.into_storage(), Some(vec![1, 2, 3]));
    }

    #[tokio::test]
    async fn after_a_failure_nothing_more_is_done() {
        let mut failed = storage_worker([Note::Told(1), Note::Fails, Note::Told(2)]);
        assert_eq!(failed.next_done().await, Ok(1));
        assert_eq!(failed.next_done().await, Err("failed"));
        assert!(failed.is_idle());
        assert_eq!(failed.into_storage(), Some(vec![1]));

        let mut broken = storage_worker([Note::Breaks, Note::Told(2)]);
        assert_eq!(broken.next_done().await, Err("broken off"));
        assert!(broken.is_idle());
        assert_eq!(broken.into_storage(), None);
    }
}
