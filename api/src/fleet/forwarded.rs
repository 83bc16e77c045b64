//! What a replica says of the client whose request it forwards: its address, and who it is if only
//! its connection to the replica proves that. A token needs no such words, because it is passed on
//! and judged again.
//!
//! Guarantees: only a node with the fleet's secret can say it; it holds for one method, target,
//! host and body, and for [`FRESH`]; its parts have one reading, because each is sealed with its
//! length.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use talos_model::clock::UnixMillis;
use talos_model::{Principal, Proof, Secret, TenantId};
use zeroize::Zeroizing;

use crate::limits;

/// The header that holds a sealed [`ForwardedClient`]: its version, its text in base64url of JSON,
/// and its seal in base64url, with dots in between.
pub const FORWARDED_CLIENT_HEADER: &str = "talos-forwarded-client";
/// How far the time in a sealed text may be from the time of the node that opens it.
pub const FRESH: Duration = Duration::from_secs(60);

const VERSION: &str = "v1";
/// Separates this key from other keys that are derived from the same secret.
const LABEL: &[u8] = b"talos/forwarding/v1/seal-key";

/// The keys that seal what nodes say of clients, derived from the secrets of the fleet.
#[derive(Clone)]
pub struct ForwardingKeys {
    current: Key,
    retired: Vec<Key>,
}

type Key = Zeroizing<[u8; 32]>;

/// The request that a seal is for, without its body.
#[derive(Clone, Copy, Debug)]
pub struct SealedRequest<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// The path as sent.
    pub path: &'a str,
    /// The query as sent, without the `?`; empty when there is none.
    pub query: &'a str,
    /// The value of `Host`.
    pub host: &'a str,
}

/// What a node says of the client whose request it forwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedClient {
    /// The client's principal, if its connection proves one.
    pub principal: Option<Principal>,
    /// The client's address; `None` = unknown.
    pub address: Option<IpAddr>,
    /// The SHA-256 of the request's body.
    pub body: [u8; 32],
    /// When the node said it.
    pub time: UnixMillis,
}

/// The sealed text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    name: Option<String>,
    proof: Option<String>,
    role: Option<String>,
    tenant: Option<String>,
    address: Option<IpAddr>,
    body: String,
    time: i64,
}

/// The SHA-256 of a body, for [`ForwardedClient::body`].
#[must_use]
pub fn body_digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

impl ForwardingKeys {
    /// Derives the keys from the secrets of the fleet. The current one seals; all of them open.
    #[must_use]
    pub fn new(current: &Secret, retired: &[Secret]) -> Self {
        Self {
            current: key(current),
            retired: retired.iter().map(key).collect(),
        }
    }

    /// The value of [`FORWARDED_CLIENT_HEADER`] for `request`. `None` when the principal proved
    /// itself by a token, which is never vouched for.
    #[must_use]
    pub fn seal(&self, request: &SealedRequest<'_>, client: &ForwardedClient) -> Option<String> {
        let text = serde_json::to_vec(&Text::of(client)?).ok()?;
        let text = URL_SAFE_NO_PAD.encode(text);
        let seal = mac(&self.current, request, &text)?.finalize().into_bytes();
        Some(format!("{VERSION}.{text}.{}", URL_SAFE_NO_PAD.encode(seal)))
    }

    /// What the header of `request` says; `None` when its seal does not hold or its time is not
    /// near `now`. The seal is checked first, and in constant time.
    #[must_use]
    pub fn open(
        &self,
        request: &SealedRequest<'_>,
        value: &[u8],
        now: UnixMillis,
    ) -> Option<ForwardedClient> {
        if value.len() > limits::FORWARDED_CLIENT_BYTES {
            return None;
        }
        let value = std::str::from_utf8(value).ok()?;
        let (text, seal) = value
            .strip_prefix(VERSION)?
            .strip_prefix('.')?
            .split_once('.')?;
        let seal = URL_SAFE_NO_PAD.decode(seal).ok()?;
        let holds =
            |key: &Key| mac(key, request, text).is_some_and(|mac| mac.verify_slice(&seal).is_ok());
        if !std::iter::once(&self.current)
            .chain(&self.retired)
            .any(holds)
        {
            return None;
        }
        let text: Text = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let client = text.client()?;
        let distance = now.0.abs_diff(client.time.0);
        (u128::from(distance) <= FRESH.as_millis()).then_some(client)
    }
}

impl fmt::Debug for ForwardingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForwardingKeys(…)")
    }
}

fn key(secret: &Secret) -> Key {
    let mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(secret.expose().as_bytes());
    // HMAC accepts keys of every length (RFC 2104 §2), so the default is never used.
    Zeroizing::new(mac.map_or_else(
        |_| Sha256::digest(LABEL).into(),
        |mac| mac.chain_update(LABEL).finalize().into_bytes().into(),
    ))
}

/// The code of `request` and `text`, each part with its length before it.
fn mac(key: &Key, request: &SealedRequest<'_>, text: &str) -> Option<Hmac<Sha256>> {
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key.as_slice()).ok()?;
    let SealedRequest {
        method,
        path,
        query,
        host,
    } = request;
    for part in [VERSION, method, path, query, host, text] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    Some(mac)
}

impl Text {
    fn of(client: &ForwardedClient) -> Option<Self> {
        let principal = client.principal.as_ref();
        if principal.is_some_and(|principal| !is_of_connection(principal.proof)) {
            return None;
        }
        Some(Self {
            name: principal.map(|principal| principal.name.clone()),
            proof: principal.map(|principal| principal.proof.name().to_owned()),
            role: principal.map(|principal| principal.role.name().to_owned()),
            tenant: principal.and_then(|principal| Some(principal.tenant?.0.to_string())),
            address: client.address,
            body: URL_SAFE_NO_PAD.encode(client.body),
            time: client.time.0,
        })
    }

    fn client(self) -> Option<ForwardedClient> {
        let tenant = self.tenant.map(|tenant| tenant.parse().map(TenantId));
        let principal = match (self.name, self.proof, self.role) {
            (None, None, None) => None,
            (Some(name), Some(proof), Some(role)) => Some(Principal {
                name,
                proof: OF_CONNECTIONS
                    .into_iter()
                    .find(|known| known.name() == proof)?,
                role: role.parse().ok()?,
                tenant: tenant.transpose().ok()?,
            }),
            _ => return None,
        };
        Some(ForwardedClient {
            principal,
            address: self.address,
            body: URL_SAFE_NO_PAD.decode(self.body).ok()?.try_into().ok()?,
            time: UnixMillis(self.time),
        })
    }
}

/// The proofs that only a connection has.
const OF_CONNECTIONS: [Proof; 2] = [Proof::Certificate, Proof::PeerCredentials];

/// Whether only the connection of the client proves the principal, so that the node which forwards
/// its request has to vouch for it.
#[must_use]
pub fn is_of_connection(proof: Proof) -> bool {
    OF_CONNECTIONS.contains(&proof)
}

#[cfg(test)]
mod tests {
    use talos_model::Role;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
    const REQUEST: SealedRequest<'_> = SealedRequest {
        method: "POST",
        path: "/keys/a",
        query: "wait=replicas",
        host: "keys.example",
    };

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn client() -> ForwardedClient {
        ForwardedClient {
            principal: Some(Principal {
                name: "deploy \"1\"".to_owned(),
                proof: Proof::PeerCredentials,
                role: Role::Write,
                tenant: Some(TenantId::SINGLE),
            }),
            address: Some("2001:db8::1".parse().unwrap()),
            body: body_digest(b"{}"),
            time: NOW,
        }
    }

    #[test]
    fn what_a_node_says_is_read_by_nodes_with_its_secret() {
        let keys = ForwardingKeys::new(&secret("one"), &[]);
        let nobody = ForwardedClient {
            principal: None,
            address: None,
            ..client()
        };
        for client in [client(), nobody] {
            let value = keys.seal(&REQUEST, &client).unwrap();
            assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{value}");
            let open = |keys: &ForwardingKeys| keys.open(&REQUEST, value.as_bytes(), NOW);
            assert_eq!(open(&keys), Some(client.clone()));
            let rotated = ForwardingKeys::new(&secret("two"), &[secret("one")]);
            assert_eq!(open(&rotated), Some(client));
            assert_eq!(open(&ForwardingKeys::new(&secret("two"), &[])), None);
        }
    }

    #[test]
    fn it_holds_for_its_request_and_its_time_only() {
        let keys = ForwardingKeys::new(&secret("one"), &[]);
        let value = keys.seal(&REQUEST, &client()).unwrap();
        let opens = |request: &SealedRequest<'_>, now: i64| {
            keys.open(request, value.as_bytes(), UnixMillis(now))
                .is_some()
        };
        let fresh = i64::try_from(FRESH.as_millis()).unwrap();
        for (distance, is_opened) in [
            (0, true),
            (fresh, true),
            (-fresh, true),
            (fresh + 1, false),
            (-fresh - 1, false),
        ] {
            assert_eq!(opens(&REQUEST, NOW.0 + distance), is_opened, "{distance}");
        }
        let others = [
            SealedRequest {
                method: "PUT",
                ..REQUEST
            },
            SealedRequest {
                path: "/keys/b",
                ..REQUEST
            },
            SealedRequest {
                query: "",
                ..REQUEST
            },
            SealedRequest {
                host: "other.example",
                ..REQUEST
            },
            // A byte moves from one part to the next.
            SealedRequest {
                path: "/keys/await",
                query: "=replicas",
                ..REQUEST
            },
        ];
        for other in others {
            assert!(!opens(&other, NOW.0), "{other:?}");
        }
    }

    #[test]
    fn every_altered_byte_breaks_the_seal() {
        let keys = ForwardingKeys::new(&secret("one"), &[]);
        let value = keys.seal(&REQUEST, &client()).unwrap().into_bytes();
        for at in 0..value.len() {
            let mut altered = value.clone();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(keys.open(&REQUEST, &altered, NOW), None, "{at}");
            assert_eq!(keys.open(&REQUEST, &value[..at], NOW), None, "{at}");
        }
        let long = vec![b'A'; limits::FORWARDED_CLIENT_BYTES + 1];
        for other in [&b""[..], b"v1", b"v1..", b"v1.e30.", b"v2.e30.e30", &long] {
            assert_eq!(keys.open(&REQUEST, other, NOW), None);
        }
    }

    #[test]
    fn no_node_vouches_for_a_token() {
        let keys = ForwardingKeys::new(&secret("one"), &[]);
        for proof in [Proof::Token, Proof::BootstrapToken] {
            let mut client = client();
            client.principal.as_mut().unwrap().proof = proof;
            assert_eq!(keys.seal(&REQUEST, &client), None);
            // Not even a node that has the secret can.
            let mut text = Text::of(&self::client()).unwrap();
            text.proof = Some(proof.name().to_owned());
            let text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&text).unwrap());
            let seal = mac(&keys.current, &REQUEST, &text).unwrap().finalize();
            let seal = URL_SAFE_NO_PAD.encode(seal.into_bytes());
            let value = format!("v1.{text}.{seal}");
            assert_eq!(keys.open(&REQUEST, value.as_bytes(), NOW), None);
        }
    }

    #[test]
    fn the_longest_client_fits() {
        let keys = ForwardingKeys::new(&secret("one"), &[]);
        let mut client = client();
        client.principal.as_mut().unwrap().name = "\u{10ffff}".repeat(255);
        let value = keys.seal(&REQUEST, &client).unwrap();
        assert_eq!(keys.open(&REQUEST, value.as_bytes(), NOW), Some(client));
        assert_eq!(format!("{keys:?}"), "ForwardingKeys(…)");
    }
}
