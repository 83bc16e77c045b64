//! One JSON Web Key: its members and their checks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::token::jwk::{SigningKey, VerifyingKey};
use crate::token::key::{PrivateKey, PublicKey};

/// The shortest RSA modulus in bits: RFC 7518 §3.3.
const RSA_BITS_MIN: usize = 2048;
/// The longest modulus of a private key and of a public key, in bits: the limits of the library.
const RSA_PRIVATE_BITS_MAX: usize = 4096;
const RSA_PUBLIC_BITS_MAX: usize = 8192;
/// Public exponents. Attacks on small exponents end below 65537 (FIPS 186-5 §A.1.1); the library
/// accepts up to 33 bits.
const RSA_EXPONENTS: std::ops::RangeInclusive<u64> = 65_537..=(1 << 33) - 1;
/// The longest `kid` in bytes. Every token contains it.
const KID_BYTES_MAX: usize = 255;

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// A type of key that is not supported.
    #[error("neither an Ed25519 (kty OKP, crv Ed25519) nor an RSA key")]
    Kind,
    /// `alg` belongs to another type of key.
    #[error("its alg is not {0}, the algorithm of its kty")]
    Algorithm(&'static str),
    /// `use` or `key_ops` exclude signatures.
    #[error("its use or key_ops do not allow signatures")]
    Use,
    /// `kid` is empty or too long.
    #[error("its kid is not of 1 to {KID_BYTES_MAX} bytes")]
    Kid,
    /// A member is missing.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// A member is not canonical base64url, or a number has leading zeros.
    #[error("its {0} is not canonical base64url without padding")]
    Encoding(&'static str),
    /// A member of an Ed25519 key has another length.
    #[error("its {0} is not 32 bytes")]
    Length(&'static str),
    /// `x` is not a usable point.
    #[error("its x is not a public key")]
    Point,
    /// `x` is not the public key of `d`.
    #[error("its x is not the public key of its d")]
    Halves,
    /// The RSA modulus is too short or too long.
    #[error("its modulus has {0} bits; allowed: {RSA_BITS_MIN} to {1}")]
    ModulusBits(usize, usize),
    /// The RSA exponent is too small, too large or even.
    #[error("its e is not an odd number from 65537 to 2^33 - 1")]
    Exponent,
    /// The numbers of an RSA key contradict each other, or there are more than two primes.
    #[error("its numbers are not those of an RSA key of two primes")]
    Rsa,
}

/// A text that is wiped when dropped.
struct PrivateText(Zeroizing<String>);

impl<'de> Deserialize<'de> for PrivateText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// The members of RFC 7517 §4, RFC 7518 §6.3 and RFC 8037 §2 that are read.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: Option<String>,
    crv: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    intended_use: Option<String>,
    key_ops: Option<Vec<String>>,
    x: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<PrivateText>,
    p: Option<PrivateText>,
    q: Option<PrivateText>,
    dp: Option<PrivateText>,
    dq: Option<PrivateText>,
    qi: Option<PrivateText>,
    oth: Option<IgnoredAny>,
}

impl Jwk {
    /// The `kid`, the public key, and the private key if there is one.
    pub(super) fn into_key(self) -> Result<(String, VerifyingKey, Option<SigningKey>), KeyProblem> {
        self.check_use()?;
        let (public, private) = match (self.kty.as_deref(), self.crv.as_deref()) {
            (Some("OKP"), Some("Ed25519")) => self.ed25519()?,
            (Some("RSA"), _) => self.rsa()?,
            (None, _) => return Err(KeyProblem::Missing("kty")),
            _ => return Err(KeyProblem::Kind),
        };
        let algorithm = public.algorithm();
        if self.alg.is_some_and(|alg| alg != algorithm.name()) {
            return Err(KeyProblem::Algorithm(algorithm.name()));
        }
        let mut jwk = public_members(&public);
        let kid = self.kid.unwrap_or_else(|| thumbprint(&jwk));
        if kid.is_empty() || kid.len() > KID_BYTES_MAX {
            return Err(KeyProblem::Kid);
        }
        if let Some(members) = jwk.as_object_mut() {
            for (name, value) in [("kid", kid.as_str()), ("use", "sig")] {
                members.insert(name.to_owned(), value.into());
            }
            members.insert("alg".to_owned(), algorithm.name().into());
        }
        let private = private.map(|key| SigningKey {
            kid: kid.clone(),
            algorithm,
            is_for_signatures: self.intended_use.is_some(),
            key,
        });
        Ok((kid, VerifyingKey { key: public, jwk }, private))
    }

    /// Refuses keys that are marked for another use than signatures (RFC 7517 §4.2 and §4.3).
    fn check_use(&self) -> Result<(), KeyProblem> {
        let operation = match self.d {
            Some(_) => "sign",
            None => "verify",
        };
        let use_allows = self.intended_use.as_ref().is_none_or(|name| name == "sig");
        let operations_allow = self
            .key_ops
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| name == operation));
        if use_allows && operations_allow {
            Ok(())
        } else {
            Err(KeyProblem::Use)
        }
    }

    fn ed25519(&self) -> Result<(PublicKey, Option<PrivateKey>), KeyProblem> {
        let point = bytes("x", self.x.as_deref())?;
        let point: &[u8; 32] = point
            .as_slice()
            .try_into()
            .map_err(|_| KeyProblem::Length("x"))?;
        let Some(seed) = &self.d else {
            let public = PublicKey::ed25519(point).ok_or(KeyProblem::Point)?;
            return Ok((public, None));
        };
        let seed = bytes("d", Some(&seed.0))?;
        let seed = seed
            .as_slice()
            .try_into()
            .map_err(|_| KeyProblem::Length("d"))?;
        let private = PrivateKey::ed25519(seed);
        match private.public() {
            PublicKey::Ed25519(public) if public.as_bytes() == point => {
                Ok((PublicKey::Ed25519(public), Some(private)))
            }
            _ => Err(KeyProblem::Halves),
        }
    }

    fn rsa(&self) -> Result<(PublicKey, Option<PrivateKey>), KeyProblem> {
        let (n, e) = (
            number("n", self.n.as_deref())?,
            number("e", self.e.as_deref())?,
        );
        let leading = n.first().map_or(0, |first| first.leading_zeros());
        let bits = (n.len() * 8).saturating_sub(leading as usize);
        let bits_max = match self.d {
            Some(_) => RSA_PRIVATE_BITS_MAX,
            None => RSA_PUBLIC_BITS_MAX,
        };
        if !(RSA_BITS_MIN..=bits_max).contains(&bits) {
            return Err(KeyProblem::ModulusBits(bits, bits_max));
        }
        let exponent = e
            .iter()
            .try_fold(0_u64, |sum, &byte| {
                sum.checked_mul(256)?.checked_add(byte.into())
            })
            .filter(|exponent| RSA_EXPONENTS.contains(exponent) && exponent % 2 == 1);
        if exponent.is_none() {
            return Err(KeyProblem::Exponent);
        }
        if self.oth.is_some() {
            return Err(KeyProblem::Rsa);
        }
        let Some(d) = &self.d else {
            let public = PublicKeyComponents {
                n: n.to_vec(),
                e: e.to_vec(),
            };
            return Ok((PublicKey::Rsa(public), None));
        };
        let private = |name, text: &Option<PrivateText>| {
            number(name, text.as_ref().map(|text| text.0.as_str()))
        };
        let numbers = KeyPairComponents {
            public_key: PublicKeyComponents { n, e },
            d: number("d", Some(&d.0))?,
            p: private("p", &self.p)?,
            q: private("q", &self.q)?,
            dP: private("dp", &self.dp)?,
            dQ: private("dq", &self.dq)?,
            qInv: private("qi", &self.qi)?,
        };
        let private = PrivateKey::rsa(&numbers).ok_or(KeyProblem::Rsa)?;
        Ok((private.public(), Some(private)))
    }
}

/// The members that RFC 7638 §3.2 and RFC 8037 §2 require of a public key.
fn public_members(key: &PublicKey) -> Value {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match key {
        PublicKey::Ed25519(key) => {
            json!({"crv": "Ed25519", "kty": "OKP", "x": encode(key.as_bytes())})
        }
        PublicKey::Rsa(key) => json!({"e": encode(&key.e), "kty": "RSA", "n": encode(&key.n)}),
    }
}

/// The thumbprint of RFC 7638: the digest of the required members, ordered by name as in
/// [`public_members`].
fn thumbprint(required_members: &Value) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(required_members.to_string()))
}

fn bytes(name: &'static str, text: Option<&str>) -> Result<Zeroizing<Vec<u8>>, KeyProblem> {
    let text = text.ok_or(KeyProblem::Missing(name))?;
    let decoded = URL_SAFE_NO_PAD.decode(text);
    decoded
        .map(Zeroizing::new)
        .map_err(|_| KeyProblem::Encoding(name))
}

/// A number without leading zero bytes (RFC 7518 §2, `Base64urlUInt`).
fn number(name: &'static str, text: Option<&str>) -> Result<Zeroizing<Vec<u8>>, KeyProblem> {
    let number = bytes(name, text)?;
    match number.first() {
        None | Some(0) => Err(KeyProblem::Encoding(name)),
        Some(_) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use crate::token::jwk::InvalidSigningKeys;
    use crate::token::jwk::members::*;
    use crate::token::jwk::tests::{okp, public, read, rsa, with, without};

    fn problem(key: &Value) -> KeyProblem {
        match read(&[json!({"keys": [okp(1, "good"), key]})]) {
            Err(InvalidSigningKeys::Key { index: 1, problem }) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bad_keys_are_refused() {
        use KeyProblem as P;
        let encode = |bytes: &[u8]| Value::from(URL_SAFE_NO_PAD.encode(bytes));
        let modulus = |bits: usize| encode(&vec![0xff; bits / 8]);
        let key = || okp(9, "k");
        let seed = key()["d"].as_str().unwrap().to_owned();
        // Bits that encode nothing: the last character of 32 bytes encodes only four.
        let unused = format!("{}B", &seed[..seed.len() - 1]);
        for (bad, expected) in [
            (without(key(), &["kty"]), P::Missing("kty")),
            (with(key(), "kty", "oct".into()), P::Kind),
            (with(key(), "crv", "X25519".into()), P::Kind),
            (with(key(), "crv", "Ed448".into()), P::Kind),
            (with(key(), "kty", "EC".into()), P::Kind),
            (with(key(), "alg", "HS256".into()), P::Algorithm("EdDSA")),
            (with(rsa(), "alg", "RS512".into()), P::Algorithm("RS256")),
            (with(key(), "use", "enc".into()), P::Use),
            (with(key(), "key_ops", json!(["verify"])), P::Use),
            (with(public(rsa()), "key_ops", json!(["encrypt"])), P::Use),
            (with(key(), "kid", "".into()), P::Kid),
            (with(key(), "kid", "x".repeat(256).into()), P::Kid),
            (without(key(), &["x"]), P::Missing("x")),
            (
                with(key(), "d", format!("{seed}=").into()),
                P::Encoding("d"),
            ),
            (with(key(), "d", unused.into()), P::Encoding("d")),
            (with(key(), "d", "AAAA".into()), P::Length("d")),
            (with(key(), "x", "AAAA".into()), P::Length("x")),
            (with(key(), "x", okp(8, "k")["x"].clone()), P::Halves),
            (with(public(key()), "x", encode(&[0; 32])), P::Point),
            (with(public(key()), "x", encode(&[2; 32])), P::Point),
            (without(rsa(), &["n"]), P::Missing("n")),
            (without(rsa(), &["qi"]), P::Missing("qi")),
            (with(rsa(), "n", modulus(1024)), P::ModulusBits(1024, 4096)),
            (with(rsa(), "n", modulus(2040)), P::ModulusBits(2040, 4096)),
            (with(rsa(), "n", modulus(8192)), P::ModulusBits(8192, 4096)),
            (
                with(public(rsa()), "n", modulus(8200)),
                P::ModulusBits(8200, 8192),
            ),
            (with(rsa(), "n", encode(&[0; 257])), P::Encoding("n")),
            (with(public(rsa()), "e", "AQ".into()), P::Exponent),
            (with(public(rsa()), "e", "Aw".into()), P::Exponent),
            (with(public(rsa()), "e", "AQAC".into()), P::Exponent),
            (with(public(rsa()), "e", modulus(128)), P::Exponent),
            (with(rsa(), "n", modulus(2048)), P::Rsa),
            (with(rsa(), "p", rsa()["q"].clone()), P::Rsa),
            (with(rsa(), "dp", rsa()["dq"].clone()), P::Rsa),
            (with(rsa(), "oth", json!([])), P::Rsa),
        ] {
            assert_eq!(problem(&bad), expected, "{bad}");
        }
    }
}
