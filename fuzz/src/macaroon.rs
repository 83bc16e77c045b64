//! A second, independent writer of macaroons: the bytes of libmacaroons' version 2 and the chain of
//! signatures.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A macaroon in parts.
#[derive(Clone, Debug)]
pub struct Parts {
    pub location: Option<Vec<u8>>,
    pub identifier: Vec<u8>,
    pub caveats: Vec<Vec<u8>>,
    pub signature: [u8; 32],
}

impl Parts {
    /// The macaroon that a server with this secret mints from these parts.
    #[must_use]
    pub fn signed(
        secret: &str,
        location: Option<Vec<u8>>,
        identifier: Vec<u8>,
        caveats: Vec<Vec<u8>>,
    ) -> Self {
        let root_key = hmac(secret.as_bytes(), b"talos/macaroon/v1/root-key");
        let derived_key = hmac(b"macaroons-key-generator", &root_key);
        let mut parts = Self {
            location,
            signature: hmac(&derived_key, &identifier),
            identifier,
            caveats: Vec::new(),
        };
        for caveat in caveats {
            parts.append(caveat);
        }
        parts
    }

    /// Appends a caveat. Every holder can do this.
    pub fn append(&mut self, caveat: Vec<u8>) {
        self.signature = hmac(&self.signature, &caveat);
        self.caveats.push(caveat);
    }

    /// The macaroon as a credential.
    #[must_use]
    pub fn token(&self, prefix: &str) -> String {
        let mut bytes = vec![2];
        if let Some(location) = &self.location {
            packet(&mut bytes, 1, location);
        }
        packet(&mut bytes, 2, &self.identifier);
        bytes.push(0);
        for caveat in &self.caveats {
            packet(&mut bytes, 2, caveat);
            bytes.push(0);
        }
        bytes.push(0);
        packet(&mut bytes, 6, &self.signature);
        format!("{prefix}_v1_{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// Appends a packet: type, length as a varint, content.
fn packet(bytes: &mut Vec<u8>, kind: u8, content: &[u8]) {
    bytes.push(kind);
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(u8::try_from(length % 0x80).expect("seven bits") + 0x80);
        length /= 0x80;
    }
    bytes.push(u8::try_from(length).expect("seven bits"));
    bytes.extend(content);
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let key = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    key.chain_update(message).finalize().into_bytes().into()
}
