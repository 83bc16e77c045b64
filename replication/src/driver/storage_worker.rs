//! Work for storage, which may wait for the disk: done on threads for that, never on those that serve connections.
//!
//! Guarantees: jobs are done one at a time, in the order in which they were named, and what came of each is told in that
//! order. After a job that failed, none of those that were named before it was told is done.

use std::collections::VecDeque;
use std::future::pending;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::sink::{ChangeSink, SinkDone, SinkError, SinkWork};
use crate::source::{ChangeSource, SourceDone, SourceError, SourceWork};

/// A job of work for storage of kind `S`.
pub(super) trait Job<S>: Send + 'static {
    /// What comes of it.
    type Done: Send + 'static;

    /// Does it. `None` when nobody need be told.
    fn perform(self, storage: &mut S) -> Option<Self::Done>;

    /// What is told when it broke off.
    fn broken_off() -> Self::Done;

    /// Whether it failed.
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

/// Storage, and the work that waits for it.
pub(super) struct StorageWorker<S, P: Job<S>> {
    /// `None` while a job is being done.
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

    /// Names one more job.
    pub(super) fn push(&mut self, job: P) {
        self.waiting.push_back(job);
        self.begin();
    }

    /// Whether nothing waits and nothing is being done.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// The storage of an idle worker, if a job has not broken off with it.
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

    /// What came of the oldest job that has not been told; waits for as long as there is none. Nothing is lost when the
    /// wait is given up.
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

    /// A job that notes its number.
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
