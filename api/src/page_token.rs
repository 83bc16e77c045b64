//! Page tokens: where the next page of a list begins. Clients can neither read nor change them.
//!
//! A token is base64url of a nonce and a secretbox (XSalsa20-Poly1305). The box holds a digest of
//! the list (tenant, kind of key and filter) and a position in it. A token of another list, another
//! tenant or another server does not open.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto_secretbox::XSalsa20Poly1305;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use talos_model::clock::{self, UnixMillis};
use talos_model::{KeyKind, Secret, Selection, Status};

use crate::error::ApiError;
use crate::limits;

/// Separates these keys from other keys that are derived from the same secrets.
const LABEL: &[u8] = b"talos/pagination/v1/cursor-key";
const NONCE_BYTES: usize = 24;
const DIGEST_BYTES: usize = 32;

/// Random bytes that seal one token.
pub type Nonce = [u8; NONCE_BYTES];

/// The keys that seal and open page tokens.
#[derive(Clone)]
pub struct PageTokenKeys {
    current: XSalsa20Poly1305,
    /// Each with the instant from which it opens no token.
    retired: Vec<(XSalsa20Poly1305, UnixMillis)>,
}

impl PageTokenKeys {
    /// Derives the keys from the server's secrets. The current one seals; all of them open.
    #[must_use]
    pub fn new(current: &Secret, retired: &[Secret]) -> Self {
        let always = UnixMillis(i64::MAX);
        Self::expiring(current, retired.iter().map(|secret| (secret, always)))
    }

    /// As [`Self::new`], with the instant from which each retired secret opens no token.
    #[must_use]
    pub fn expiring<'a>(
        current: &Secret,
        retired: impl Iterator<Item = (&'a Secret, UnixMillis)>,
    ) -> Self {
        Self {
            current: key(current),
            retired: retired
                .map(|(secret, until)| (key(secret), until))
                .collect(),
        }
    }

    /// The token of the page of `selection` that begins after `after`. Every token needs a `nonce`
    /// of its own.
    pub(crate) fn seal(
        &self,
        selection: &Selection,
        after: &[u8],
        nonce: &Nonce,
    ) -> Result<String, ApiError> {
        let place = [digest(selection).as_slice(), after].concat();
        // Fails only for plaintexts of hundreds of gigabytes.
        let sealed = self
            .current
            .encrypt(nonce.into(), place.as_slice())
            .map_err(|_| ApiError::internal())?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// The position after which the page of `token` begins.
    ///
    /// # Errors
    /// 400 when the token belongs to another selection, or none of these keys opens it.
    pub(crate) fn open(&self, selection: &Selection, token: &str) -> Result<Vec<u8>, ApiError> {
        self.place(selection, token, clock::now()).ok_or_else(|| {
            let message = "does not belong to this list and filter; begin without one";
            ApiError::invalid_field("page_token", message)
        })
    }

    fn place(&self, selection: &Selection, token: &str, now: UnixMillis) -> Option<Vec<u8>> {
        if token.len() > limits::PAGE_TOKEN_BYTES {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let retired = self.retired.iter().filter(|(_, until)| now < *until);
        let place = std::iter::once(&self.current)
            .chain(retired.map(|(key, _)| key))
            .find_map(|key| key.decrypt(nonce.into(), sealed).ok())?;
        let (list, after) = place.split_first_chunk::<DIGEST_BYTES>()?;
        (*list == digest(selection)).then(|| after.to_vec())
    }
}

impl fmt::Debug for PageTokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageTokenKeys(…)")
    }
}

fn key(secret: &Secret) -> XSalsa20Poly1305 {
    let key = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(secret.expose().as_bytes());
    // HMAC accepts keys of every length (RFC 2104 §2), so the default is never used.
    let key: [u8; 32] = key.map_or_else(
        |_| Sha256::digest(LABEL).into(),
        |key| key.chain_update(LABEL).finalize().into_bytes().into(),
    );
    XSalsa20Poly1305::new(&key.into())
}

/// Identifies a list. Every part but the last has a fixed length, so the parts cannot be shifted.
fn digest(selection: &Selection) -> [u8; DIGEST_BYTES] {
    let kind = match selection.kind {
        KeyKind::Issued => 1,
        KeyKind::Imported => 2,
    };
    let status = match selection.status {
        None => 0,
        Some(Status::Active) => 1,
        Some(Status::Revoked) => 2,
        Some(Status::Expired) => 3,
    };
    // No actor has the empty id, so the empty text means no condition.
    let actor_id = selection.actor_id.as_deref().unwrap_or_default();
    Sha256::new()
        .chain_update(selection.tenant.0.as_bytes())
        .chain_update([kind, status])
        .chain_update(actor_id)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use talos_model::TenantId;

    use super::*;

    const NONCE: Nonce = [7; NONCE_BYTES];

    fn keys(current: &str, retired: &[&str]) -> PageTokenKeys {
        let secret = |text: &str| Secret::new(text.to_owned());
        let retired: Vec<_> = retired.iter().map(|text| secret(text)).collect();
        PageTokenKeys::new(&secret(current), &retired)
    }

    fn selections() -> Vec<Selection> {
        let mut other_tenant = *TenantId::SINGLE.0.as_bytes();
        other_tenant[15] = 1;
        let tenants = [
            TenantId::SINGLE,
            TenantId(uuid::Uuid::from_bytes(other_tenant)),
        ];
        let statuses = [
            None,
            Some(Status::Active),
            Some(Status::Revoked),
            Some(Status::Expired),
        ];
        let mut selections = Vec::new();
        for tenant in tenants {
            for kind in [KeyKind::Issued, KeyKind::Imported] {
                for status in statuses {
                    for actor_id in [None, Some("a"), Some("b")] {
                        selections.push(Selection {
                            tenant,
                            kind,
                            status,
                            actor_id: actor_id.map(ToOwned::to_owned),
                        });
                    }
                }
            }
        }
        selections
    }

    #[test]
    fn a_token_opens_for_its_own_list_only() {
        let keys = keys("a", &[]);
        for (index, selection) in selections().iter().enumerate() {
            let token = keys.seal(selection, b"place", &NONCE).expect("a token");
            for (other, selection) in selections().iter().enumerate() {
                let place = keys.open(selection, &token);
                if index == other {
                    assert_eq!(place, Ok(b"place".to_vec()));
                } else {
                    assert_eq!(place.expect_err("an error").status(), 400);
                }
            }
        }
    }

    #[test]
    fn retired_secrets_open_and_others_do_not() {
        let selection = &selections()[0];
        let token = keys("old", &[])
            .seal(selection, b"place", &NONCE)
            .expect("a token");
        assert!(
            keys("new", &["other", "old"])
                .open(selection, &token)
                .is_ok()
        );
        assert!(keys("new", &["other"]).open(selection, &token).is_err());
    }

    #[test]
    fn a_retired_secret_opens_until_it_expires() {
        let selection = &selections()[0];
        let token = keys("old", &[]).seal(selection, b"place", &NONCE);
        let token = token.expect("a token");
        let (new, old) = ("new", Secret::new("old".to_owned()));
        let retired = [(&old, UnixMillis(1_000))].into_iter();
        let keys = PageTokenKeys::expiring(&Secret::new(new.to_owned()), retired);
        for (now, opens) in [(0, true), (999, true), (1_000, false), (5_000, false)] {
            let place = keys.place(selection, &token, UnixMillis(now));
            assert_eq!(place.is_some(), opens, "{now}");
        }
        assert!(keys.open(selection, &token).is_err());
    }

    #[test]
    fn an_altered_token_does_not_open() {
        let (keys, selection) = (keys("a", &[]), &selections()[0]);
        let token = keys.seal(selection, b"place", &NONCE).expect("a token");
        for index in 0..token.len() {
            for replacement in ["A", "B", "=", "%", ""] {
                let mut altered = token.clone();
                altered.replace_range(index..=index, replacement);
                assert!(
                    altered == token || keys.open(selection, &altered).is_err(),
                    "{altered}"
                );
            }
        }
        let long = token.clone() + &"A".repeat(limits::PAGE_TOKEN_BYTES);
        for altered in [
            token.clone() + "A",
            token.repeat(2),
            long,
            token[1..].to_owned(),
            "x".to_owned(),
        ] {
            assert!(keys.open(selection, &altered).is_err(), "{altered}");
        }
    }

    /// Computed with libsodium: `crypto_secretbox_easy` of SHA-256(16 zero bytes, 1, 0) and
    /// `place`, under the nonce and HMAC-SHA256("a", [`LABEL`]).
    #[test]
    fn the_box_is_nacls() {
        let token = keys("a", &[])
            .seal(&selections()[0], b"place", &NONCE)
            .expect("a token");
        assert_eq!(
            token,
            "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHXyprHBkO11__E8xlPQ-u52jUU2QWG22_esMJsC7zBkI95RpJIQ922nF0ATI68h4e5BvCP3I"
        );
    }

    #[test]
    fn tokens_and_keys_tell_nothing() {
        let keys = keys("do-not-print", &[]);
        assert_eq!(format!("{keys:?}"), "PageTokenKeys(…)");
        let token = keys
            .seal(&selections()[0], b"a readable place", &NONCE)
            .expect("a token");
        let bytes = URL_SAFE_NO_PAD.decode(token).expect("base64url");
        assert!(!bytes.windows(8).any(|window| window == b"readable"));
    }
}
