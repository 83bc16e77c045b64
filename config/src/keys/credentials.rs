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
    ),
    public(
        "credentials.issuer_retired",
        Fallback::Unset("none"),
        Kind::RetiredIssuers {
            set: |s, issuers| s.credentials.issuers_retired = issuers,
        },
    ),
    public(
        "credentials.clock_skew",
        Fallback::Value("5m"),
        Kind::Duration {
            min: Duration::ZERO,
            max: CLOCK_SKEW_MAX,
            set: |s, skew| s.credentials.clock_skew = skew,
        },
    ),
    public(
        "credentials.api_keys.default_ttl",
        Fallback::Unset("keys do not expire"),
        Kind::Duration {
            min: SECOND,
            max: TTL_MAX,
            set: |s, ttl| s.credentials.api_keys.default_ttl = Some(ttl),
        },
    ),
    public(
        "credentials.api_keys.max_ttl",
        Fallback::Value("8760h"),
        Kind::Duration {
            min: SECOND,
            max: TTL_MAX,
            set: |s, ttl| s.credentials.api_keys.max_ttl = ttl,
        },
    ),
    public(
        "credentials.api_keys.prefix.current",
        Fallback::Value("ory_ak"),
        Kind::Prefix {
            characters_max: KEY_PREFIX_CHARACTERS_MAX,
            set: |s, prefix| s.credentials.api_keys.prefix.current = prefix,
        },
    ),
    public(
        "credentials.api_keys.prefix.retired",
        Fallback::Unset("none"),
        Kind::Prefixes {
            characters_max: KEY_PREFIX_CHARACTERS_MAX,
            set: |s, prefixes| s.credentials.api_keys.prefix.retired = prefixes,
        },
    ),
    public(
        "credentials.api_keys.prefix.public_current",
        Fallback::Unset("public keys cannot be issued"),
        Kind::Prefix {
            characters_max: KEY_PREFIX_CHARACTERS_MAX,
            set: |s, prefix| s.credentials.api_keys.prefix.public_current = Some(prefix),
        },
    ),
    public(
        "credentials.api_keys.prefix.public_retired",
        Fallback::Unset("none"),
        Kind::Prefixes {
            characters_max: KEY_PREFIX_CHARACTERS_MAX,
            set: |s, prefixes| s.credentials.api_keys.prefix.public_retired = prefixes,
        },
    ),
    public(
        "credentials.derived_tokens.check_parent",
        Fallback::Value("true"),
        Kind::Boolean {
            set: |s, check| s.credentials.derived_tokens.check_parent = check,
        },
    ),
    public(
        "credentials.derived_tokens.default_ttl",
        Fallback::Value("1h"),
        Kind::Duration {
            min: SECOND,
            max: TTL_MAX,
            set: |s, ttl| s.credentials.derived_tokens.default_ttl = ttl,
        },
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
    ),
    public(
        "credentials.derived_tokens.jwt.signing_keys.ca",
        Fallback::Unset("the authorities that browsers trust"),
        Kind::Text {
            set: |s, path| s.credentials.key_sets_ca = Some(PathBuf::from(path)),
        },
    ),
    public(
        "credentials.derived_tokens.jwt.signing_key_id",
        Fallback::Unset("the first key whose use is sig, else the first"),
        Kind::OptionalText {
            set: |s, kid| s.credentials.derived_tokens.signing_key_id = kid,
        },
    ),
    public(
        "credentials.derived_tokens.macaroon.prefix.current",
        Fallback::Value("mc"),
        Kind::Prefix {
            characters_max: MACAROON_PREFIX_CHARACTERS_MAX,
            set: |s, prefix| s.credentials.derived_tokens.macaroon_prefixes.current = prefix,
        },
    ),
    public(
        "credentials.derived_tokens.macaroon.prefix.retired",
        Fallback::Unset("none"),
        Kind::Prefixes {
            characters_max: MACAROON_PREFIX_CHARACTERS_MAX,
            set: |s, prefixes| s.credentials.derived_tokens.macaroon_prefixes.retired = prefixes,
        },
    ),
];
