//! Which secrets have signed keys, as storage has it, for readers on any thread. No verification
//! reads it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use talos_model::{Change, SecretUses};

/// The uses of secrets. After the start only the committing thread changes them.
#[derive(Debug)]
pub struct SecretUseTable(Mutex<Arc<SecretUses>>);

impl SecretUseTable {
    /// A table of these uses.
    pub fn new(uses: SecretUses) -> Self {
        Self(Mutex::new(Arc::new(uses)))
    }

    /// The uses that are durable.
    pub fn read(&self) -> Arc<SecretUses> {
        Arc::clone(&self.uses())
    }

    /// Publishes a durable change, if it notes a use of a secret.
    pub fn publish(&self, change: &Change) {
        if let (Some(tenant), Some(fingerprint)) = (change.tenant(), change.signed_by) {
            Arc::make_mut(&mut self.uses()).note(tenant, fingerprint, change.time);
        }
    }

    /// Replaces all uses.
    pub fn replace(&self, uses: SecretUses) {
        *self.uses() = Arc::new(uses);
    }

    fn uses(&self) -> MutexGuard<'_, Arc<SecretUses>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
