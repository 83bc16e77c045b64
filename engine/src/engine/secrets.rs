//! Which secrets keys need, and which credentials the node accepts.

use talos_cells::pin;
use talos_model::clock::UnixMillis;
use talos_model::{
    Acceptance, FollowError, Mode, ReadError, SecretFingerprint, SecretUse, SecretUses,
};

use super::{Engine, read_error};
use crate::commit::ReplicationCommand;
use crate::secrets::{KeyCount, MissingSecret};

/// The secrets that keys need, as [`Engine::needed_secrets`] finds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeededSecrets {
    /// How many of them the node has.
    pub present: usize,
    /// Those that it does not have.
    pub missing: Vec<MissingSecret>,
}

impl Engine {
    /// Everything that decides which credentials the node accepts.
    #[must_use]
    pub fn acceptance(&self) -> Acceptance {
        self.verifier.current(&pin()).keyring.acceptance()
    }

    /// Which secrets have signed keys, as this node knows.
    #[must_use]
    pub fn secret_uses(&self) -> SecretUses {
        self.secret_uses.read()
    }

    /// How many secrets have signed keys that may not have ended, and are not configured. Reads no
    /// storage.
    #[must_use]
    pub fn missing_secrets(&self, now: UnixMillis) -> usize {
        self.needed(now)
            .iter()
            .filter(|one| !self.has(one.fingerprint))
            .count()
    }

    /// Which secrets keys need. A primary forgets a secret that it does not have when none of its
    /// keys is active any more. Blocks on disk; never call it from a core.
    ///
    /// # Errors
    /// If storage cannot be read or written.
    pub fn needed_secrets(&self, now: UnixMillis) -> Result<NeededSecrets, ReadError> {
        let (mut found, mut over) = (NeededSecrets::default(), Vec::new());
        for one in self.needed(now) {
            if self.has(one.fingerprint) {
                found.present += 1;
                continue;
            }
            let missing = self.missing(&one, now)?;
            if missing.keys == KeyCount::Exactly(0) && self.mode() == Mode::Primary {
                over.push(one.fingerprint);
            } else {
                found.missing.push(missing);
            }
        }
        if !over.is_empty() {
            let forgotten = self.forget_secrets(over);
            forgotten.map_err(|error| ReadError::Storage(error.to_string()))?;
        }
        Ok(found)
    }

    /// Forgets, durably and on this node alone, that these secrets have signed keys.
    ///
    /// # Errors
    /// If the write fails.
    pub fn forget_secrets(&self, secrets: Vec<SecretFingerprint>) -> Result<(), FollowError> {
        self.replicate(ReplicationCommand::ForgetSecrets(secrets))
            .map(drop)
    }

    fn needed(&self, now: UnixMillis) -> Vec<SecretUse> {
        let uses = self.secret_uses.read();
        uses.needed(self.verifier.max_ttl_s(), now)
            .copied()
            .collect()
    }

    fn has(&self, secret: SecretFingerprint) -> bool {
        self.verifier.current(&pin()).keyring.has(secret)
    }

    fn missing(&self, one: &SecretUse, now: UnixMillis) -> Result<MissingSecret, ReadError> {
        let max_ttl_s = self.verifier.max_ttl_s();
        let keys = self
            .store
            .active_keys_made((one.first, one.end()), now, max_ttl_s);
        Ok(MissingSecret {
            fingerprint: one.fingerprint,
            last: one.last,
            needed_until: one.needed_until(max_ttl_s),
            keys: keys.map_err(read_error)?,
        })
    }
}
