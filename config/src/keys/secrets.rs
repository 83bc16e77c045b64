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
    ),
    secret(
        "secrets.default.retired",
        Fallback::Unset("none"),
        Kind::RetiredSecrets {
            set: |s, secrets| s.secrets.default.retired = secrets,
        },
    ),
    secret(
        "secrets.hmac.current",
        Fallback::RequiredUnless {
            path: "secrets.default.current",
            advice: "the project has no HMAC key configured; make one with `openssl rand -hex 32`, or start a development server with `talos serve --dev`",
        },
        Kind::Secret {
            set: |s, secret| s.secrets.hmac_current = secret,
        },
    ),
    secret(
        "secrets.hmac.retired",
        Fallback::Unset("none"),
        Kind::RetiredSecrets {
            set: |s, secrets| s.secrets.hmac_retired = secrets,
        },
    ),
    secret(
        "secrets.pagination.current",
        Fallback::Unset("secrets.default.current, or else secrets.hmac.current"),
        Kind::Secret {
            set: |s, secret| s.secrets.pagination_current = secret,
        },
    ),
    secret(
        "secrets.pagination.retired",
        Fallback::Unset("none"),
        Kind::RetiredSecrets {
            set: |s, secrets| s.secrets.pagination_retired = secrets,
        },
    ),
];
