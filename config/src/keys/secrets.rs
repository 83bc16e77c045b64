//! `secrets`: HMAC secrets of issued keys and of page tokens.

use crate::key::{Fallback, Key, secret};
use crate::kind::Kind;

pub(super) const KEYS: &[Key] = &[
    secret(
        "secrets.default.current",
        Fallback::Unset("each purpose needs its own secret"),
        Kind::Secret {
            set: |s, secret| s.secrets.default.current = Some(secret),
        },
    )
    .about(
        "Used for secrets.hmac.current and secrets.pagination.current if they are unset.",
    )
    .example("4f1b0c9d2e7a6853f1b0c9d2e7a68534"),
    secret(
        "secrets.default.retired",
        Fallback::Unset("none"),
        Kind::RetiredSecrets {
            set: |s, secrets| s.secrets.default.retired = secrets,
        },
    )
    .about(
        "Former default secrets. What they signed is still accepted, some of it only \
         until expires_at.",
    )
    .example("[9a3c5e7f1b2d4806a3c5e7f1b2d48069]"),
    secret(
        "secrets.hmac.current",
        Fallback::RequiredUnless {
            path: "secrets.default.current",
            advice: "the project has no HMAC key configured; make one with `openssl rand -hex 32`, or start a development server with `talos serve --dev`",
        },
        Kind::Secret {
            set: |s, secret| s.secrets.hmac_current = secret,
        },
    )
    .about(
        "Makes the checksum in every issued key: the keys depend on it.",
    )
    .example("4f1b0c9d2e7a6853f1b0c9d2e7a68534"),
    secret(
        "secrets.hmac.retired",
        Fallback::Unset("none"),
        Kind::RetiredSecrets {
            set: |s, secrets| s.secrets.hmac_retired = secrets,
        },
    )
    .about(
        "Former secrets. Their keys are still accepted, some only until expires_at.",
    )
    .example("[{value: 9a3c5e7f1b2d4806a3c5e7f1b2d48069, expires_at: 2027-01-31T00:00:00Z}]"),
    secret(
        "secrets.pagination.current",
        Fallback::Unset("secrets.default.current, or else secrets.hmac.current"),
        Kind::Secret {
            set: |s, secret| s.secrets.pagination_current = secret,
        },
    )
    .about(
        "Seals the page tokens of lists.",
    )
    .example("4f1b0c9d2e7a6853f1b0c9d2e7a68534"),
    secret(
        "secrets.pagination.retired",
        Fallback::Unset("none"),
        Kind::RetiredSecrets {
            set: |s, secrets| s.secrets.pagination_retired = secrets,
        },
    )
    .about(
        "Former secrets. Their page tokens are still accepted, some only until \
         expires_at.",
    )
    .example("[9a3c5e7f1b2d4806a3c5e7f1b2d48069]"),
];
