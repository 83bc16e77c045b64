//! The keys that sign derived tokens, as JSON Web Keys (RFC 7517, RFC 7518 §6.3, RFC 8037 §2).
//!
//! Guarantees:
//! - Every `kid` names one key, whose algorithm follows from its type.
//! - Every private key can sign, and the public set contains its public key.
//! - No part of a private key is printed, and the text that it was parsed from is wiped.

mod members;

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::token::key::{Algorithm, PrivateKey, PublicKey};
use members::Jwk;
pub use members::KeyProblem;

/// The configured signing keys.
#[derive(Debug, Default)]
pub struct SigningKeys {
    public: Vec<VerifyingKey>,
    by_kid: HashMap<String, usize>,
    /// Private keys, in the order configured.
    signing: Vec<SigningKey>,
}

/// A private key.
#[derive(Debug)]
pub struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    is_for_signatures: bool,
    key: PrivateKey,
}

/// A public key.
#[derive(Debug)]
pub(super) struct VerifyingKey {
    pub(super) key: PublicKey,
    jwk: Value,
}

/// Two sets are equal if they verify and sign alike: a public key belongs to one private key.
impl PartialEq for SigningKeys {
    fn eq(&self, other: &Self) -> bool {
        let jwks = self.public.iter().map(|key| &key.jwk);
        jwks.eq(other.public.iter().map(|key| &key.jwk))
            && self.signing_kids().eq(other.signing_kids())
    }
}

/// Why no key signs. An operator must correct the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchKey {
    /// `signing_key_id` names none of the keys.
    #[error("no signing key has the kid {0:?}")]
    Unknown(String),
    /// Only the public half of the key that `signing_key_id` names is configured.
    #[error("the key with the kid {0:?} is public only and cannot sign")]
    PublicOnly(String),
    /// No private key is configured.
    #[error("no signing key is configured")]
    NoneConfigured,
}

/// Why keys are refused. The messages repeat nothing of a key but its `kid`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSigningKeys {
    /// Not a JSON object.
    #[error("not a JSON Web Key Set")]
    NotJson,
    /// One of the keys is bad.
    #[error("key {index} of the set: {problem}")]
    Key {
        /// Its index in its set.
        index: usize,
        /// What is wrong with it.
        problem: KeyProblem,
    },
    /// Two keys have the same `kid`.
    #[error("the kid {0:?} is there twice")]
    DuplicateKid(String),
}

impl SigningKeys {
    /// Parses JWK sets (or single JWKs) in the order given. Private keys sign and verify; public
    /// keys only verify.
    ///
    /// # Errors
    /// The first set or key that is refused.
    pub fn from_jwk_sets<'a>(
        documents: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidSigningKeys> {
        let mut keys = Self::default();
        for document in documents {
            keys.add(document)?;
        }
        Ok(keys)
    }

    /// Adds the keys of one more JWK set (or a single JWK).
    ///
    /// # Errors
    /// The first key that is refused. The keys before it have been added.
    pub fn add(&mut self, document: &str) -> Result<(), InvalidSigningKeys> {
        for (index, jwk) in read(document)?.into_iter().enumerate() {
            let (kid, public, private) = jwk
                .into_key()
                .map_err(|problem| InvalidSigningKeys::Key { index, problem })?;
            if self.by_kid.contains_key(&kid) {
                return Err(InvalidSigningKeys::DuplicateKid(kid));
            }
            self.by_kid.insert(kid, self.public.len());
            self.public.push(public);
            self.signing.extend(private);
        }
        Ok(())
    }

    /// The key that signs: the named one, else the first with `"use":"sig"`, else the first private
    /// key.
    ///
    /// # Errors
    /// The named key is unknown or only public, or none is named and there is no private key.
    pub fn signing_key(&self, signing_key_id: Option<&str>) -> Result<&SigningKey, NoSuchKey> {
        let Some(kid) = signing_key_id else {
            let preferred = self.signing.iter().find(|key| key.is_for_signatures);
            return preferred
                .or(self.signing.first())
                .ok_or(NoSuchKey::NoneConfigured);
        };
        let named = self.signing.iter().find(|key| key.kid == kid);
        named.ok_or_else(|| match self.verifying_key(kid) {
            Some(_) => NoSuchKey::PublicOnly(kid.to_owned()),
            None => NoSuchKey::Unknown(kid.to_owned()),
        })
    }

    /// All public keys as a JWK set (RFC 7517): `{"keys":[…]}`, each with `kid`, `use` and `alg`.
    #[must_use]
    pub fn public_set(&self) -> Value {
        json!({ "keys": self.public.iter().map(|key| &key.jwk).collect::<Vec<_>>() })
    }

    /// The `kid` of each key, with a digest of the key: two keys may have the same `kid`. Sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .by_kid
            .iter()
            .filter_map(|(kid, at)| {
                let jwk = self.public.get(*at)?.jwk.to_string();
                let digest = ring::digest::digest(&ring::digest::SHA256, jwk.as_bytes());
                let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
                Some(format!("{kid} ({:016x})", u64::from_be_bytes(first)))
            })
            .collect();
        names.sort_unstable();
        names
    }

    /// The kids of the private keys, in their order.
    fn signing_kids(&self) -> impl Iterator<Item = &str> {
        self.signing.iter().map(|key| key.kid.as_str())
    }

    pub(super) fn verifying_key(&self, kid: &str) -> Option<&VerifyingKey> {
        self.public.get(*self.by_kid.get(kid)?)
    }
}

impl SigningKey {
    /// Its `kid` in token headers.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Its signature algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.key.sign(message)
    }
}

/// Parses a set, which may be empty, or a single key. It deserializes straight from the text, so
/// that no second copy of a private member remains in memory.
fn read(document: &str) -> Result<Vec<Jwk>, InvalidSigningKeys> {
    #[derive(Deserialize)]
    struct Set {
        keys: Option<Vec<Jwk>>,
    }
    // The JSON library would accept an array as a struct, member by member.
    if !document.trim_start().starts_with('{') {
        return Err(InvalidSigningKeys::NotJson);
    }
    let set: Set = serde_json::from_str(document).map_err(|_| InvalidSigningKeys::NotJson)?;
    if let Some(keys) = set.keys {
        return Ok(keys);
    }
    let key = serde_json::from_str(document).map_err(|_| InvalidSigningKeys::NotJson)?;
    Ok(vec![key])
}

#[cfg(test)]
pub(crate) mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use crate::token::jwk::*;

    pub(crate) fn okp(seed: u8, kid: &str) -> Value {
        let private = [seed; 32];
        let public = ed25519_dalek::SigningKey::from_bytes(&private).verifying_key();
        json!({
            "kty": "OKP", "crv": "Ed25519", "kid": kid,
            "d": URL_SAFE_NO_PAD.encode(private), "x": URL_SAFE_NO_PAD.encode(public.as_bytes()),
        })
    }

    pub(crate) fn rsa() -> Value {
        let text = include_str!("../vectors/jose-cookbook/3_4.rsa_private_key.json");
        serde_json::from_str(text).unwrap()
    }

    pub(crate) fn with(mut key: Value, member: &str, value: Value) -> Value {
        key[member] = value;
        key
    }

    pub(crate) fn without(mut key: Value, members: &[&str]) -> Value {
        for member in members {
            key.as_object_mut().unwrap().remove(*member);
        }
        key
    }

    pub(crate) fn public(key: Value) -> Value {
        without(key, &["d", "p", "q", "dp", "dq", "qi"])
    }

    pub(crate) fn read(documents: &[Value]) -> Result<SigningKeys, InvalidSigningKeys> {
        let texts: Vec<String> = documents.iter().map(Value::to_string).collect();
        SigningKeys::from_jwk_sets(texts.iter().map(String::as_str))
    }

    #[test]
    fn the_key_that_signs() {
        let with_use = with(okp(2, "with use"), "use", "sig".into());
        let keys = read(&[
            json!({"keys": [public(okp(3, "public")), okp(1, "first")]}),
            with_use,
            rsa(),
        ])
        .unwrap();
        let kid = |id| keys.signing_key(id).map(SigningKey::kid);
        assert_eq!(kid(None), Ok("with use"));
        assert_eq!(kid(Some("first")), Ok("first"));
        let named = keys.signing_key(Some("bilbo.baggins@hobbiton.example"));
        assert_eq!(named.unwrap().algorithm(), Algorithm::Rs256);
        let error = kid(Some("other")).unwrap_err();
        assert_eq!(error, NoSuchKey::Unknown("other".to_owned()));
        assert!(error.to_string().contains("other"));
        let public_only = NoSuchKey::PublicOnly("public".to_owned());
        assert_eq!(kid(Some("public")), Err(public_only));

        let keys = read(&[okp(1, "first"), okp(2, "second")]).unwrap();
        assert_eq!(keys.signing_key(None).unwrap().kid(), "first");
        for none in [read(&[]).unwrap(), read(&[public(rsa())]).unwrap()] {
            let error = none.signing_key(None).map(SigningKey::kid);
            assert_eq!(error, Err(NoSuchKey::NoneConfigured));
        }
    }

    #[test]
    fn the_public_set_holds_nothing_private() {
        let set = read(&[okp(1, "a"), rsa(), public(okp(2, "b"))])
            .unwrap()
            .public_set();
        let members: Vec<Vec<&String>> = set["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key.as_object().unwrap().keys().collect())
            .collect();
        let okp = vec!["alg", "crv", "kid", "kty", "use", "x"];
        let rsa = vec!["alg", "e", "kid", "kty", "n", "use"];
        assert_eq!(members, [okp.clone(), rsa, okp]);
        assert_eq!(set["keys"][1]["alg"], "RS256");
    }

    /// RFC 7638 §3.1 and RFC 8037 appendix A.3.
    #[test]
    fn thumbprints_stand_in_for_a_missing_kid() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let rsa = json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256"});
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let okp = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
        let set = read(&[rsa, okp]).unwrap().public_set();
        assert_eq!(
            set["keys"][0]["kid"],
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
        assert_eq!(
            set["keys"][1]["kid"],
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn bad_sets_are_refused_without_showing_them() {
        let text = |text: &str| SigningKeys::from_jwk_sets([text]).map(|keys| keys.public_set());
        for document in [
            "",
            "[]",
            "1",
            "{",
            r#"{"keys":1}"#,
            r#"{"keys":[1]}"#,
            "{} {}",
        ] {
            assert_eq!(
                text(document),
                Err(InvalidSigningKeys::NotJson),
                "{document}"
            );
        }
        let twice = okp(1, "k").to_string().replacen('{', r#"{"kty":"RSA","#, 1);
        assert_eq!(text(&twice), Err(InvalidSigningKeys::NotJson));
        assert_eq!(text(r#"{"keys":[]}"#), Ok(json!({"keys": []})));
        let empty = InvalidSigningKeys::Key {
            index: 0,
            problem: KeyProblem::Missing("kty"),
        };
        assert_eq!(text("{}"), Err(empty));
        let twice = read(&[okp(1, "a"), public(okp(2, "a"))]).map(|keys| keys.public_set());
        assert_eq!(twice, Err(InvalidSigningKeys::DuplicateKid("a".to_owned())));

        let secret = okp(1, "a")["d"].as_str().unwrap().to_owned();
        let error = read(&[with(okp(1, "a"), "x", 7.into())]).unwrap_err();
        assert!(!error.to_string().contains(&secret));
        let keys = read(&[okp(1, "a"), rsa()]).unwrap();
        let debug = format!("{keys:?}");
        let private = rsa()["d"].as_str().unwrap().to_owned();
        assert!(
            !debug.contains(&secret) && !debug.contains(&private),
            "{debug}"
        );
        assert!(!debug.contains("[1, 1, 1"), "{debug}");
    }
}
