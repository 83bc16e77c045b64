//! Compact JSON Web Signatures (RFC 7515 §7.1): three parts of base64url, joined by dots.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use talos_model::limits::CREDENTIAL_BYTES;

use crate::token::jwk::{SigningKey, SigningKeys};
use crate::token::{TokenFault, json};

/// What was signed, with what its header says of it.
#[derive(Debug)]
pub(super) struct Signed {
    /// The header's `typ`.
    pub(super) media_type: Option<String>,
    /// The payload.
    pub(super) payload: Vec<u8>,
}

/// Signs `payload` as a JWT; `None` when the key cannot.
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

/// Takes `token` apart and proves its signature with the key that its `kid` names. The header's `alg` decides nothing: it
/// must be that of the key.
pub(super) fn verify(keys: &SigningKeys, token: &str) -> Result<Signed, TokenFault> {
    let parts = Parts::split(token)?;
    let header = json::object(&parts.header)
        .and_then(Header::take)
        .ok_or(TokenFault::InvalidFormat)?;
    let key = keys
        .verifying_key(&header.kid)
        .ok_or(TokenFault::UnknownKey)?;
    if header.alg != key.key.algorithm().name()
        || !key.key.verifies(parts.signed.as_bytes(), &parts.signature)
    {
        return Err(TokenFault::SignatureInvalid);
    }
    Ok(Signed {
        media_type: header.typ,
        payload: parts.payload,
    })
}

/// The decoded parts of a signature. Nothing is proven.
pub(super) struct Parts<'a> {
    /// JSON, if all is well.
    pub(super) header: Vec<u8>,
    pub(super) payload: Vec<u8>,
    signature: Vec<u8>,
    /// What the signature covers.
    signed: &'a str,
}

impl<'a> Parts<'a> {
    pub(super) fn split(token: &'a str) -> Result<Self, TokenFault> {
        if token.len() > CREDENTIAL_BYTES {
            return Err(TokenFault::InvalidFormat);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenFault::InvalidFormat)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenFault::InvalidFormat)?;
        // A further dot is no character of base64url, so there are exactly three parts.
        Ok(Self {
            header: decode(header)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
            signed,
        })
    }
}

/// The library refuses padding, other alphabets and bits that encode nothing.
fn decode(part: &str) -> Result<Vec<u8>, TokenFault> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenFault::InvalidFormat)
}

/// The whole header: a member besides these (`crit`, `b64`, `jwk`, `jku`, `x5u`, `x5c`, `zip`…) would change how the token is
/// to be read or name a key of its own choice, so it is refused.
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
