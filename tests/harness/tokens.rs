//! Derived tokens: a second implementation of both formats with another library (`ring`), after
//! RFC 7515 and libmacaroons' description of its format. It uses none of the server's own code.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::signature::Ed25519KeyPair;
use serde_json::Value;

use super::site::{Server, Site};

/// The names of both algorithms.
pub const ALGORITHMS: [&str; 2] = ["TOKEN_ALGORITHM_JWT", "TOKEN_ALGORITHM_MACAROON"];
/// The secret of every site.
pub const SECRET: &str = "a secret for tests, of more than 32 characters";
/// RFC 8037 appendix A.1, with a name.
pub const ED25519_JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"ed-1","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
/// RFC 7520 §3.4.
pub const RSA_JWK: &str = include_str!(
    "../../engine/credentials/src/token/vectors/jose-cookbook/3_4.rsa_private_key.json"
);

/// Starts a server whose environment has these variables; their names come without
/// `TALOS_CREDENTIALS_`.
pub fn start_with(site: &Site, variables: &[(&str, &str)]) -> Server {
    let mut command = site.command();
    for (name, value) in variables {
        command.env(format!("TALOS_CREDENTIALS_{name}"), value);
    }
    let log = tempfile::Builder::new()
        .prefix("server-")
        .suffix(".log")
        .tempfile_in(site.directory())
        .unwrap();
    Server::start(command, log.keep().unwrap().1)
}

/// The variable that names signing keys.
pub const SIGNING_KEYS: &str = "DERIVED_TOKENS_JWT_SIGNING_KEYS_URLS";

/// A key as a URL for the configuration.
pub fn url(jwk: &str) -> String {
    format!("base64://{}", STANDARD.encode(jwk))
}

/// Starts a server that signs with [`ED25519_JWK`].
pub fn start(site: &Site) -> Server {
    start_with(site, &[(SIGNING_KEYS, &url(ED25519_JWK))])
}

/// The text of a JSON string.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Encodes base64url without padding.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes base64url without padding.
pub fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// A JWT of this header and payload, signed with [`ED25519_JWK`].
pub fn sign_jwt(header: &str, payload: &str) -> String {
    let jwk: Value = serde_json::from_str(ED25519_JWK).unwrap();
    let (seed, public) = (decode(&text(&jwk["d"])), decode(&text(&jwk["x"])));
    let key = Ed25519KeyPair::from_seed_and_public_key(&seed, &public).unwrap();
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, message).as_ref().to_vec()
}

/// The signature of a macaroon with this identifier and these caveats with `secret` as the root
/// secret.
pub fn macaroon_signature(secret: &str, identifier: &[u8], caveats: &[Vec<u8>]) -> Vec<u8> {
    let root_key = hmac(secret.as_bytes(), b"talos/macaroon/v1/root-key");
    let derived = hmac(b"macaroons-key-generator", &root_key);
    caveats
        .iter()
        .fold(hmac(&derived, identifier), |signature, caveat| {
            hmac(&signature, caveat)
        })
}

/// The parts of a macaroon of version 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packets {
    /// Its location.
    pub location: Vec<u8>,
    /// Its identifier.
    pub identifier: Vec<u8>,
    /// Its caveats.
    pub caveats: Vec<Vec<u8>>,
    /// The last HMAC of the chain.
    pub signature: Vec<u8>,
}

fn field(kind: u8, data: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut length = data.len();
    while length >= 0x80 {
        packet.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    packet.push(u8::try_from(length).unwrap());
    [packet.as_slice(), data].concat()
}

fn take_field(bytes: &mut &[u8], kind: u8) -> Option<Vec<u8>> {
    let rest = bytes.strip_prefix(&[kind])?;
    let (mut length, mut shift, mut at) = (0_usize, 0, 0);
    loop {
        let byte = rest[at];
        length |= usize::from(byte & 0x7f) << shift;
        (shift, at) = (shift + 7, at + 1);
        if byte < 0x80 {
            break;
        }
    }
    let data = rest[at..at + length].to_vec();
    *bytes = &rest[at + length..];
    Some(data)
}

impl Packets {
    /// A macaroon with these caveats, signed with `secret`.
    pub fn signed(secret: &str, identifier: &str, caveats: &[&str]) -> Self {
        let identifier = identifier.as_bytes().to_vec();
        let caveats: Vec<_> = caveats
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect();
        Self {
            location: b"somewhere".to_vec(),
            signature: macaroon_signature(secret, &identifier, &caveats),
            identifier,
            caveats,
        }
    }

    /// Reads a token with the prefix `mc`.
    pub fn read(token: &str) -> Self {
        let bytes = decode(token.strip_prefix("mc_v1_").unwrap());
        let mut rest = bytes.as_slice();
        rest = rest.strip_prefix(&[2]).unwrap();
        let location = take_field(&mut rest, 1).unwrap();
        let identifier = take_field(&mut rest, 2).unwrap();
        rest = rest.strip_prefix(&[0]).unwrap();
        let mut caveats = Vec::new();
        while let Some(caveat) = take_field(&mut rest, 2) {
            caveats.push(caveat);
            rest = rest.strip_prefix(&[0]).unwrap();
        }
        rest = rest.strip_prefix(&[0]).unwrap();
        let signature = take_field(&mut rest, 6).unwrap();
        assert_eq!(rest, b"");
        Self {
            location,
            identifier,
            caveats,
            signature,
        }
    }

    /// The token, with the prefix `mc`.
    pub fn token(&self) -> String {
        self.token_with(&[])
    }

    /// The token, with the prefix `mc`, and with these bytes after the identifier of each caveat.
    pub fn token_with(&self, after_caveat: &[u8]) -> String {
        let mut bytes = vec![2];
        bytes.extend(field(1, &self.location));
        bytes.extend(field(2, &self.identifier));
        bytes.push(0);
        for caveat in &self.caveats {
            bytes.extend(field(2, caveat));
            bytes.extend(after_caveat);
            bytes.push(0);
        }
        bytes.push(0);
        bytes.extend(field(6, &self.signature));
        format!("mc_v1_{}", encode(bytes))
    }

    /// The macaroon with one more caveat, which every holder can append.
    pub fn append(mut self, caveat: &str) -> Self {
        self.signature = hmac(&self.signature, caveat.as_bytes());
        self.caveats.push(caveat.as_bytes().to_vec());
        self
    }
}
