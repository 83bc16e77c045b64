//! Which secrets keys need, and which credentials the node accepts.

use std::sync::Arc;

use talos_credentials::Tenant;
use talos_model::clock::UnixMillis;
use talos_model::{
    Acceptance, FollowError, Mode, ReadError, SecretFingerprint, SecretUse, SecretUses, TenantId,
};

use super::{Engine, read_error};
use crate::commit::ReplicationCommand;
use crate::secrets::{KeyCount, MissingSecret, NeededSecrets};

impl Engine {
    /// Everything that decides which credentials the node accepts.
    #[must_use]
    pub fn acceptance(&self) -> Acceptance {
        talos_credentials::acceptance(&self.tenants())
    }

    /// Which secrets have signed keys, as this node knows.
    #[must_use]
    pub fn secret_uses(&self) -> Arc<SecretUses> {
        self.secret_uses.read()
    }

    /// How many secrets have signed keys that may not have ended, and are not configured. Reads no
    /// storage.
    #[must_use]
    pub fn missing_secrets(&self, now: UnixMillis) -> usize {
        let uses = self.secret_uses.read();
        let missing = self.tenants().into_iter().map(|tenant| {
            let needed = needed(&uses, &tenant, now);
            needed
                .filter(|one| !tenant.keyring.has(one.fingerprint))
                .count()
        });
        missing.sum()
    }

    /// Which secrets the keys of `tenants` need, for each tenant that needs any. A primary forgets
    /// a secret that a tenant does not have when none of its keys is active any more. Blocks on
    /// disk; never call it from a core.
    ///
    /// # Errors
    /// If storage cannot be read or written.
    pub fn needed_secrets(
        &self,
        tenants: &[Arc<Tenant>],
        now: UnixMillis,
    ) -> Result<Vec<NeededSecrets>, ReadError> {
        let uses = self.secret_uses.read();
        let (mut all, mut over) = (Vec::new(), Vec::new());
        for tenant in tenants {
            let mut found = NeededSecrets {
                tenant: tenant.id,
                present: 0,
                missing: Vec::new(),
            };
            for one in needed(&uses, tenant, now) {
                if tenant.keyring.has(one.fingerprint) {
                    found.present += 1;
                    continue;
                }
                let missing = self.missing(one, tenant, now)?;
                if missing.keys == KeyCount::Exactly(0) && self.mode() == Mode::Primary {
                    over.push((tenant.id, one.fingerprint));
                } else {
                    found.missing.push(missing);
                }
            }
            if found.present > 0 || !found.missing.is_empty() {
                all.push(found);
            }
        }
        if !over.is_empty() {
            let forgotten = self.forget_secrets(over);
            forgotten.map_err(|error| ReadError::Storage(error.to_string()))?;
        }
        Ok(all)
    }

    /// Forgets, durably and on this node alone, that these secrets have signed keys of these
    /// tenants.
    ///
    /// # Errors
    /// If the write fails.
    pub fn forget_secrets(
        &self,
        secrets: Vec<(TenantId, SecretFingerprint)>,
    ) -> Result<(), FollowError> {
        self.replicate(ReplicationCommand::ForgetSecrets(secrets))
            .map(drop)
    }

    fn missing(
        &self,
        one: &SecretUse,
        tenant: &Tenant,
        now: UnixMillis,
    ) -> Result<MissingSecret, ReadError> {
        let max_ttl_s = tenant.keyring.max_ttl_s();
        let keys = self.store.active_keys_made(one, now, max_ttl_s);
        Ok(MissingSecret {
            fingerprint: one.fingerprint,
            last: one.last,
            needed_until: one.needed_until(max_ttl_s),
            keys: keys.map_err(read_error)?,
        })
    }
}

/// The uses of secrets that keys of `tenant` may still need.
fn needed<'a>(
    uses: &'a SecretUses,
    tenant: &Tenant,
    now: UnixMillis,
) -> impl Iterator<Item = &'a SecretUse> + use<'a> {
    uses.needed(tenant.id, tenant.keyring.max_ttl_s(), now)
}
