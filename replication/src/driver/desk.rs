//! Work for storage, which may wait for the disk: done on threads for that, never on those that serve connections.
//!
//! Guarantees: pieces are done one at a time, in the order in which they were named, and what came of each is told in that
//! order. After a piece that failed, none of those that were named before it was told is done.

use std::collections::VecDeque;
use std::future::pending;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::sink::{ChangeSink, SinkDone, SinkError, SinkWork};
use crate::source::{ChangeSource, SourceDone, SourceError, SourceWork};

/// A piece of work for storage of kind `S`.
pub(super) trait Piece<S>: Send + 'static {
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

impl<S: ChangeSource + Send + 'static> Piece<S> for SourceWork {
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

impl<S: ChangeSink + Send + 'static> Piece<S> for SinkWork {
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
pub(super) struct Desk<S, P: Piece<S>> {
    /// `None` while a piece is being done.
    storage: Option<S>,
    waiting: VecDeque<P>,
    running: Option<JoinHandle<(S, Option<P::Done>)>>,
}

impl<S: Send + 'static, P: Piece<S>> Desk<S, P> {
    pub(super) fn new(storage: S) -> Self {
        Self {
            storage: Some(storage),
            waiting: VecDeque::new(),
            running: None,
        }
    }

    /// Names one more piece.
    pub(super) fn push(&mut self, piece: P) {
        self.waiting.push_back(piece);
        self.begin();
    }

    /// Whether nothing waits and nothing is being done.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// The storage of a desk that is idle, if a piece has not broken off with it.
    pub(super) fn into_storage(self) -> Option<S> {
        self.storage
    }

    fn begin(&mut self) {
        if self.running.is_some() {
            return;
        }
        let Some(piece) = self.waiting.pop_front() else {
            return;
        };
        let Some(mut storage) = self.storage.take() else {
            return;
        };
        self.running = Some(spawn_blocking(move || {
            let done = piece.perform(&mut storage);
            (storage, done)
        }));
    }

    /// What came of the oldest piece that has not been told; waits for as long as there is none. Nothing is lost when the
    /// wait is given up.
    pub(super) async fn done(&mut self) -> P::Done {
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

    /// A piece that notes its number.
    enum Note {
        Told(u8),
        Untold(u8),
        Fails,
        Breaks,
    }

    impl Piece<Vec<u8>> for Note {
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

    fn desk(pieces: impl IntoIterator<Item = Note>) -> Desk<Vec<u8>, Note> {
        let mut desk = Desk::new(Vec::new());
        pieces.into_iter().for_each(|piece| desk.push(piece));
        desk
    }

    #[tokio::test]
    async fn pieces_are_done_and_told_in_their_order() {
        let mut desk = desk([Note::Told(1), Note::Untold(2), Note::Told(3)]);
        assert_eq!(desk.done().await, Ok(1));
        assert!(!desk.is_idle());
        assert_eq!(desk.done().await, Ok(3));
        assert!(desk.is_idle());
        assert_eq!(desk.into_storage(), Some(vec![1, 2, 3]));
    }

    #[tokio::test]
    async fn after_a_failure_nothing_more_is_done() {
        let mut failed = desk([Note::Told(1), Note::Fails, Note::Told(2)]);
        assert_eq!(failed.done().await, Ok(1));
        assert_eq!(failed.done().await, Err("failed"));
        assert!(failed.is_idle());
        assert_eq!(failed.into_storage(), Some(vec![1]));

        let mut broken = desk([Note::Breaks, Note::Told(2)]);
        assert_eq!(broken.done().await, Err("broken off"));
        assert!(broken.is_idle());
        assert_eq!(broken.into_storage(), None);
    }
}
