//! Private keys that sign derived tokens, as JSON Web Keys (RFC 7517, RFC 7518 §6.3, RFC 8037 §2).
//!
//! A key is checked when the settings are loaded, so that a bad one stops the start and not the first derivation.
//! No message repeats anything of a key but its `kid`.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use talos_engine::Secret;

/// The shortest RSA modulus: RFC 7518 §3.3.
const RSA_BITS_MIN: usize = 2048;
/// Longer ones only cost time.
const RSA_BITS_MAX: usize = 8192;

/// The signing keys in the order configured.
#[derive(Clone, Debug, Default)]
pub struct SigningKeys {
    keys: Vec<SigningKey>,
}

/// One private key.
#[derive(Clone, Debug)]
pub struct SigningKey {
    /// Its name in token headers; unique among the signing keys.
    pub kid: String,
    /// What it signs with; from the key's type, never from a token.
    pub algorithm: SigningAlgorithm,
    /// The whole private JWK as JSON.
    pub jwk: Secret,
    public_jwk: Value,
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3).
    Rs256,
}

impl SigningAlgorithm {
    fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    fn public_members(self) -> &'static [&'static str] {
        match self {
            Self::EdDsa => &["kty", "crv", "x", "kid", "use", "alg"],
            Self::Rs256 => &["kty", "n", "e", "kid", "use", "alg"],
        }
    }
}

impl SigningKeys {
    /// The keys, in the order configured.
    #[must_use]
    pub fn keys(&self) -> &[SigningKey] {
        &self.keys
    }

    /// The public halves as an RFC 7517 set: `{"keys":[…]}`.
    #[must_use]
    pub fn public_set(&self) -> Value {
        json!({ "keys": self.keys.iter().map(|key| &key.public_jwk).collect::<Vec<_>>() })
    }

    /// Adds the keys of one URL: `base64://` and a JWK set (or one JWK) in standard base64, or `file://` and the path
    /// of a file that holds it.
    pub(crate) fn add_from_url(&mut self, url: &str) -> Result<(), String> {
        let text = if let Some(encoded) = url.strip_prefix("base64://") {
            STANDARD
                .decode(encoded)
                .map_err(|_| "not standard base64".to_owned())?
        } else if let Some(path) = url.strip_prefix("file://") {
            fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))?
        } else {
            return Err("neither a base64:// nor a file:// URL".to_owned());
        };
        // The parser's own message could quote the text around the mistake.
        let document: Value = serde_json::from_slice(&text).map_err(|_| "not JSON".to_owned())?;
        let jwks = match document.get("keys") {
            Some(Value::Array(jwks)) => jwks.clone(),
            Some(_) => return Err("\"keys\" is not an array".to_owned()),
            None => vec![document],
        };
        if jwks.is_empty() {
            return Err("the set holds no key".to_owned());
        }
        for (index, jwk) in jwks.into_iter().enumerate() {
            let key = SigningKey::from_jwk(&jwk)
                .map_err(|problem| format!("key {index} of the set: {problem}"))?;
            if self.keys.iter().any(|other| other.kid == key.kid) {
                return Err(format!("the kid {:?} is there twice", key.kid));
            }
            self.keys.push(key);
        }
        Ok(())
    }
}

impl SigningKey {
    fn from_jwk(jwk: &Value) -> Result<Self, String> {
        let jwk = jwk.as_object().ok_or("not a JSON object")?;
        let algorithm = match (text(jwk, "kty")?, jwk.get("crv").and_then(Value::as_str)) {
            ("OKP", Some("Ed25519")) => SigningAlgorithm::EdDsa,
            ("RSA", _) => SigningAlgorithm::Rs256,
            _ => return Err("neither an Ed25519 (kty OKP, crv Ed25519) nor an RSA key".to_owned()),
        };
        if jwk
            .get("alg")
            .is_some_and(|alg| alg.as_str() != Some(algorithm.name()))
        {
            return Err(format!(
                "its alg is not {}, the algorithm of its kty",
                algorithm.name()
            ));
        }
        let kid = text(jwk, "kid")?.to_owned();
        if kid.is_empty() {
            return Err("its kid is empty".to_owned());
        }
        match algorithm {
            SigningAlgorithm::EdDsa => check_ed25519(jwk)?,
            SigningAlgorithm::Rs256 => check_rsa(jwk)?,
        }
        let mut public: Map<String, Value> = algorithm
            .public_members()
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), jwk.get(*name)?.clone())))
            .collect();
        public
            .entry("alg")
            .or_insert_with(|| algorithm.name().into());
        public.entry("use").or_insert_with(|| "sig".into());
        Ok(Self {
            kid,
            algorithm,
            jwk: Secret::new(Value::Object(jwk.clone()).to_string()),
            public_jwk: public.into(),
        })
    }
}

fn check_ed25519(jwk: &Map<String, Value>) -> Result<(), String> {
    let private: [u8; 32] = bytes(jwk, "d")?
        .try_into()
        .map_err(|_| "its d is not 32 bytes".to_owned())?;
    let public = ed25519_dalek::SigningKey::from_bytes(&private).verifying_key();
    if bytes(jwk, "x")? != public.as_bytes() {
        return Err("its x is not the public key of its d".to_owned());
    }
    Ok(())
}

fn check_rsa(jwk: &Map<String, Value>) -> Result<(), String> {
    let modulus = bytes(jwk, "n")?;
    let bits = modulus.len() * 8
        - modulus
            .first()
            .map_or(0, |first| first.leading_zeros() as usize);
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Err(format!(
            "its modulus has {bits} bits; allowed: {RSA_BITS_MIN} to {RSA_BITS_MAX}"
        ));
    }
    for member in ["e", "d", "p", "q", "dp", "dq", "qi"] {
        if bytes(jwk, member)?.is_empty() {
            return Err(format!("its {member} is empty"));
        }
    }
    Ok(())
}

fn text<'a>(jwk: &'a Map<String, Value>, member: &str) -> Result<&'a str, String> {
    jwk.get(member)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("it has no {member}"))
}

fn bytes(jwk: &Map<String, Value>, member: &str) -> Result<Vec<u8>, String> {
    let missing = match member {
        "d" => "it has no d, so it is not a private key".to_owned(),
        _ => format!("it has no {member}"),
    };
    let encoded = jwk.get(member).and_then(Value::as_str).ok_or(missing)?;
    URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_| format!("its {member} is not base64url without padding"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwk(seed: u8, kid: &str) -> Value {
        let private = [seed; 32];
        let public = ed25519_dalek::SigningKey::from_bytes(&private).verifying_key();
        json!({
            "kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "alg": "EdDSA",
            "d": URL_SAFE_NO_PAD.encode(private), "x": URL_SAFE_NO_PAD.encode(public.as_bytes()),
        })
    }

    fn rsa(bits: usize) -> Value {
        let member = |length: usize| URL_SAFE_NO_PAD.encode(vec![0xff_u8; length]);
        json!({
            "kty": "RSA", "kid": "r", "n": member(bits / 8), "e": "AQAB", "d": member(bits / 8), "p": member(bits / 16),
            "q": member(bits / 16), "dp": member(bits / 16), "dq": member(bits / 16), "qi": member(bits / 16),
        })
    }

    fn url(document: &Value) -> String {
        format!("base64://{}", STANDARD.encode(document.to_string()))
    }

    fn add(documents: &[Value]) -> Result<SigningKeys, String> {
        let mut keys = SigningKeys::default();
        for document in documents {
            keys.add_from_url(&url(document))?;
        }
        Ok(keys)
    }

    #[test]
    fn sets_and_single_keys_in_order() {
        let keys =
            add(&[json!({"keys": [jwk(1, "a"), rsa(2048)]}), jwk(2, "b")]).expect("three keys");
        let names: Vec<(&str, SigningAlgorithm)> = keys
            .keys()
            .iter()
            .map(|key| (key.kid.as_str(), key.algorithm))
            .collect();
        let (eddsa, rs256) = (SigningAlgorithm::EdDsa, SigningAlgorithm::Rs256);
        assert_eq!(names, [("a", eddsa), ("r", rs256), ("b", eddsa)]);
    }

    #[test]
    fn the_public_set_holds_nothing_private() {
        let set = add(&[jwk(1, "a"), rsa(2048)])
            .expect("two keys")
            .public_set();
        let members: Vec<Vec<&String>> = set["keys"]
            .as_array()
            .expect("keys")
            .iter()
            .map(|key| key.as_object().expect("a key").keys().collect())
            .collect();
        assert_eq!(
            members,
            [
                vec!["alg", "crv", "kid", "kty", "use", "x"],
                vec!["alg", "e", "kid", "kty", "n", "use"]
            ]
        );
        assert_eq!(set["keys"][1]["alg"], "RS256");
    }

    #[test]
    fn files_work_as_well() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("jwks.json");
        fs::write(&path, json!({"keys": [jwk(3, "f")]}).to_string()).expect("a file");
        let mut keys = SigningKeys::default();
        keys.add_from_url(&format!("file://{}", path.display()))
            .expect("a key");
        assert_eq!(keys.keys().len(), 1);
        assert!(
            keys.add_from_url("file:///nonexistent/x")
                .is_err_and(|error| error.contains("/nonexistent/x"))
        );
    }

    #[test]
    fn bad_keys_are_refused_without_showing_them() {
        let with = |member: &str, value: Value| {
            let mut key = jwk(9, "k");
            key[member] = value;
            key
        };
        let without = |member: &str| {
            let mut key = jwk(9, "k");
            key.as_object_mut().expect("an object").remove(member);
            key
        };
        let private = jwk(9, "k")["d"].as_str().expect("text").to_owned();
        for (document, says) in [
            (json!({"keys": []}), "no key"),
            (json!({"keys": 1}), "not an array"),
            (json!([]), "not a JSON object"),
            (without("kty"), "no kty"),
            (without("kid"), "no kid"),
            (without("d"), "not a private key"),
            (without("x"), "no x"),
            (with("kid", "".into()), "kid is empty"),
            (with("crv", "X25519".into()), "neither"),
            (with("alg", "HS256".into()), "alg is not EdDSA"),
            (with("d", format!("{private}=").into()), "base64url"),
            (with("d", "AAAA".into()), "not 32 bytes"),
            (with("x", jwk(8, "k")["x"].clone()), "not the public key"),
            (rsa(1024), "1024 bits"),
            (json!({"keys": [jwk(1, "a"), jwk(2, "a")]}), "twice"),
        ] {
            let error = add(&[document]).expect_err(says);
            assert!(error.contains(says) && !error.contains(&private), "{error}");
        }
        for url in [
            "https://example.com/jwks.json",
            "base64://***",
            "base64://aGk",
            "base64://aGk=",
            "data:x",
        ] {
            assert!(SigningKeys::default().add_from_url(url).is_err(), "{url}");
        }
    }
}
