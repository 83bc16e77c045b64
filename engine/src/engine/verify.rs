//! Verification, as the data plane asks for it.

use std::sync::Arc;

use talos_model::{Answer, KeyId, Query, Refusal};

use super::{Engine, Loaded};
use crate::disk::Turn;
use crate::storage::StorageError;
use crate::verifier::{PendingRead, Step};

impl Engine {
    /// The key that a credential proves possession of. Says nothing about whether the key is known, revoked or expired.
    ///
    /// # Errors
    /// A credential that no key of ours can have.
    pub fn identify(&self, query: &Query<'_>) -> Result<KeyId, Refusal> {
        self.verifier.identify(query)
    }

    /// Answers from memory, without waiting, or says which read is needed. `answer` is called at most once, at once.
    pub fn verify<R>(&self, query: &Query<'_>, answer: impl FnOnce(Answer<'_>) -> R) -> Step<R> {
        match self.verifier.verify(query, answer) {
            Step::Answered(answered) => Step::Answered(answered),
            Step::Pending(target) => Step::Pending(PendingRead(target)),
        }
    }

    /// Answers each of `queries` as [`Engine::verify`] does, in order, and faster than one by one where there are many keys. `each` is
    /// called exactly once for each query, at once, with its place.
    pub fn verify_many(
        &self,
        queries: &[Query<'_>],
        mut each: impl FnMut(usize, Step<Answer<'_>>),
    ) {
        self.verifier.verify_many(queries, |place, step| {
            each(
                place,
                match step {
                    Step::Answered(answer) => Step::Answered(answer),
                    Step::Pending(target) => Step::Pending(PendingRead(target)),
                },
            );
        });
    }

    /// Performs the read on a disk thread; `done` is called exactly once, also when the queue is full (the answer is then
    /// an internal error).
    pub fn read(&self, pending: PendingRead, done: impl FnOnce(Loaded) + Send + 'static) {
        let verifier = Arc::clone(&self.verifier);
        self.disk.submit(Box::new(move |turn| {
            let record = match turn {
                Turn::Run => verifier.read(&pending.0),
                Turn::Refused => Err(StorageError::Io(
                    "too many reads are waiting for the disk".to_owned(),
                )),
            };
            done(Loaded { pending, record });
        }));
    }

    /// Answers the query for which `loaded` was read.
    pub fn finish<R>(
        &self,
        query: &Query<'_>,
        loaded: Loaded,
        answer: impl FnOnce(Answer<'_>) -> R,
    ) -> R {
        self.verifier
            .settle(query, &loaded.pending.0, loaded.record, answer)
    }
}
