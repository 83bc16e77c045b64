//! Derived tokens as JSON Web Tokens (RFC 7519), signed with Ed25519 (RFC 8037) or RS256 (RFC 7518
//! §3.3).

use serde_json::{Map, Value};

use crate::token::jwk::{SigningKey, SigningKeys};
use crate::token::jws::{self, Header, Parts};
use crate::token::{Claims, MintError, TokenFault, TokenType, json, within_bounds};

/// Makes a token with `claims`, signed with `key`. Its header contains `alg`, `kid` and `typ`.
///
/// # Errors
/// The claims exceed a limit, the metadata is damaged, or the key cannot sign.
pub fn sign(key: &SigningKey, claims: &Claims) -> Result<String, MintError> {
    let payload = claims.to_json(TokenType::Jwt)?;
    let token = jws::sign(key, payload.as_bytes()).ok_or(MintError::Key)?;
    within_bounds(token)
}

/// Verifies the signature of `token` with one of `keys` and returns its claims. The caller must
/// check them with [`Claims::check`].
///
/// # Errors
/// [`TokenFault::InvalidFormat`], [`TokenFault::UnknownKey`] or [`TokenFault::SignatureInvalid`].
pub fn verify(keys: &SigningKeys, token: &str) -> Result<Claims, TokenFault> {
    let signed = jws::verify(keys, token)?;
    claims(signed.media_type.as_deref(), &signed.payload)
}

/// Whether one of `keys` may have signed `token`: its header names the key and the key's algorithm,
/// and either the signature is valid, or nothing shows that the token is of another issuer.
pub fn is_own(keys: &SigningKeys, token: &str, knows_issuer: impl Fn(&str) -> bool) -> bool {
    let Some(key) = jws::named_key(keys, token) else {
        return false;
    };
    let Ok(parts) = Parts::split(token) else {
        return true;
    };
    let payload = json::object(&parts.payload).unwrap_or_default();
    let issuer = payload.get("iss").and_then(Value::as_str);
    parts.is_signed_by(key) || issuer.is_none_or(knows_issuer)
}

fn claims(media_type: Option<&str>, payload: &[u8]) -> Result<Claims, TokenFault> {
    // Other systems may sign other kinds of tokens with these keys. The type excludes those (RFC
    // 8725 §3.11).
    if media_type != Some("JWT") {
        return Err(TokenFault::InvalidFormat);
    }
    Claims::from_json(payload, TokenType::Jwt)
}

/// A JWT of any issuer, parsed for people to read. Its signature is not verified.
#[derive(Clone, Debug)]
pub struct Jwt {
    header: Map<String, Value>,
    payload: Map<String, Value>,
    payload_text: Vec<u8>,
}

impl Jwt {
    /// Parses `token`.
    ///
    /// # Errors
    /// [`TokenFault::InvalidFormat`] unless it consists of three base64url parts, the first two of
    /// which are JSON objects with unique names.
    pub fn parse(token: &str) -> Result<Self, TokenFault> {
        let parts = Parts::split(token)?;
        let object = |text: &[u8]| json::object(text).ok_or(TokenFault::InvalidFormat);
        Ok(Self {
            header: object(&parts.header)?,
            payload: object(&parts.payload)?,
            payload_text: parts.payload,
        })
    }

    /// The members of the header.
    #[must_use]
    pub fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// The members of the payload.
    #[must_use]
    pub fn payload(&self) -> &Map<String, Value> {
        &self.payload
    }

    /// The claims of a derived token. Verifies no signature.
    ///
    /// # Errors
    /// [`TokenFault::InvalidFormat`] if [`verify`] would refuse the header or the claims even with
    /// a valid signature.
    pub fn unverified_claims(&self) -> Result<Claims, TokenFault> {
        let header = Header::take(self.header.clone()).ok_or(TokenFault::InvalidFormat)?;
        claims(header.typ.as_deref(), &self.payload_text)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use crate::token::claims::tests::sample;
    use crate::token::jwk::tests::{okp, read};
    use crate::token::jwt::*;

    fn unsigned(header: &str, payload: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.", encode(header), encode(payload))
    }

    #[test]
    fn a_token_can_be_looked_at_without_its_key() {
        let keys = read(&[okp(1, "k")]).unwrap();
        let token = sign(keys.signing_key(None).unwrap(), &sample()).unwrap();
        let jwt = Jwt::parse(&token).unwrap();
        let header = json!({"alg": "EdDSA", "kid": "k", "typ": "JWT"});
        assert_eq!(Value::Object(jwt.header().clone()), header);
        assert_eq!(jwt.payload()["role"], "viewer");
        assert_eq!(jwt.unverified_claims(), Ok(sample()));
    }

    #[test]
    fn unverified_claims_are_refused_like_verified_ones() {
        let claims = sample().to_json(TokenType::Jwt).unwrap();
        let good = r#"{"alg":"EdDSA","kid":"k","typ":"JWT"}"#;
        let read = |header: &str, payload: &str| {
            Jwt::parse(&unsigned(header, payload)).map(|jwt| jwt.unverified_claims())
        };
        assert_eq!(read(good, &claims), Ok(Ok(sample())));
        let refused = Ok(Err(TokenFault::InvalidFormat));
        for header in [
            r#"{"alg":"EdDSA","kid":"k"}"#,
            r#"{"alg":"EdDSA","typ":"JWT"}"#,
            r#"{"alg":"EdDSA","kid":"k","typ":"at+jwt"}"#,
            r#"{"alg":"EdDSA","kid":"k","typ":"JWT","crit":["exp"]}"#,
        ] {
            assert_eq!(read(header, &claims), refused, "{header}");
        }
        assert_eq!(read(good, r#"{"sub":"x"}"#), refused);
        for text in [
            unsigned(good, "[]"),
            unsigned("{", "{}"),
            unsigned(good, r#"{"a":1,"a":2}"#),
            "eyJ.b.c".to_owned(),
            "eyJ".to_owned(),
        ] {
            let parsed = Jwt::parse(&text).map(|jwt| jwt.unverified_claims());
            assert_eq!(parsed, Err(TokenFault::InvalidFormat), "{text}");
        }
    }
}
