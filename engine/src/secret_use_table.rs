//! Which secrets have signed keys, as storage has it, for readers on any thread. No verification
//! reads it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use talos_model::{Change, SecretUses};

/// The uses of secrets. After the start only the committing thread changes them.
#[derive(Debug)]
pub struct SecretUseTable(Mutex<SecretUses>);

impl SecretUseTable {
    /// A table of these uses.
    pub fn new(uses: SecretUses) -> Self {
        Self(Mutex::new(uses))
    }

    /// The uses that are durable.
    pub fn read(&self) -> SecretUses {
        self.uses().clone()
    }

    /// Publishes a durable change, if it notes a use of a secret.
    pub fn publish(&self, change: &Change) {
        if let Some(fingerprint) = change.signed_by {
            self.uses().note(fingerprint, change.time);
        }
    }

    /// Replaces all uses.
    pub fn replace(&self, uses: SecretUses) {
        *self.uses() = uses;
    }

    fn uses(&self) -> MutexGuard<'_, SecretUses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
