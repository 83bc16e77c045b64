//! What a derived token says, and the checks of it that need no signature. Its JSON is in `claims_json.rs`.

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

/// `tty`: in which format claims are written, so that none are taken out of one and put into the other.
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

/// What a token says. From a `verify` of this module's siblings it is proven, otherwise not.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// `iss`: who issued it.
    pub issuer: String,
    /// `sub` and `akid`: the key it was derived from.
    pub key_id: KeyId,
    /// `iat`: when it was made, in seconds since 1970.
    pub issued_at_s: i64,
    /// `nbf`: before it, it is not valid; seconds since 1970.
    pub not_before_s: i64,
    /// `exp`: from then on it is expired; seconds since 1970.
    pub expires_at_s: i64,
    /// `jti`: its own id.
    pub token_id: String,
    /// `nid` and `pid`: whose it is.
    pub tenant: TenantId,
    /// `oid`: the actor of the parent.
    pub actor_id: String,
    /// `scp`: what it allows.
    pub scopes: Vec<String>,
    /// `meta`: the parent's metadata, a JSON object as text; empty when there is none.
    pub metadata: String,
    /// `vis`: the parent's visibility.
    pub visibility: Visibility,
    /// `acl`: from where it may be used; empty = from anywhere.
    pub allowed_cidrs: Vec<Cidr>,
    /// `aud`: whom it is meant for; empty = for nobody in particular.
    pub audiences: Vec<String>,
    /// Everything else.
    pub custom: CustomClaims,
}

/// Claims that the deriving client added. None has a reserved name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CustomClaims(Map<String, Value>);

impl CustomClaims {
    /// Takes `claims` without those of a reserved name, in whatever case: JSON readers that ignore the case of names
    /// (Go's among them, which also takes U+017F for `s` and U+212A for `k`) would let `EXP` replace `exp`.
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
    /// Issuer, tenant and window of time; see [`Self::check_origin`] and [`Self::window`].
    ///
    /// # Errors
    /// The first of these that fails.
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

    /// Whether one of `accepted_issuers`, the current one and those retired that are still accepted, made it for `tenant`.
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

    /// The instant from which on it is valid, and that from which on it is no more, when the clock that made the token and
    /// the one that reads it may differ by `skew_s` seconds (RFC 7519 §4.1.4 and §4.1.5).
    #[must_use]
    pub fn window(&self, skew_s: u64) -> (UnixMillis, UnixMillis) {
        let at = |seconds: i64| UnixMillis(seconds.saturating_mul(1000));
        let skew_ms = UnixMillis(0).plus_seconds(skew_s).0;
        let from = at(self.not_before_s).0.saturating_sub(skew_ms);
        (UnixMillis(from), at(self.expires_at_s).plus_seconds(skew_s))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use crate::token::claims::*;

    pub(crate) const KEY: &str = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";
    pub(crate) const TENANT: TenantId = TenantId(Uuid::from_u128(7));

    /// Claims with something in every place.
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
