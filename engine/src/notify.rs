//! Wakes the thread that carries out bulk revocations.

use crossbeam::channel::{Receiver, Sender, bounded};

/// Wakes the thread when there is a new bulk revocation, or the node has become a primary.
#[derive(Clone, Debug)]
pub struct Notify(Sender<()>);

impl Notify {
    /// The sending and the receiving end.
    pub fn new() -> (Self, Receiver<()>) {
        let (sender, receiver) = bounded(1);
        (Self(sender), receiver)
    }

    /// Wakes the thread. Never blocks: if a wake-up is pending already, that one is enough.
    pub fn ring(&self) {
        let _ = self.0.try_send(());
    }
}
