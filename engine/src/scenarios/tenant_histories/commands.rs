//! Random commands in random tenants, and their effect on the model.

use talos_credentials::token::{CustomClaims, TokenType};
use talos_credentials::{DeriveError, DeriveToken, imported_key_id};
use talos_model::{DeleteKey, FieldChanges, Matcher, Rejection, RevokeWhere, RotateKey, UpdateKey};

use super::model::Key;
use super::*;

const ACTORS: [&str; 2] = ["actor", "other"];

impl History {
    fn any_owner(&mut self) -> usize {
        usize::try_from(self.random.below(3)).expect("a small number")
    }

    /// A key of any tenant, or one that never existed.
    fn any_key(&mut self, is_wanted: impl Fn(KeyId) -> bool) -> KeyId {
        let mut known: Vec<_> = self
            .owners
            .iter()
            .flat_map(|owner| owner.keys.keys())
            .collect();
        known.retain(|key_id| is_wanted(**key_id));
        if known.is_empty() {
            return KeyId::Issued(Uuid::nil());
        }
        *self.random.one_of(&known)
    }

    /// A tenant, mostly that of the key.
    fn owner_for(&mut self, key_id: KeyId) -> usize {
        let own = |owner: &Owner| owner.keys.contains_key(&key_id);
        let found = self.owners.iter().position(own);
        match found {
            Some(found) if !self.random.once_in(3) => found,
            _ => self.any_owner(),
        }
    }

    pub(super) fn command(&mut self) {
        self.settle();
        match self.random.below(8) {
            0..=2 => self.issue(),
            3 => self.import(),
            4 => self.rotate(),
            5 => self.update(),
            6 => self.revoke(),
            _ => self.delete(),
        }
    }

    fn issue(&mut self) {
        let n = self.any_owner();
        let tenant = self.owners[n].id;
        // A request with an id asks for the same key in every tenant.
        let request = self.random.maybe(|random| random.below(3));
        let (name, actor_id) = match request {
            Some(request) => (format!("requested-{request}"), ACTORS[0]),
            None => (
                format!("name-{}", self.random.below(1000)),
                self.random.one_of(&ACTORS),
            ),
        };
        let wanted = IssueKey {
            tenant,
            actor_id: actor_id.to_owned(),
            ..key(&name)
        };
        let request = request.map(|request| format!("request-{request}"));
        let command = match &request {
            Some(id) => with_id(id, wanted),
            None => wanted,
        };
        let outcome = submit(&self.engine(), Command::Issue(command));
        let owner = &mut self.owners[n];
        let earlier = request.as_ref().and_then(|id| owner.requests.get(id));
        let refusal = match (earlier, owner.live_keys_max) {
            (None, Some(max)) if owner.live_keys() >= max => Some(Rejection::QuotaExceeded { max }),
            _ => None,
        };
        let Some(Outcome::Issued { record, secret }) = accepted(owner, outcome, refusal) else {
            return;
        };
        assert_eq!(record.tenant, tenant);
        if let Some(earlier) = earlier {
            assert_eq!((record.key_id, secret.is_some()), (*earlier, false));
            return;
        }
        if let Some(id) = request {
            owner.requests.insert(id, record.key_id);
        }
        owner.keys.insert(record.key_id, Key::from(&record));
        self.hold(n, record.key_id, &secret.expect("a credential"));
    }

    fn hold(&mut self, n: usize, key_id: KeyId, secret: &Secret) {
        self.held
            .push(self.made_by(n, Kind::Issued(key_id), secret));
    }

    fn made_by(&self, n: usize, kind: Kind, text: &Secret) -> Held {
        let owner = &self.owners[n];
        Held {
            kind,
            text: text.expose().to_owned(),
            tenant: owner.id,
            secret: owner.secrets[0],
            issuer: owner.issuer,
        }
    }

    fn import(&mut self) {
        let n = self.any_owner();
        let tenant = self.owners[n].id;
        let raw = format!("sk_live_{}", self.random.below(3));
        let key_id = imported_key_id(tenant, raw.as_bytes());
        let key = IssueKey {
            tenant,
            ..key(&format!("imported-{}", self.random.below(1000)))
        };
        let outcome = submit(&self.engine(), Command::Import(ImportKey { key_id, key }));
        let owner = &mut self.owners[n];
        let refusal = match owner.live_keys_max {
            _ if owner.keys.contains_key(&key_id) => Some(Rejection::AlreadyExists),
            Some(max) if owner.live_keys() >= max => Some(Rejection::QuotaExceeded { max }),
            _ => None,
        };
        if let Some(Outcome::Imported { record }) = accepted(owner, outcome, refusal) {
            owner.keys.insert(key_id, Key::from(&record));
        }
    }

    fn rotate(&mut self) {
        let key_id = self.any_key(|key_id| matches!(key_id, KeyId::Issued(_)));
        let n = self.owner_for(key_id);
        let command = Command::Rotate(RotateKey {
            tenant: self.owners[n].id,
            key_id,
            changes: FieldChanges::default(),
            visibility: None,
        });
        let outcome = submit(&self.engine(), command);
        let owner = &mut self.owners[n];
        let refusal = match owner.keys.get(&key_id) {
            None => Some(Rejection::NotFound),
            Some(key) => key.reason.map(|_| Rejection::NotActive),
        };
        if let Some(Outcome::Rotated(rotation)) = accepted(owner, outcome, refusal) {
            let new = rotation.record.key_id;
            owner.keys.insert(new, Key::from(&rotation.record));
            self.end(n, key_id, RevocationReason::Superseded);
            self.hold(n, new, &rotation.secret);
        }
    }

    fn end(&mut self, n: usize, key_id: KeyId, reason: RevocationReason) {
        let key = self.owners[n].keys.get_mut(&key_id).expect("a key");
        key.reason = Some(reason);
    }

    fn update(&mut self) {
        let key_id = self.any_key(|_| true);
        let n = self.owner_for(key_id);
        let name = format!("renamed-{}", self.random.below(1000));
        let command = Command::Update(UpdateKey {
            tenant: self.owners[n].id,
            key_id,
            changes: FieldChanges {
                name: Some(name.clone()),
                ..FieldChanges::default()
            },
        });
        let outcome = submit(&self.engine(), command);
        let owner = &mut self.owners[n];
        let refusal = (!owner.keys.contains_key(&key_id)).then_some(Rejection::NotFound);
        if accepted(owner, outcome, refusal).is_some() {
            owner.keys.get_mut(&key_id).expect("a key").name = name;
        }
    }

    fn revoke(&mut self) {
        let key_id = self.any_key(|_| true);
        let n = self.owner_for(key_id);
        self.revoke_in(n, key_id);
    }

    fn revoke_in(&mut self, n: usize, key_id: KeyId) {
        let reason = RevocationReason::KeyCompromise;
        let command = Command::Revoke(RevokeKey {
            tenant: self.owners[n].id,
            key_id,
            reason,
            description: String::new(),
        });
        let outcome = submit(&self.engine(), command);
        let owner = &self.owners[n];
        let refusal = match owner.keys.get(&key_id) {
            None => Some(Rejection::NotFound),
            Some(key) => key.reason.map(|_| Rejection::AlreadyRevoked),
        };
        if accepted(owner, outcome, refusal).is_some() {
            self.end(n, key_id, reason);
        }
    }

    fn delete(&mut self) {
        let key_id = self.any_key(|key_id| matches!(key_id, KeyId::Imported(_)));
        let n = self.owner_for(key_id);
        let tenant = self.owners[n].id;
        let outcome = submit(
            &self.engine(),
            Command::Delete(DeleteKey { tenant, key_id }),
        );
        let owner = &mut self.owners[n];
        let refusal = (!owner.keys.contains_key(&key_id)).then_some(Rejection::NotFound);
        if accepted(owner, outcome, refusal).is_some() {
            owner.keys.remove(&key_id);
        }
    }

    /// Revokes the keys of an actor in one tenant. The records may be rewritten later.
    pub(super) fn revoke_where(&mut self) {
        self.settle();
        let n = self.any_owner();
        let actor_id = self.random.one_of(&ACTORS).to_owned();
        let reason = RevocationReason::AffiliationChanged;
        let command = Command::RevokeWhere(RevokeWhere {
            tenant: self.owners[n].id,
            matcher: Matcher {
                actor_id: Some(actor_id.clone()),
                ..Matcher::default()
            },
            reason,
            description: String::new(),
        });
        let outcome = submit(&self.engine(), command);
        let owner = &mut self.owners[n];
        if accepted(owner, outcome, None).is_none() {
            return;
        }
        let keys = owner.keys.values_mut();
        for key in keys.filter(|key| key.actor_id == actor_id && key.reason.is_none()) {
            key.reason = Some(reason);
        }
    }

    /// Revokes the key of a credential in a tenant that may not be the one that issued it.
    pub(super) fn self_revocation(&mut self) {
        self.settle();
        let n = self.any_owner();
        let held = self.random.one_of(&self.held);
        let query = Query {
            tenant: self.owners[n].id,
            ..query(&held.text, CacheMode::Bypass)
        };
        let identified = self.engine().identify(&query);
        if matches!(self.owners[n].verdict(&held), Some(OwnedVerdict::Valid(_))) {
            let is_token = matches!(held.kind, Kind::Token(..));
            assert_eq!(identified.is_ok(), !is_token, "{held:?}");
        }
        if let Ok(key_id) = identified {
            self.revoke_in(n, key_id);
        }
    }

    /// Derives a token from a key.
    pub(super) fn derive(&mut self) {
        let token_type = self.random.one_of(&[TokenType::Jwt, TokenType::Macaroon]);
        let key_id = self.any_key(|key_id| matches!(key_id, KeyId::Issued(_)));
        let own = |owner: &Owner| owner.keys.contains_key(&key_id);
        let Some(n) = self.owners.iter().position(own) else {
            return;
        };
        let parent = self.record(n, key_id).expect("a record");
        let wanted = DeriveToken {
            token_type,
            ttl_ms: None,
            scopes: Vec::new(),
            audiences: Vec::new(),
            custom: CustomClaims::default(),
        };
        let derived = self.engine().derive(&parent, wanted, None);
        let owner = &self.owners[n];
        let is_live = owner.keys[&key_id].reason.is_none();
        match derived {
            Err(DeriveError::NoTenant) => assert!(!owner.is_present),
            Err(DeriveError::ParentRevoked) => assert!(!is_live),
            Err(other) => panic!("{other:?}"),
            Ok(derived) => {
                assert!(owner.is_present && is_live);
                // Other actors would show another text.
                if parent.actor_id == ACTORS[0] {
                    let kind = Kind::Token(key_id, token_type);
                    self.held.push(self.made_by(n, kind, &derived.token));
                }
            }
        }
    }
}

/// The outcome, if the command must be accepted. Otherwise it must be refused for this reason, or
/// because the tenant is not there.
fn accepted(
    owner: &Owner,
    outcome: Result<Outcome, CommandError>,
    refusal: Option<Rejection>,
) -> Option<Outcome> {
    let refusal = if owner.is_present {
        refusal
    } else {
        Some(Rejection::NoTenant)
    };
    match (outcome, refusal) {
        (Ok(outcome), None) => Some(outcome),
        (Err(CommandError::Rejected(found)), Some(expected)) => {
            assert_eq!(found, expected, "{}", owner.id);
            None
        }
        (found, expected) => panic!("{found:?} and not {expected:?} in {}", owner.id),
    }
}
