//! The fields that requests about keys share, for their readers and for the `OpenAPI` document.

use schemars::SchemaGenerator;

use crate::json::{Field, Kind, Object};
use crate::limits;
use crate::names::{KeyVisibility, Named, RevocationReason};

/// The label of a key.
pub(crate) const NAME: Field = Field::new(
    "name",
    Kind::Text(Some(limits::NAME_CHARS)),
    "A label for people.",
);
/// The owner of the key.
pub(crate) const ACTOR_ID: Field = Field::new(
    "actor_id",
    Kind::Text(Some(limits::ACTOR_ID_CHARS)),
    "The owner of the key, as its issuer names it.",
);
/// What the key may do.
pub(crate) const SCOPES: Field = Field::new(
    "scopes",
    Kind::Texts {
        entries_max: limits::SCOPES,
        chars_max: Some(limits::SCOPE_CHARS),
    },
    "What the key may do, as its issuer names it.",
)
.restricting(&[]);
/// What the issuer keeps with the key.
pub(crate) const METADATA: Field = Field::new(
    "metadata",
    Kind::FreeObject,
    "Anything that the issuer wants to keep with the key; at most 64 KiB as compact JSON.",
);
/// Whether the key may be shown to clients.
pub(crate) const VISIBILITY: Field = Field::new(
    "visibility",
    Kind::Enumeration(SchemaGenerator::subschema_for::<Named<KeyVisibility>>),
    "Whether the key may be shown to clients; secret when it is unset.",
)
.restricting(&[]);
/// The lifetime of the key.
pub(crate) const TTL: Field = Field::new(
    "ttl",
    Kind::Text(None),
    "How long the key lives, from 1s to 315360000s: seconds (`86400s`), a Go duration (`1h30m`), or with the units `d`, \
     `w`, `mo` and `y` (`1y6mo`).",
)
.restricting(&[("expire", "ttl"), ("expiry", "ttl"), ("expiration", "ttl")]);
/// How often the key may be verified.
pub(crate) const RATE_LIMIT_POLICY: Field = Field::new(
    "rate_limit_policy",
    Kind::Object(&POLICY),
    "How often the key may be verified.",
)
.restricting(&[]);
/// From where the key may be used.
pub(crate) const IP_RESTRICTION: Field = Field::new(
    "ip_restriction",
    Kind::Object(&RESTRICTION),
    "From where the key may be used.",
)
.restricting(&[("allowed_cidrs", "ip_restriction.allowed_cidrs")]);
/// The id that makes a request idempotent.
pub(crate) const REQUEST_ID: Field = Field::new(
    "request_id",
    Kind::Text(Some(limits::REQUEST_ID_CHARS)),
    "Makes the request idempotent (AIP-155): the first key is shown again, without its secret if that was sent. Another \
     request with the id is refused with 409.",
);
/// The name of `scopes` in the short routes.
pub(crate) const PERMISSIONS: Field = Field {
    name: "permissions",
    about: "Another name of `scopes`; only one of them may be there.",
    ..SCOPES
};
/// The audiences that a token names, or must name.
pub(crate) const fn audiences(name: &'static str, about: &'static str) -> Field {
    let kind = Kind::Texts {
        entries_max: limits::AUDIENCES,
        chars_max: Some(limits::AUDIENCE_CHARS),
    };
    Field::new(name, kind, about).restricting(&[])
}
/// The credential that a request is about.
pub(crate) const CREDENTIAL: Field = Field::new(
    "credential",
    Kind::Text(Some(limits::CREDENTIAL_BYTES)),
    "The credential: an API key or a derived token. At most 8192 bytes.",
)
.required();
/// Why a key ends.
pub(crate) const REASON: Field = Field::new(
    "reason",
    Kind::Enumeration(SchemaGenerator::subschema_for::<Named<RevocationReason>>),
    "Why the key ends.",
);

/// Why a key ends, in other words.
pub(crate) const DESCRIPTION: Field = Field::new(
    "description",
    Kind::Text(Some(limits::REVOCATION_DESCRIPTION_CHARS)),
    "The same in other words; only with `REVOCATION_REASON_PRIVILEGE_WITHDRAWN`.",
);

/// How many verifications are allowed in a window.
pub(crate) const QUOTA: Field = Field::new(
    "quota",
    Kind::Int64,
    "Verifications per window; more than 0.",
)
.required();
/// The window of a rate limit.
pub(crate) const WINDOW: Field = Field::new(
    "window",
    Kind::Text(None),
    "The window as a duration in whole seconds, such as `60s`.",
)
.required();
/// What a rate limit counts.
pub(crate) const UNIT: Field = Field::new(
    "unit",
    Kind::Text(None),
    "What is counted: `requests`, also when it is unset.",
);
static POLICY: Object = Object {
    name: "RateLimitPolicy",
    about: "How many verifications of a key are allowed in a window of time.",
    fields: &[QUOTA, WINDOW, UNIT],
};

/// The addresses from which a key may be used.
pub(crate) const ALLOWED_CIDRS: Field = Field::new(
    "allowed_cidrs",
    Kind::Texts {
        entries_max: limits::CIDRS,
        chars_max: None,
    },
    "Blocks of addresses (RFC 4632, RFC 4291 §2.3); none allows every address.",
)
.restricting(&[("cidrs", "allowed_cidrs")]);
static RESTRICTION: Object = Object {
    name: "IPRestriction",
    about: "From where a key may be used.",
    fields: &[ALLOWED_CIDRS],
};
