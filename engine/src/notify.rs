//! Wakes the thread that carries out bulk revocations.

use crossbeam::channel::{Receiver, Sender, bounded};

/// Wakes the thread: there is a new rule, or the node has become a primary.
#[derive(Clone, Debug)]
pub struct Bell(Sender<()>);

impl Bell {
    /// A bell, and what hears it.
    pub fn new() -> (Self, Receiver<()>) {
        let (bell, rings) = bounded(1);
        (Self(bell), rings)
    }

    /// Waits for nothing: one ring that is not yet heard is enough.
    pub fn ring(&self) {
        let _ = self.0.try_send(());
    }
}
