//! Compact JSON Web Signatures (RFC 7515 §7.1): three base64url parts, joined by dots.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use talos_model::limits::CREDENTIAL_BYTES;

use crate::token::jwk::{SigningKey, SigningKeys, VerifyingKey};
use crate::token::{TokenFault, json};

/// A verified payload and the media type from its header.
#[derive(Debug)]
pub(super) struct Signed {
    /// The header's `typ`.
    pub(super) media_type: Option<String>,
    /// The payload.
    pub(super) payload: Vec<u8>,
}

/// Signs `payload` as a JWT; `None` if the key cannot sign.
pub(super) fn sign(key: &SigningKey, payload: &[u8]) -> Option<String> {
    let header = format!(
        r#"{{"alg":"{}","kid":{},"typ":"JWT"}}"#,
        key.algorithm().name(),
        Value::from(key.kid())
    );
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Some(token)
}

/// Parses `token` and verifies its signature with the key that its `kid` names. The algorithm
/// follows from the key; the header's `alg` must be the same.
pub(super) fn verify(keys: &SigningKeys, token: &str) -> Result<Signed, TokenFault> {
    let parts = Parts::split(token)?;
    let header = json::object(&parts.header)
        .and_then(Header::take)
        .ok_or(TokenFault::InvalidFormat)?;
    let key = keys
        .verifying_key(&header.kid)
        .ok_or(TokenFault::UnknownKey)?;
    if header.alg != key.key.algorithm().name() || !parts.is_signed_by(key) {
        return Err(TokenFault::SignatureInvalid);
    }
    Ok(Signed {
        media_type: header.typ,
        payload: parts.payload,
    })
}

/// The key that the header of `token` names, if it also names the key's algorithm. Other members of
/// the header do not matter.
pub(super) fn named_key<'k>(keys: &'k SigningKeys, token: &str) -> Option<&'k VerifyingKey> {
    let (header, _) = token.split_once('.')?;
    let header = json::object(&decode(header).ok()?)?;
    let text = |name| header.get(name).and_then(Value::as_str);
    let key = keys.verifying_key(text("kid")?)?;
    (text("alg") == Some(key.key.algorithm().name())).then_some(key)
}

/// The decoded parts of a token. The signature is not verified.
pub(super) struct Parts<'a> {
    /// JSON, if the token is well-formed.
    pub(super) header: Vec<u8>,
    pub(super) payload: Vec<u8>,
    signature: Vec<u8>,
    /// The text that the signature covers.
    signed: &'a str,
}

impl<'a> Parts<'a> {
    pub(super) fn split(token: &'a str) -> Result<Self, TokenFault> {
        if token.len() > CREDENTIAL_BYTES {
            return Err(TokenFault::InvalidFormat);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenFault::InvalidFormat)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenFault::InvalidFormat)?;
        // A fourth part would leave a dot in the payload, which `decode` refuses.
        Ok(Self {
            header: decode(header)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
            signed,
        })
    }

    pub(super) fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        key.key.verifies(self.signed.as_bytes(), &self.signature)
    }
}

/// Decodes canonical base64url: without padding, other alphabets or unused bits that are set.
fn decode(part: &str) -> Result<Vec<u8>, TokenFault> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenFault::InvalidFormat)
}

/// The whole header. A header with other members is refused: `crit`, `b64`, `zip`… would change how
/// the token is read, and `jwk`, `jku`, `x5u`, `x5c`… would let the token choose its key.
pub(super) struct Header {
    alg: String,
    kid: String,
    pub(super) typ: Option<String>,
}

impl Header {
    pub(super) fn take(mut members: Map<String, Value>) -> Option<Self> {
        let mut take = |name| match members.remove(name) {
            None => Some(None),
            Some(Value::String(text)) => Some(Some(text)),
            Some(_) => None,
        };
        let header = Self {
            alg: take("alg")??,
            kid: take("kid")??,
            typ: take("typ")?,
        };
        members.is_empty().then_some(header)
    }
}
