//! One JSON Web Key: its members, its public part and its thumbprint.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::curve::{Curve, Pair};
use super::rsa::{self, Numbers};

/// The private members.
const PRIVATE: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];

/// A key without a `kid`.
#[derive(Clone, Debug)]
pub(crate) struct Jwk(Map<String, Value>);

impl Jwk {
    /// A new Ed25519 key (RFC 8037 §2).
    ///
    /// # Errors
    /// When the system provides no randomness.
    pub(crate) fn ed25519() -> Result<Self, getrandom::Error> {
        let secret: Zeroizing<[u8; 32]> = random()?;
        let public = ed25519_dalek::SigningKey::from_bytes(&secret).verifying_key();
        Ok(Self::new([
            ("kty", "OKP".to_owned()),
            ("crv", "Ed25519".to_owned()),
            ("alg", "EdDSA".to_owned()),
            ("x", URL_SAFE_NO_PAD.encode(public.as_bytes())),
            ("d", URL_SAFE_NO_PAD.encode(secret.as_slice())),
        ]))
    }

    /// A new key on `curve` (RFC 7518 §6.2).
    ///
    /// # Errors
    /// When the system provides no randomness.
    pub(crate) fn elliptic(curve: Curve) -> Result<Self, getrandom::Error> {
        let Pair { secret, x, y } = curve.generate()?;
        Ok(Self::new([
            ("kty", "EC".to_owned()),
            ("crv", curve.name().to_owned()),
            ("alg", curve.algorithm().to_owned()),
            ("x", URL_SAFE_NO_PAD.encode(x)),
            ("y", URL_SAFE_NO_PAD.encode(y)),
            ("d", URL_SAFE_NO_PAD.encode(secret.as_slice())),
        ]))
    }

    /// A new RSA key (RFC 7518 §6.3) of `bits`, for `algorithm`.
    ///
    /// # Errors
    /// When the system provides no randomness.
    pub(crate) fn rsa(bits: u32, algorithm: &str) -> Result<Self, getrandom::Error> {
        let Numbers {
            n,
            e,
            d,
            p,
            q,
            dp,
            dq,
            qi,
        } = rsa::generate(bits)?;
        Ok(Self::new([
            ("kty", "RSA".to_owned()),
            ("alg", algorithm.to_owned()),
            ("n", URL_SAFE_NO_PAD.encode(n)),
            ("e", URL_SAFE_NO_PAD.encode(e)),
            ("d", URL_SAFE_NO_PAD.encode(d.as_slice())),
            ("p", URL_SAFE_NO_PAD.encode(p.as_slice())),
            ("q", URL_SAFE_NO_PAD.encode(q.as_slice())),
            ("dp", URL_SAFE_NO_PAD.encode(dp.as_slice())),
            ("dq", URL_SAFE_NO_PAD.encode(dq.as_slice())),
            ("qi", URL_SAFE_NO_PAD.encode(qi.as_slice())),
        ]))
    }

    /// A new secret of `bits`, a multiple of 8. Its algorithm is the longest HMAC that it is long
    /// enough for (RFC 7518 §3.2).
    ///
    /// # Errors
    /// When the system provides no randomness.
    pub(crate) fn hmac(bits: usize) -> Result<Self, getrandom::Error> {
        let mut secret = Zeroizing::new(vec![0; bits / 8]);
        getrandom::fill(&mut secret)?;
        let algorithm = match bits {
            512.. => "HS512",
            384.. => "HS384",
            _ => "HS256",
        };
        Ok(Self::new([
            ("kty", "oct".to_owned()),
            ("alg", algorithm.to_owned()),
            ("k", URL_SAFE_NO_PAD.encode(secret.as_slice())),
        ]))
    }

    fn new<const N: usize>(members: [(&str, String); N]) -> Self {
        let owned = members.map(|(name, value)| (name.to_owned(), Value::from(value)));
        Self(Map::from_iter(owned))
    }

    /// The key without its private members.
    pub(crate) fn public(mut self) -> Self {
        for member in PRIVATE {
            self.0.remove(member);
        }
        self
    }

    /// The key as JSON, with `kid` (default: its thumbprint) and `usage`.
    pub(crate) fn named(&self, kid: Option<&str>, usage: &str) -> Value {
        let kid = kid.map_or_else(|| self.thumbprint(), ToOwned::to_owned);
        let mut named = self.0.clone();
        named.insert("kid".to_owned(), kid.into());
        named.insert("use".to_owned(), usage.into());
        named.into()
    }

    /// RFC 7638 §3 with SHA-256: the digest of the required public members, in alphabetical order.
    fn thumbprint(&self) -> String {
        let required: &[&str] = match self.0.get("kty").and_then(Value::as_str) {
            Some("OKP") => &["crv", "kty", "x"],
            Some("EC") => &["crv", "kty", "x", "y"],
            Some("RSA") => &["e", "kty", "n"],
            _ => &["k", "kty"],
        };
        // The JSON library sorts the members and writes no white space.
        let members: Map<String, Value> = required
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.0.get(*name)?.clone())))
            .collect();
        URL_SAFE_NO_PAD.encode(Sha256::digest(json!(members).to_string()))
    }
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, getrandom::Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use talos_credentials::token::SigningKeys;

    use super::*;

    fn member(jwk: &Value, name: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD
            .decode(jwk[name].as_str().expect("text"))
            .expect("base64url")
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        // Appendix A.3.
        let jwk = Jwk::new([
            ("kty", "OKP".to_owned()),
            ("crv", "Ed25519".to_owned()),
            ("alg", "EdDSA".to_owned()),
            (
                "x",
                "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned(),
            ),
            (
                "d",
                "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A".to_owned(),
            ),
        ]);
        let named = jwk.named(None, "sig");
        assert_eq!(named["kid"], "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(jwk.public().named(None, "sig")["kid"], named["kid"]);
    }

    #[test]
    fn public_parts_belong_to_private_ones() {
        let ed25519 = Jwk::ed25519().expect("a key").named(Some("mine"), "sig");
        let secret: [u8; 32] = member(&ed25519, "d").try_into().expect("32 bytes");
        let public = ed25519_dalek::SigningKey::from_bytes(&secret).verifying_key();
        assert_eq!(member(&ed25519, "x"), public.as_bytes());
        assert_eq!(
            (&ed25519["kid"], &ed25519["use"]),
            (&json!("mine"), &json!("sig"))
        );
    }

    #[test]
    fn rsa_keys_sign_and_verify() {
        let jwk = Jwk::rsa(2048, "RS256").expect("a key");
        let named = jwk.named(None, "sig");
        // Loading a private key signs with it. That fails unless all of its numbers fit together.
        let set = json!({ "keys": [named] }).to_string();
        let keys = SigningKeys::from_jwk_sets([set.as_str()]).expect("keys");
        assert!(keys.signing_key(None).is_ok());
        let public = jwk.public().named(None, "sig");
        let published = keys.public_set();
        for member in ["n", "e", "kid"] {
            assert_eq!(published["keys"][0][member], public[member]);
        }
    }

    #[test]
    fn the_rsa_thumbprint_is_that_of_rfc_7638() {
        // §3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let jwk = Jwk::new([
            ("kty", "RSA".to_owned()),
            ("n", n.to_owned()),
            ("e", "AQAB".to_owned()),
        ]);
        let kid = jwk.named(None, "sig")["kid"].clone();
        assert_eq!(kid, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn the_public_part_is_no_more_than_that() {
        let names = |jwk: Jwk| {
            let json = jwk.public().named(None, "sig");
            let names: Vec<_> = json
                .as_object()
                .expect("an object")
                .keys()
                .cloned()
                .collect();
            names.join(" ")
        };
        assert_eq!(
            names(Jwk::ed25519().expect("a key")),
            "alg crv kid kty use x"
        );
        assert_eq!(
            names(Jwk::elliptic(Curve::P521).expect("a key")),
            "alg crv kid kty use x y"
        );
        assert_eq!(
            names(Jwk::rsa(2048, "RS256").expect("a key")),
            "alg e kid kty n use"
        );
    }

    #[test]
    fn secrets_are_as_long_as_asked_for_and_never_the_same() {
        for (bits, algorithm) in [
            (256, "HS256"),
            (384, "HS384"),
            (512, "HS512"),
            (1024, "HS512"),
        ] {
            let [one, other] = [(); 2].map(|()| Jwk::hmac(bits).expect("a key").named(None, "sig"));
            assert_eq!(
                (&one["alg"], member(&one, "k").len()),
                (&json!(algorithm), bits / 8)
            );
            assert!(one["k"] != other["k"] && one["kid"] != other["kid"]);
        }
    }
}
