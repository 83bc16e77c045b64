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

#[cfg(test)]
thread_local! {
    /// How many token signatures this thread has checked.
    pub static SIGNATURE_CHECKS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// What the text of a credential tells. The key may not exist.
pub(super) struct Identified {
    pub(super) key_id: KeyId,
    /// The verdict if there is no such key.
    pub(super) if_unknown: Refusal,
    not_after: UnixMillis,
    token: Option<Arc<CachedToken>>,
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
        let identified = self.prove(keyring, query)?;
        match identified.token {
            Some(_) => Err(Refusal::InvalidFormat),
            None => Ok(identified.key_id),
        }
    }

    /// Proves a credential.
    pub(super) fn prove(
        &self,
        keyring: &Keyring,
        query: &Query<'_>,
    ) -> Result<Identified, Refusal> {
        match shape::of(query.credential, &keyring.tokens().macaroon_prefixes) {
            Shape::Token(shape) => Ok(self.prove_token(keyring, shape, query)),
            Shape::Issued(issued) => keyring
                .prove(&issued)
                .filter(|not_after| query.now < *not_after)
                .map(|not_after| Identified {
                    key_id: KeyId::Issued(issued.uuid),
                    if_unknown: Refusal::NotFound,
                    not_after,
                    token: None,
                })
                .ok_or(Refusal::NotFound),
            Shape::Other => Ok(imported(query, Refusal::NotFound)),
        }
    }

    /// Proves a credential with the form of a token. If it is no token of this server, it may be an
    /// imported key. That does not depend on the signing keys of the moment, so that an imported
    /// key remains valid if a new signing key or prefix makes it look like a token of this server.
    fn prove_token(
        &self,
        keyring: &Keyring,
        shape: TokenShape<'_>,
        query: &Query<'_>,
    ) -> Identified {
        #[cfg(test)]
        SIGNATURE_CHECKS.set(SIGNATURE_CHECKS.get() + 1);
        match keyring.prove_token(shape, query.credential, query.tenant, query.now) {
            Ok((claims, not_after)) => {
                let token = CachedToken::new(&claims, keyring.clock_skew_s(), self.render_token);
                Identified {
                    key_id: claims.key_id,
                    // The key is gone. The token was valid once, so it is refused like the token
                    // of a revoked key.
                    if_unknown: Refusal::Revoked,
                    not_after,
                    token: Some(Arc::new(token)),
                }
            }
            Err(error) => {
                tracing::debug!(%error, "not a token of this server");
                imported(query, error.refusal())
            }
        }
    }
}

impl Identified {
    /// What is remembered of it in memory.
    pub(super) fn proven(self, digest: [u8; 32], generation: u64) -> Proven {
        Proven {
            digest,
            generation,
            not_after_ms: self.not_after.0,
            token: self.token,
        }
    }
}

/// The credential is that of an imported key, if there is such a key.
fn imported(query: &Query<'_>, if_unknown: Refusal) -> Identified {
    Identified {
        key_id: imported_key_id(query.tenant, query.credential),
        if_unknown,
        not_after: UnixMillis(i64::MAX),
        token: None,
    }
}
