//! Which texts are credentials of this server, or would be taken for them, and therefore cannot be
//! imported as keys of another system.

use crate::keyring::Keyring;
use crate::shape::{self, Shape, TokenShape};
use crate::token::jwt;

/// A kind of credential that this server makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnKind {
    /// A derived token.
    Token,
    /// An issued key, of this server or another one of its kind.
    IssuedKey,
}

impl Keyring {
    /// The kind of credential of this server that `credential` is or looks like. `None` if it can
    /// be the key of another system.
    ///
    /// A macaroon looks like one of this server by its prefix, an issued key by its form. A JWT is
    /// a common format, so it must name one of the signing keys, with the key's algorithm. Two
    /// systems may give their keys the same name, so it can still be another system's: then its
    /// signature is not valid, and it names an issuer that this server neither is nor was.
    #[must_use]
    pub fn own_kind(&self, credential: &[u8]) -> Option<OwnKind> {
        match shape::of(credential, &self.tokens().macaroon_prefixes) {
            Shape::Issued(_) => Some(OwnKind::IssuedKey),
            Shape::Token(TokenShape::Macaroon { .. }) => Some(OwnKind::Token),
            Shape::Token(TokenShape::Jwt) => {
                let keys = &self.tokens().signing_keys;
                let is_own = std::str::from_utf8(credential)
                    .is_ok_and(|token| jwt::is_own(keys, token, |name| self.knows_issuer(name)));
                is_own.then_some(OwnKind::Token)
            }
            Shape::Other => None,
        }
    }

    /// Whether `credential` has the form of a derived token, of this server or another system.
    #[must_use]
    pub fn has_token_form(&self, credential: &[u8]) -> bool {
        let shape = shape::of(credential, &self.tokens().macaroon_prefixes);
        matches!(shape, Shape::Token(_))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};
    use talos_model::clock::UnixMillis;
    use talos_model::{Secret, Visibility};
    use uuid::Uuid;

    use super::*;
    use crate::settings::{KeyringSettings, Prefixes, RetiredIssuer, TokenSettings};
    use crate::token::claims::tests::sample;
    use crate::token::jwk::tests::{okp, read};

    /// A keyring that signs with the key `k` and was renamed from `former` to `i`.
    fn keyring() -> Keyring {
        Keyring::new(KeyringSettings {
            hmac_current: Secret::new("secret".to_owned()),
            hmac_retired: Vec::new(),
            prefixes: Prefixes {
                current: "ak".to_owned(),
                retired: Vec::new(),
                public_current: None,
                public_retired: Vec::new(),
            },
            issuer: "i".to_owned(),
            max_ttl_s: 100,
            clock_skew_s: 10,
            tokens: TokenSettings {
                signing_keys: Arc::new(read(&[okp(1, "k")]).unwrap()),
                issuers_retired: vec![RetiredIssuer {
                    value: "former".to_owned(),
                    expires_at: Some(UnixMillis(1)),
                }],
                ..TokenSettings::default()
            },
        })
    }

    fn encoded(part: &Value) -> String {
        URL_SAFE_NO_PAD.encode(part.to_string())
    }

    #[test]
    fn a_jwt_is_own_by_its_header_and_its_signature_or_issuer() {
        let keyring = keyring();
        let ours = json!({"alg": "EdDSA", "kid": "k", "typ": "JWT"});
        let payload = |issuer: &str| encoded(&json!({"iss": issuer, "role": "anon"}));
        for (header, rest, own) in [
            // Header of another system.
            (json!({"alg": "HS256", "typ": "JWT"}), payload("i"), false),
            (json!({"alg": "none"}), payload("i"), false),
            (json!({"alg": "HS256", "kid": "k"}), payload("i"), false),
            (json!({"alg": "RS256", "kid": "k"}), payload("i"), false),
            (json!({"alg": "EdDSA", "kid": "l"}), payload("i"), false),
            (json!({"alg": "EdDSA", "kid": ["k"]}), payload("i"), false),
            (json!({"kid": "k"}), payload("i"), false),
            // Header that names the signing key.
            (ours.clone(), payload("supabase"), false),
            (ours.clone(), payload("i"), true),
            (ours.clone(), payload("former"), true),
            (ours.clone(), encoded(&json!({"role": "anon"})), true),
            (ours.clone(), encoded(&json!([])), true),
            (ours.clone(), "a".to_owned(), true),
            (
                json!({"alg": "EdDSA", "kid": "k", "crit": ["exp"]}),
                payload("i"),
                true,
            ),
        ] {
            let token = format!("{}.{rest}.c2ln", encoded(&header));
            let expected = own.then_some(OwnKind::Token);
            assert_eq!(keyring.own_kind(token.as_bytes()), expected, "{token}");
            assert!(keyring.has_token_form(token.as_bytes()));
        }
        for token in ["eyJ.b.c", "eyJhbGciOiJFZERTQSJ9..", "eyJ\u{e9}.b.c"] {
            assert_eq!(keyring.own_kind(token.as_bytes()), None, "{token}");
        }
    }

    #[test]
    fn what_a_signing_key_has_signed_is_own_whatever_its_issuer() {
        let keyring = keyring();
        let keys = &keyring.tokens().signing_keys;
        let claims = crate::token::Claims {
            issuer: "elsewhere".to_owned(),
            ..sample()
        };
        let token = jwt::sign(keys.signing_key(None).unwrap(), &claims).unwrap();
        assert_eq!(keyring.own_kind(token.as_bytes()), Some(OwnKind::Token));
        // The last character of a signature has unused bits, so another one is changed.
        let middle = token.len() - 10;
        let other = if &token[middle..=middle] == "A" {
            "B"
        } else {
            "A"
        };
        let forged = format!("{}{other}{}", &token[..middle], &token[middle + 1..]);
        assert_eq!(keyring.own_kind(forged.as_bytes()), None);
    }

    #[test]
    fn other_forms() {
        let keyring = keyring();
        let issued = keyring
            .make(Visibility::Secret, UnixMillis(5000), Uuid::nil())
            .unwrap();
        for (credential, kind, has_token_form) in [
            (issued.expose(), Some(OwnKind::IssuedKey), false),
            ("mc_v1_AgEB", Some(OwnKind::Token), true),
            ("fw_v1_AgEB", None, false),
            ("sk_live_1", None, false),
        ] {
            assert_eq!(
                keyring.own_kind(credential.as_bytes()),
                kind,
                "{credential}"
            );
            let form = keyring.has_token_form(credential.as_bytes());
            assert_eq!(form, has_token_form, "{credential}");
        }
    }
}
