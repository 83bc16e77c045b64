//! Verification, for the data plane.

use std::sync::Arc;

use talos_model::{Answer, KeyId, Query, Refusal};

use super::{Engine, Loaded};
use crate::disk::Admission;
use crate::storage::StorageError;
use crate::verifier::{PendingRead, VerifyStep};

impl Engine {
    /// The key that a credential proves possession of. Says nothing about whether the key is known,
    /// revoked or expired. A text with the form of a derived token that is none of this server can
    /// be an imported key.
    ///
    /// # Errors
    /// If no key can have this credential, or it is a derived token.
    pub fn identify(&self, query: &Query<'_>) -> Result<KeyId, Refusal> {
        self.verifier.identify(query)
    }

    /// Answers from memory, or returns the read that is needed. Never blocks. `answer` is called at
    /// most once, before this returns.
    pub fn verify<R>(
        &self,
        query: &Query<'_>,
        answer: impl FnOnce(Answer<'_>) -> R,
    ) -> VerifyStep<R> {
        match self.verifier.verify(query, answer) {
            VerifyStep::Answered(answered) => VerifyStep::Answered(answered),
            VerifyStep::Pending(request) => VerifyStep::Pending(PendingRead(request)),
        }
    }

    /// Answers each of `queries` as [`Engine::verify`] does, in order. Faster than one by one if
    /// there are many keys. `each` is called exactly once for each query, before this returns, with
    /// the query's place.
    pub fn verify_many(
        &self,
        queries: &[Query<'_>],
        mut each: impl FnMut(usize, VerifyStep<Answer<'_>>),
    ) {
        self.verifier.verify_many(queries, |place, step| {
            each(
                place,
                match step {
                    VerifyStep::Answered(answer) => VerifyStep::Answered(answer),
                    VerifyStep::Pending(request) => VerifyStep::Pending(PendingRead(request)),
                },
            );
        });
    }

    /// Performs the read on a disk thread. `done` is called exactly once, also if the queue is
    /// full; the answer is then an internal error.
    pub fn read(&self, pending: PendingRead, done: impl FnOnce(Loaded) + Send + 'static) {
        let verifier = Arc::clone(&self.verifier);
        self.disk.submit(Box::new(move |admission| {
            let record = match admission {
                Admission::Run => verifier.read(&pending.0),
                Admission::Refused => Err(StorageError::Io(
                    "too many reads are waiting for the disk".to_owned(),
                )),
            };
            done(Loaded { pending, record });
        }));
    }

    /// Answers the query that `loaded` was read for.
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
