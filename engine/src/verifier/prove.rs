//! Proving a credential: whether it is valid, and of which key, from its text, the secrets and the
//! signing keys alone.

use std::sync::Arc;

use talos_cells::pin;
use talos_credentials::shape::{self, Shape, TokenShape};
use talos_credentials::{Keyring, imported_key_id};
use talos_model::clock::UnixMillis;
use talos_model::{KeyId, Query, Refusal};

use super::Verifier;
use crate::cache::Proven;
use crate::cached_token::CachedToken;
use crate::tenants::ActiveTenant;

#[cfg(test)]
thread_local! {
    /// How many token signatures this thread has checked.
    pub static SIGNATURE_CHECKS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

impl Verifier {
    /// The key of a credential; says nothing about the key's record. A derived token proves
    /// possession of no key.
    pub fn identify(&self, query: &Query<'_>) -> Result<KeyId, Refusal> {
        if !query.has_length_of_credential() {
            return Err(Refusal::InvalidFormat);
        }
        let guard = pin();
        let tenant = self.current.load(&guard).tenants.get(query.tenant);
        let keyring = tenant.ok_or(Refusal::NotFound)?.keyring();
        let shape = shape::of(query.credential, &keyring.tokens().macaroon_prefixes);
        let (key_id, _) = prove_key(keyring, &shape, query)?;
        Ok(key_id)
    }

    /// Proves a credential and returns its key.
    pub(super) fn prove(
        &self,
        tenant: &ActiveTenant,
        query: &Query<'_>,
        digest: [u8; 32],
    ) -> Result<(KeyId, Proven), Refusal> {
        let keyring = tenant.keyring();
        let shape = shape::of(query.credential, &keyring.tokens().macaroon_prefixes);
        let (key_id, not_after, token) = if let Shape::Token(shape) = shape {
            self.prove_token(keyring, shape, query)?
        } else {
            let (key_id, not_after) = prove_key(keyring, &shape, query)?;
            (key_id, not_after, None)
        };
        let proven = Proven {
            digest,
            generation: tenant.generation(),
            not_after_ms: not_after.0,
            token,
        };
        Ok((key_id, proven))
    }

    fn prove_token(
        &self,
        keyring: &Keyring,
        shape: TokenShape<'_>,
        query: &Query<'_>,
    ) -> Result<(KeyId, UnixMillis, Option<Arc<CachedToken>>), Refusal> {
        #[cfg(test)]
        SIGNATURE_CHECKS.set(SIGNATURE_CHECKS.get() + 1);
        let (claims, not_after) = keyring
            .prove_token(shape, query.credential, query.tenant, query.now)
            .map_err(|error| {
                tracing::debug!(%error, "a token is refused");
                error.refusal()
            })?;
        let token = CachedToken::new(&claims, keyring.clock_skew_s(), self.render_token);
        Ok((claims.key_id, not_after, Some(Arc::new(token))))
    }
}

/// The key of a credential, and the time until which the proof holds.
fn prove_key(
    keyring: &Keyring,
    shape: &Shape<'_>,
    query: &Query<'_>,
) -> Result<(KeyId, UnixMillis), Refusal> {
    match shape {
        Shape::Token(_) => Err(Refusal::InvalidFormat),
        Shape::Other => {
            let key_id = imported_key_id(query.tenant, query.credential);
            Ok((key_id, UnixMillis(i64::MAX)))
        }
        Shape::Issued(issued) => keyring
            .prove(issued)
            .filter(|not_after| query.now < *not_after)
            .map(|not_after| (KeyId::Issued(issued.uuid), not_after))
            .ok_or(Refusal::NotFound),
    }
}
