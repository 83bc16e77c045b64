//! Issued keys: `{prefix}_v1_{identifier}_{checksum}`.
//!
//! The identifier is base58 (Bitcoin's alphabet) of the ASCII text `{unix seconds}:{uuid}`. The
//! checksum is base58 of the HMAC-SHA256 over everything before it, including the underscore. The
//! uuid is the key's id, so the credential itself need not be stored.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use talos_model::clock::UnixMillis;
use talos_model::{Secret, SecretFingerprint};
use uuid::Uuid;

use super::base58;

/// The length of the longest identifier that is decoded, in base58: 20 digits, a colon, 36
/// characters of a UUID.
const IDENTIFIER_CHARS_MAX: usize = base58::CHARS_MAX;
/// Base58 of 32 bytes takes 32 to 44 characters.
const CHECKSUM_CHARS_MAX: usize = 44;
const CHECKSUM_BYTES: usize = 32;
const VERSION: &[u8] = b"_v1";
/// The text whose HMAC under a secret identifies the secret.
const FINGERPRINT: &[u8] = b"talos/secrets/v1/fingerprint";

/// An HMAC secret, prepared for computing checksums.
#[derive(Clone)]
pub struct ChecksumKey(Hmac<Sha256>);

impl ChecksumKey {
    /// Prepares `secret` for use.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        // HMAC accepts keys of every length (RFC 2104 §2). The error branch, an empty key, is
        // unreachable.
        Self(
            Hmac::new_from_slice(secret.expose().as_bytes())
                .unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default())),
        )
    }

    /// Identifies the secret without revealing it. No key is signed over this text: a prefix has no
    /// slash.
    #[must_use]
    pub fn fingerprint(&self) -> SecretFingerprint {
        let code = self.checksum(FINGERPRINT);
        SecretFingerprint(code.first_chunk().copied().unwrap_or_default())
    }

    fn checksum(&self, signed: &[u8]) -> [u8; CHECKSUM_BYTES] {
        self.0
            .clone()
            .chain_update(signed)
            .finalize()
            .into_bytes()
            .into()
    }
}

impl std::fmt::Debug for ChecksumKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChecksumKey(…)")
    }
}

/// A text in the format of an issued key. Its checksum is not verified yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuedKey<'a> {
    /// Everything before `_v1_`.
    pub prefix: &'a [u8],
    /// The issue time in the identifier.
    pub issue_time: UnixMillis,
    /// The id of the key.
    pub uuid: Uuid,
    signed: &'a [u8],
    checksum: [u8; CHECKSUM_BYTES],
    checksum_is_whole: bool,
}

impl<'a> IssuedKey<'a> {
    /// Parses `credential`; `None` if it has another format.
    #[must_use]
    pub fn parse(credential: &'a [u8]) -> Option<Self> {
        let underscore = credential.iter().rposition(|&c| c == b'_')?;
        let (signed, checksum_text) = credential.split_at_checked(underscore + 1)?;
        let (head, _) = signed.split_at_checked(underscore)?;
        let before = head.iter().rposition(|&c| c == b'_')?;
        let (head, identifier) = (head.get(..before)?, head.get(before + 1..)?);
        let prefix = head.strip_suffix(VERSION)?;
        if prefix.is_empty()
            || identifier.len() > IDENTIFIER_CHARS_MAX
            || checksum_text.len() > CHECKSUM_CHARS_MAX
        {
            return None;
        }

        let mut decoded = [0; IDENTIFIER_CHARS_MAX];
        let len = base58::decode(identifier, &mut decoded)?;
        let (issue_time, uuid) = parse_identifier(decoded.get(..len)?)?;

        let mut checksum = [0; CHECKSUM_CHARS_MAX];
        let len = base58::decode(checksum_text, &mut checksum)?;
        let checksum_is_whole = len == CHECKSUM_BYTES;
        let checksum = *checksum.first_chunk()?;
        Some(Self {
            prefix,
            issue_time,
            uuid,
            signed,
            checksum,
            checksum_is_whole,
        })
    }

    /// Whether the checksum was made with this secret. Takes the same time for every checksum.
    #[must_use]
    pub fn is_signed_by(&self, key: &ChecksumKey) -> bool {
        let equal = key.checksum(self.signed).ct_eq(&self.checksum);
        bool::from(equal) && self.checksum_is_whole
    }
}

/// Makes the credential of the key `uuid` that is issued at `issue_time`.
#[must_use]
pub fn make(prefix: &str, issue_time: UnixMillis, uuid: Uuid, key: &ChecksumKey) -> Secret {
    let identifier =
        bs58::encode(format!("{}:{}", issue_time.seconds(), uuid.hyphenated())).into_string();
    let signed = format!("{prefix}_v1_{identifier}_");
    let checksum = bs58::encode(key.checksum(signed.as_bytes())).into_string();
    Secret::new(signed + &checksum)
}

/// Parses `{unix seconds}:{uuid}`: the uuid hyphenated and in lower case, the seconds without sign
/// or leading zero.
fn parse_identifier(text: &[u8]) -> Option<(UnixMillis, Uuid)> {
    let colon = text.iter().position(|&c| c == b':')?;
    let (seconds, uuid) = (text.get(..colon)?, text.get(colon + 1..)?);
    let canonical =
        matches!(seconds, [b'0'] | [b'1'..=b'9', ..]) && seconds.iter().all(u8::is_ascii_digit);
    if !canonical
        || uuid.len() != uuid::fmt::Hyphenated::LENGTH
        || uuid.iter().any(u8::is_ascii_uppercase)
    {
        return None;
    }
    let seconds: i64 = std::str::from_utf8(seconds).ok()?.parse().ok()?;
    Some((
        UnixMillis(seconds.checked_mul(1000)?),
        Uuid::try_parse_ascii(uuid).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";

    fn key(secret: &str) -> ChecksumKey {
        ChecksumKey::new(&Secret::new(secret.to_owned()))
    }

    fn sample(prefix: &str) -> String {
        make(
            prefix,
            UnixMillis(1_750_000_000_123),
            Uuid::try_parse(UUID).unwrap(),
            &key("s"),
        )
        .expose()
        .to_owned()
    }

    #[test]
    fn made_credentials_are_recognised() {
        for prefix in ["talos", "ory_ak", "_", "a_v1_b"] {
            let text = sample(prefix);
            let parsed = IssuedKey::parse(text.as_bytes()).unwrap();
            assert_eq!(
                (parsed.prefix, parsed.issue_time),
                (prefix.as_bytes(), UnixMillis(1_750_000_000_000))
            );
            assert_eq!(parsed.uuid.to_string(), UUID);
            assert!(parsed.is_signed_by(&key("s")) && !parsed.is_signed_by(&key("t")));
        }
    }

    /// Computed with an independent base58 and Python's hmac module.
    #[test]
    fn the_format_is_that_of_the_published_system() {
        assert_eq!(
            sample("talos"),
            "talos_v1_QixjHYYL488U6zBiHQVEHiYkdMtq7aNigrnDv1fcUanj9ar5oMYwr3ehMW9mtceV_7hPit31ryzs1TxsRw4wSuYvmWmHvBuM4R27WtscbLnrK"
        );
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let text = sample("talos");
        for at in 0..text.len() {
            for with in [b'1', b'z', b'_', b'0', 0, 0xff] {
                let mut changed = text.clone().into_bytes();
                if std::mem::replace(&mut changed[at], with) != with {
                    let accepted = IssuedKey::parse(&changed)
                        .is_some_and(|parsed| parsed.is_signed_by(&key("s")));
                    assert!(!accepted, "{at} {with}");
                }
            }
        }
        for cut in 0..text.len() {
            let accepted = IssuedKey::parse(&text.as_bytes()[..cut])
                .is_some_and(|parsed| parsed.is_signed_by(&key("s")));
            assert!(!accepted, "{cut}");
        }
    }

    #[test]
    fn other_shapes_are_not_issued_keys() {
        let identifier = |text: &str| {
            format!(
                "talos_v1_{}_{}",
                bs58::encode(text).into_string(),
                "1".repeat(32)
            )
        };
        let long = "1".repeat(80);
        for text in [
            String::new(),
            "_v1__".to_owned(),
            "sk_live_abc".to_owned(),
            "talos_v2_abc_def".to_owned(),
            format!("talos_v1_{long}_1"),
            format!("talos_v1_1_{long}"),
            identifier("1750000000"),
            identifier(&format!("+1750000000:{UUID}")),
            identifier(&format!("01750000000:{UUID}")),
            identifier(&format!("99999999999999999999:{UUID}")),
            identifier(&format!("1750000000:{}", UUID.to_uppercase())),
            identifier(&format!("1750000000:{}", UUID.replace('-', ""))),
            identifier(&format!("1750000000:{UUID}:")),
        ] {
            assert_eq!(IssuedKey::parse(text.as_bytes()), None, "{text}");
        }
        assert!(IssuedKey::parse(identifier(&format!("1750000000:{UUID}")).as_bytes()).is_some());
    }
}
