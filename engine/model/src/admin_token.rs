//! Admin tokens: the credentials of administrators. The database holds their digests only.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::access::{Principal, Proof, Role};
use crate::clock::UnixMillis;
use crate::ids::{Sequence, TenantId};

/// The SHA-256 of a token's text. The text has 256 random bits, so its digest needs no salt.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest(pub [u8; 32]);

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(…)")
    }
}

/// An admin token that was created and not revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminToken {
    /// Its id.
    pub id: Uuid,
    /// The name of its holder, for logs and people; unique among the tokens.
    pub name: String,
    /// The digest of its text.
    pub digest: TokenDigest,
    /// What it may do.
    pub role: Role,
    /// The only tenant that it may act on; `None` = every tenant.
    pub tenant: Option<TenantId>,
    /// When it was created.
    pub create_time: UnixMillis,
    /// When its text was last replaced; at first when it was created.
    pub rotate_time: UnixMillis,
    /// From when on it is refused; `None` = never.
    pub expire_time: Option<UnixMillis>,
    /// The change that made it what it is.
    pub sequence: Sequence,
}

/// Create an admin token.
#[derive(Clone, Debug)]
pub struct CreateAdminToken {
    /// The name of its holder.
    pub name: String,
    /// The digest of its text.
    pub digest: TokenDigest,
    /// What it may do.
    pub role: Role,
    /// The only tenant that it may act on; `None` = every tenant.
    pub tenant: Option<TenantId>,
    /// Its lifetime in milliseconds; `None` = it does not expire.
    pub ttl_ms: Option<u64>,
}

/// Replace the text of an admin token. The former text is refused at once.
#[derive(Clone, Debug)]
pub struct RotateAdminToken {
    /// The id of the token.
    pub id: Uuid,
    /// The digest of the new text.
    pub digest: TokenDigest,
    /// The new lifetime in milliseconds, from now on; `None` = the time of expiry stays.
    pub ttl_ms: Option<u64>,
}

/// Revoke an admin token. It is refused at once, and forgotten.
#[derive(Clone, Debug)]
pub struct RevokeAdminToken {
    /// The id of the token.
    pub id: Uuid,
}

/// All admin tokens at one position of the change log. It never changes; a change of a token makes
/// a new one.
#[derive(Clone, Debug, Default)]
pub struct AdminTokens {
    /// In the order of their creation.
    tokens: Vec<AdminToken>,
    principals: HashMap<TokenDigest, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    principal: Arc<Principal>,
    expire_time: Option<UnixMillis>,
}

impl AdminTokens {
    /// Orders `tokens` and prepares their principals.
    #[must_use]
    pub fn new(mut tokens: Vec<AdminToken>) -> Self {
        tokens.sort_by_key(|token| (token.create_time, token.id));
        let known = |token: &AdminToken| {
            let principal = Principal {
                name: token.name.clone(),
                proof: Proof::Token,
                role: token.role,
                tenant: token.tenant,
            };
            let known = Known {
                principal: Arc::new(principal),
                expire_time: token.expire_time,
            };
            (token.digest, known)
        };
        Self {
            principals: tokens.iter().map(known).collect(),
            tokens,
        }
    }

    /// The holder of the token whose text has this digest; `None` when there is no such token, or
    /// when it has expired.
    #[must_use]
    #[inline]
    pub fn find(&self, digest: &TokenDigest, now: UnixMillis) -> Option<&Arc<Principal>> {
        let known = self.principals.get(digest)?;
        let is_over = known.expire_time.is_some_and(|end| now >= end);
        (!is_over).then_some(&known.principal)
    }

    /// All tokens, in the order of their creation.
    #[must_use]
    pub fn all(&self) -> &[AdminToken] {
        &self.tokens
    }

    /// The token with this id.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<&AdminToken> {
        self.tokens.iter().find(|token| token.id == id)
    }

    /// The token with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&AdminToken> {
        self.tokens.iter().find(|token| token.name == name)
    }

    /// These tokens with `token`, which replaces the token with its id.
    #[must_use]
    pub fn with(&self, token: AdminToken) -> Self {
        let others = self.others(token.id);
        Self::new(others.chain([token]).collect())
    }

    /// These tokens without the one with this id.
    #[must_use]
    pub fn without(&self, id: Uuid) -> Self {
        Self::new(self.others(id).collect())
    }

    fn others(&self, id: Uuid) -> impl Iterator<Item = AdminToken> {
        self.tokens
            .iter()
            .filter(move |token| token.id != id)
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, byte: u8, expire_time: Option<i64>) -> AdminToken {
        AdminToken {
            id: Uuid::from_u128(byte.into()),
            name: name.to_owned(),
            digest: TokenDigest([byte; 32]),
            role: Role::Read,
            tenant: None,
            create_time: UnixMillis(i64::from(byte)),
            rotate_time: UnixMillis(i64::from(byte)),
            expire_time: expire_time.map(UnixMillis),
            sequence: Sequence(1),
        }
    }

    #[test]
    fn a_token_is_found_until_it_expires() {
        let tokens = AdminTokens::new(vec![token("b", 2, Some(100)), token("a", 1, None)]);
        let names: Vec<_> = tokens.all().iter().map(|token| &*token.name).collect();
        assert_eq!(names, ["a", "b"]);
        let found = |byte, now| {
            let found = tokens.find(&TokenDigest([byte; 32]), UnixMillis(now));
            found.map(|principal| principal.name.clone())
        };
        assert_eq!(found(1, 1000).as_deref(), Some("a"));
        assert_eq!(found(2, 99).as_deref(), Some("b"));
        assert_eq!(found(2, 100), None);
        assert_eq!(found(3, 0), None);
        assert_eq!(
            tokens.get(Uuid::from_u128(2)),
            Some(&token("b", 2, Some(100)))
        );
    }

    #[test]
    fn a_token_replaces_the_one_with_its_id() {
        let tokens = AdminTokens::new(vec![token("a", 1, None), token("b", 2, None)]);
        let rotated = AdminToken {
            digest: TokenDigest([9; 32]),
            ..token("b", 2, None)
        };
        let after = tokens.with(rotated.clone());
        assert_eq!(after.all(), [token("a", 1, None), rotated.clone()]);
        assert_eq!(after.named("b"), Some(&rotated));
        let is_found = |tokens: &AdminTokens, byte| {
            let digest = TokenDigest([byte; 32]);
            tokens.find(&digest, UnixMillis(0)).is_some()
        };
        assert!(is_found(&after, 9) && !is_found(&after, 2));
        let after = after.without(rotated.id);
        assert_eq!(after.all(), [token("a", 1, None)]);
        assert!(!is_found(&after, 9) && is_found(&after, 1));
        assert_eq!(after.named("b"), None);
        assert!(is_found(&tokens, 2), "what was read stays");
    }
}
