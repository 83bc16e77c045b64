//! What each of the tenants must show: maps in memory.

use std::collections::BTreeMap;

use talos_credentials::imported_key_id;
use talos_credentials::token::{SigningKeys, TokenType};

use super::*;
use crate::scenarios::tokens::JWK;

/// What a key must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) actor_id: String,
    pub(super) reason: Option<RevocationReason>,
}

impl From<&Record> for Key {
    fn from(record: &Record) -> Self {
        Self {
            name: record.name.clone(),
            actor_id: record.actor_id.clone(),
            reason: record.revocation.as_ref().map(|end| end.reason),
        }
    }
}

/// A tenant: its settings, and all of its keys.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) id: TenantId,
    /// Whether it is among the tenants of the engine.
    pub(super) is_present: bool,
    /// The secrets that it accepts; the first one signs.
    pub(super) secrets: Vec<&'static str>,
    pub(super) issuer: &'static str,
    prefix: &'static str,
    pub(super) live_keys_max: Option<u64>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) keys: BTreeMap<KeyId, Key>,
    /// The keys that requests with an id made.
    pub(super) requests: BTreeMap<String, KeyId>,
}

impl Owner {
    pub(super) fn new(
        id: TenantId,
        secret: &'static str,
        issuer: &'static str,
        prefix: &'static str,
    ) -> Self {
        Self {
            id,
            is_present: true,
            secrets: vec![secret],
            issuer,
            prefix,
            live_keys_max: None,
            keyring: Arc::new(keyring(secret)),
            keys: BTreeMap::new(),
            requests: BTreeMap::new(),
        }
        .with_new_keyring()
    }

    fn with_new_keyring(mut self) -> Self {
        self.renew_keyring();
        self
    }

    /// Makes another keyring of the settings.
    pub(super) fn renew_keyring(&mut self) {
        let retired = self.secrets.iter().skip(1);
        let mut settings = keyring_settings(self.secrets[0]);
        settings.hmac_retired = retired
            .map(|secret| Secret::new((*secret).to_owned()).into())
            .collect();
        self.prefix.clone_into(&mut settings.prefixes.current);
        self.issuer.clone_into(&mut settings.issuer);
        settings.tokens.signing_keys =
            Arc::new(SigningKeys::from_jwk_sets([JWK]).expect("a set of keys"));
        self.keyring = Arc::new(Keyring::new(settings));
    }

    /// The tenant as the engine takes it.
    pub(super) fn tenant(&self) -> Arc<Tenant> {
        Arc::new(Tenant {
            keyring: Arc::clone(&self.keyring),
            live_keys_max: self.live_keys_max,
            ..Tenant::new(self.id, keyring("unused"), 300)
        })
    }

    /// The number of its keys that are not revoked.
    pub(super) fn live_keys(&self) -> u64 {
        let live = self.keys.values().filter(|key| key.reason.is_none());
        live.count() as u64
    }

    /// What verifying must say about a key that the credential proves.
    fn state(&self, key_id: KeyId, good: OwnedVerdict) -> OwnedVerdict {
        match self.keys.get(&key_id).map(|key| key.reason) {
            Some(None) => good,
            Some(Some(_)) => OwnedVerdict::Refused(Refusal::Revoked),
            None => OwnedVerdict::Refused(Refusal::NotFound),
        }
    }

    /// The verdict of this tenant about a credential; `None` = some refusal of an unknown text.
    pub(super) fn verdict(&self, held: &Held) -> Option<OwnedVerdict> {
        let not_found = OwnedVerdict::Refused(Refusal::NotFound);
        if !self.is_present {
            return Some(not_found);
        }
        let is_mine = held.tenant == self.id && self.secrets.contains(&held.secret);
        let shown = |key_id| {
            let name = self.keys.get(&key_id).map(|key| key.name.as_str());
            OwnedVerdict::Valid(rendered(self.id, name.unwrap_or_default(), self.issuer))
        };
        Some(match held.kind {
            Kind::Raw => {
                let key_id = imported_key_id(self.id, held.text.as_bytes());
                self.state(key_id, shown(key_id))
            }
            Kind::Issued(key_id) if is_mine => self.state(key_id, shown(key_id)),
            Kind::Issued(_) => not_found,
            Kind::Token(key_id, token_type) => {
                let is_signed = token_type == TokenType::Jwt || is_mine;
                if held.tenant != self.id || held.issuer != self.issuer || !is_signed {
                    return None;
                }
                self.state(key_id, OwnedVerdict::Valid(TOKEN.to_owned()))
            }
        })
    }
}

/// What a client holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Raw,
    Issued(KeyId),
    Token(KeyId, TokenType),
}

/// A credential, and the settings under which it was made.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) tenant: TenantId,
    pub(super) secret: &'static str,
    pub(super) issuer: &'static str,
}
