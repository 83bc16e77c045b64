//! `credentials`: the issuer, issued keys and derived tokens.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::key::{Fallback, Key, public, secret};
use crate::kind::Kind;

const SECOND: Duration = Duration::from_secs(1);
/// The longest life of a key: ten years of 365 days.
const TTL_MAX: Duration = Duration::from_secs(315_360_000);
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(10 * 60);
const KEY_PREFIX_CHARACTERS_MAX: usize = 16;
const MACAROON_PREFIX_CHARACTERS_MAX: usize = 8;

pub(super) const KEYS: &[Key] = &[
    public(
        "credentials.issuer",
        Fallback::Required(
            "it names the issuer of the keys, usually the public URL of this server, such as https://keys.example.com",
        ),
        Kind::Text {
            set: |s, issuer| s.credentials.issuer = issuer,
        },
    )
    .about(
        "The issuer of the keys, usually the public URL of this server. Every valid \
         answer names it.",
    )
    .example("https://keys.example.com"),
    public(
        "credentials.issuer_retired",
        Fallback::Unset("none"),
        Kind::RetiredIssuers {
            set: |s, issuers| s.credentials.issuers_retired = issuers,
        },
    )
    .about(
        "Former issuers. Their derived tokens are still accepted, some only until \
         expires_at.",
    )
    .example("['https://old.example.com', {value: 'https://older.example.com', expires_at: 2027-01-31T00:00:00Z}]"),
    public(
        "credentials.clock_skew",
        Fallback::Value("5m"),
        Kind::Duration {
            min: Duration::ZERO,
            max: CLOCK_SKEW_MAX,
            set: |s, skew| s.credentials.clock_skew = skew,
        },
    )
    .about(
        "How far clocks may be off, and those of two nodes differ; see docs/clocks.md.",
    ),
    public(
        "credentials.api_keys.default_ttl",
        Fallback::Unset("keys do not expire"),
        Kind::Duration {
            min: SECOND,
            max: TTL_MAX,
            set: |s, ttl| s.credentials.api_keys.default_ttl = Some(ttl),
        },
    )
    .about(
        "The lifetime of a key that is issued without a ttl.",
    )
    .example("90d"),
    public(
        "credentials.api_keys.max_ttl",
        Fallback::Value("8760h"),
        Kind::Duration {
            min: SECOND,
            max: TTL_MAX,
            set: |s, ttl| s.credentials.api_keys.max_ttl = ttl,
        },
    )
    .about(
        "The maximum age of an issued key, whatever its expiry says.",
    ),
    public(
        "credentials.api_keys.prefix.current",
        Fallback::Value("ory_ak"),
        Kind::Prefix {
            characters_max: KEY_PREFIX_CHARACTERS_MAX,
            set: |s, prefix| s.credentials.api_keys.prefix.current = prefix,
        },
    )
    .about(
        "The prefix of new issued keys.",
    )
    .example("acme"),
    public(
        "credentials.api_keys.prefix.retired",
        Fallback::Unset("none"),
        Kind::Prefixes {
            characters_max: KEY_PREFIX_CHARACTERS_MAX,
            set: |s, prefixes| s.credentials.api_keys.prefix.retired = prefixes,
        },
    )
    .about(
        "Former prefixes that are still accepted.",
    )
    .example("[ory_ak]"),
    public(
        "credentials.api_keys.prefix.public_current",
        Fallback::Unset("public keys cannot be issued"),
        Kind::Prefix {
            characters_max: KEY_PREFIX_CHARACTERS_MAX,
            set: |s, prefix| s.credentials.api_keys.prefix.public_current = Some(prefix),
        },
    )
    .about(
        "The prefix of keys with public visibility.",
    )
    .example("acme_pub"),
    public(
        "credentials.api_keys.prefix.public_retired",
        Fallback::Unset("none"),
        Kind::Prefixes {
            characters_max: KEY_PREFIX_CHARACTERS_MAX,
            set: |s, prefixes| s.credentials.api_keys.prefix.public_retired = prefixes,
        },
    )
    .about(
        "Former prefixes of such keys that are still accepted.",
    )
    .example("[old_pub]"),
    public(
        "credentials.derived_tokens.check_parent",
        Fallback::Value("true"),
        Kind::Boolean {
            set: |s, check| s.credentials.derived_tokens.check_parent = check,
        },
    )
    .about(
        "true = a token becomes invalid at once when its key does. false = it is valid \
         until it expires, and verifying it does not read its key.",
    )
    .example("false"),
    public(
        "credentials.derived_tokens.default_ttl",
        Fallback::Value("1h"),
        Kind::Duration {
            min: SECOND,
            max: TTL_MAX,
            set: |s, ttl| s.credentials.derived_tokens.default_ttl = ttl,
        },
    )
    .about(
        "The lifetime of a token that is derived without a ttl. It never exceeds the \
         remaining lifetime of the key.",
    ),
    secret(
        "credentials.derived_tokens.jwt.signing_keys.urls",
        Fallback::Unset("none"),
        Kind::SigningKeys {
            set: |s, sets, keys| {
                s.credentials.key_sets = sets;
                s.credentials.signing_keys = Arc::new(keys);
            },
        },
    )
    .about(
        "JWK sets with Ed25519 or RSA keys: base64://…, file://PATH, or https://…, which \
         is fetched at the start. Private keys sign and verify; public keys only verify. \
         A set may be empty.",
    )
    .example("['base64://eyJrZXlzIjpbXX0=']"),
    public(
        "credentials.derived_tokens.jwt.signing_keys.ca",
        Fallback::Unset("the authorities that browsers trust"),
        Kind::Text {
            set: |s, path| s.credentials.key_sets_ca = Some(PathBuf::from(path)),
        },
    )
    .about(
        "PEM file of the only certificate authorities that the certificates of https:// \
         URLs may come from.",
    )
    .example("/etc/talos/ca.pem"),
    public(
        "credentials.derived_tokens.jwt.signing_key_id",
        Fallback::Unset("the first key whose use is sig, else the first"),
        Kind::OptionalText {
            set: |s, kid| s.credentials.derived_tokens.signing_key_id = kid,
        },
    )
    .about(
        "The kid of the key that signs.",
    )
    .example("key-2"),
    public(
        "credentials.derived_tokens.macaroon.prefix.current",
        Fallback::Value("mc"),
        Kind::Prefix {
            characters_max: MACAROON_PREFIX_CHARACTERS_MAX,
            set: |s, prefix| s.credentials.derived_tokens.macaroon_prefixes.current = prefix,
        },
    )
    .about(
        "The prefix of new macaroons; not a prefix of issued keys.",
    ),
    public(
        "credentials.derived_tokens.macaroon.prefix.retired",
        Fallback::Unset("none"),
        Kind::Prefixes {
            characters_max: MACAROON_PREFIX_CHARACTERS_MAX,
            set: |s, prefixes| s.credentials.derived_tokens.macaroon_prefixes.retired = prefixes,
        },
    )
    .about(
        "Former prefixes that are still accepted.",
    )
    .example("[mac]"),
];
