//! The claims of a derived token, and the checks that need no signature. `claims_json.rs` has their
//! JSON.

use serde_json::{Map, Value};
use talos_model::cidr::Cidr;
use talos_model::clock::UnixMillis;
use talos_model::{KeyId, TenantId, Visibility};

use crate::token::TokenFault;

/// Names that custom claims cannot take.
const RESERVED: [&str; 17] = [
    "iss", "sub", "iat", "nbf", "exp", "jti", "nid", "akid", "pid", "oid", "scp", "scope", "meta",
    "vis", "acl", "tty", "aud",
];

/// `tty`: the format of the token, so that claims of one format are not valid in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// A signed JSON Web Token.
    Jwt,
    /// A macaroon.
    Macaroon,
}

impl TokenType {
    /// Its name in the claim `tty`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Macaroon => "macaroon",
        }
    }
}

/// The claims of a token. They are proven only if they come from `jwt::verify` or
/// `macaroon::verify`.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// `iss`: the issuer.
    pub issuer: String,
    /// `sub` and `akid`: the key that it was derived from, its parent.
    pub key_id: KeyId,
    /// `iat`: when it was issued, in seconds since 1970.
    pub issued_at_s: i64,
    /// `nbf`: not valid before this time, in seconds since 1970.
    pub not_before_s: i64,
    /// `exp`: expired from this time on, in seconds since 1970.
    pub expires_at_s: i64,
    /// `jti`: the id of the token.
    pub token_id: String,
    /// `nid` and `pid`: the tenant.
    pub tenant: TenantId,
    /// `oid`: the actor of the parent.
    pub actor_id: String,
    /// `scp`: its scopes.
    pub scopes: Vec<String>,
    /// `meta`: the parent's metadata, a JSON object as text; empty if there is none.
    pub metadata: String,
    /// `vis`: the parent's visibility.
    pub visibility: Visibility,
    /// `acl`: the addresses from which it may be used; empty = from anywhere.
    pub allowed_cidrs: Vec<Cidr>,
    /// `aud`: its audiences; may be empty.
    pub audiences: Vec<String>,
    /// All other claims.
    pub custom: CustomClaims,
}

/// Claims that the client added when it derived the token. None has a reserved name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CustomClaims(Map<String, Value>);

impl CustomClaims {
    /// Keeps the claims that do not have a reserved name. The comparison ignores case, because JSON
    /// readers that ignore the case of names would let `EXP` replace `exp`. Go's is one of them; it
    /// also takes U+017F for `s` and U+212A for `k`.
    #[must_use]
    pub fn new(claims: Map<String, Value>) -> Self {
        let kept = claims.into_iter().filter(|(name, _)| !is_reserved(name));
        Self(kept.collect())
    }

    /// The claims by name.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

fn is_reserved(name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    RESERVED
        .iter()
        .any(|reserved| name.chars().map(fold).eq(reserved.chars()))
}

impl Claims {
    /// Checks issuer, tenant and validity period; see [`Self::check_origin`] and [`Self::window`].
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check(
        &self,
        now: UnixMillis,
        skew_s: u64,
        accepted_issuers: &[&str],
        tenant: TenantId,
    ) -> Result<(), TokenFault> {
        self.check_origin(accepted_issuers, tenant)?;
        let (from, until) = self.window(skew_s);
        if until <= now {
            return Err(TokenFault::Expired);
        }
        if from > now {
            return Err(TokenFault::NotYetValid);
        }
        Ok(())
    }

    /// Checks that one of `accepted_issuers` issued it for `tenant`.
    ///
    /// # Errors
    /// [`TokenFault::ForeignIssuer`] or [`TokenFault::ForeignTenant`].
    pub fn check_origin(
        &self,
        accepted_issuers: &[&str],
        tenant: TenantId,
    ) -> Result<(), TokenFault> {
        if !accepted_issuers.contains(&self.issuer.as_str()) {
            return Err(TokenFault::ForeignIssuer);
        }
        if self.tenant != tenant {
            return Err(TokenFault::ForeignTenant);
        }
        Ok(())
    }

    /// The validity period: the first instant at which the token is valid, and the first at which
    /// it is expired. The clocks of issuer and reader may differ by `skew_s` seconds (RFC 7519
    /// §4.1.4 and §4.1.5).
    #[must_use]
    pub fn window(&self, skew_s: u64) -> (UnixMillis, UnixMillis) {
        let at = |seconds: i64| UnixMillis(seconds.saturating_mul(1000));
        let skew_ms = UnixMillis(0).plus_seconds(skew_s).0;
        let from = at(self.not_before_s).0.saturating_sub(skew_ms);
        (UnixMillis(from), at(self.expires_at_s).plus_seconds(skew_s))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use crate::token::claims::*;

    pub(crate) const KEY: &str = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";
    pub(crate) const TENANT: TenantId = TenantId(Uuid::from_u128(7));

    /// Claims with a value in every field.
    pub(crate) fn sample() -> Claims {
        Claims {
            issuer: "https://talos.example".to_owned(),
            key_id: KEY.parse().unwrap(),
            issued_at_s: 1_750_000_000,
            not_before_s: 1_750_000_000,
            expires_at_s: 1_750_003_600,
            token_id: "6f1c2d3e-0000-4000-8000-000000000001".to_owned(),
            tenant: TENANT,
            actor_id: "user_1".to_owned(),
            scopes: vec!["read".to_owned(), "write".to_owned()],
            metadata: r#"{"team":"payments","big":123456789012345678901234567890,"f":1.50}"#
                .to_owned(),
            visibility: Visibility::Public,
            allowed_cidrs: vec![
                "10.0.0.0/8".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ],
            audiences: vec!["https://api.example".to_owned()],
            custom: custom(json!({"role": "viewer", "n": [1, {"a": null}]})),
        }
    }

    pub(crate) fn custom(value: Value) -> CustomClaims {
        let Value::Object(members) = value else {
            panic!("not an object: {value}");
        };
        CustomClaims::new(members)
    }

    #[test]
    fn the_window_the_issuer_and_the_tenant_are_checked() {
        use TokenFault::{Expired, ForeignIssuer, ForeignTenant, NotYetValid};
        let claims = sample();
        let issuers = ["https://old.example", "https://talos.example"];
        let (nbf, exp) = (1_750_000_000_000, 1_750_003_600_000);
        for (now, skew_s, expected) in [
            (nbf, 0, Ok(())),
            (nbf - 1, 0, Err(NotYetValid)),
            (nbf - 300_000, 300, Ok(())),
            (nbf - 300_001, 300, Err(NotYetValid)),
            (exp - 1, 0, Ok(())),
            (exp, 0, Err(Expired)),
            (exp + 299_999, 300, Ok(())),
            (exp + 300_000, 300, Err(Expired)),
            (i64::MAX, 300, Err(Expired)),
            (i64::MIN, 300, Err(NotYetValid)),
        ] {
            let checked = claims.check(UnixMillis(now), skew_s, &issuers, TENANT);
            assert_eq!(checked, expected, "{now} {skew_s}");
        }
        let now = UnixMillis(nbf);
        assert_eq!(
            claims.check(now, 0, &issuers[..1], TENANT),
            Err(ForeignIssuer)
        );
        assert_eq!(claims.check(now, 0, &[], TENANT), Err(ForeignIssuer));
        assert_eq!(
            claims.check(now, 0, &issuers, TenantId::SINGLE),
            Err(ForeignTenant)
        );
    }
}
