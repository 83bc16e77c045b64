//! The enums of the API as schemas: each has the names that the tables of requests and answers use.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::batch_import::ItemOutcome;
use crate::change::EVENTS;
use crate::derive::ALGORITHMS;
use crate::filter::STATUSES;
use crate::key::{REVOCATION_REASONS, VISIBILITIES, status_name};
use crate::refusal::ERROR_CODES;

/// The names in a table.
fn names<T: Copy>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(name, _)| *name).collect()
}

/// Declares an enum whose only value is its schema.
macro_rules! enumeration {
    ($(#[doc = $about:literal])+ $name:ident, $names:expr) => {
        $(#[doc = $about])+
        pub(crate) enum $name {}

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let names: Vec<&'static str> = $names;
                let about = concat!($($about,)+).trim_start();
                json_schema!({ "type": "string", "description": about, "enum": names })
            }
        }
    };
}

/// What proto3 calls the value of an enum that is not set. It is part of the enum for clients that are made from the
/// document and never sent.
fn with_unspecified(unspecified: &'static str, rest: Vec<&'static str>) -> Vec<&'static str> {
    [vec![unspecified], rest].concat()
}

enumeration!(
    /// The state of a key.
    KeyStatus,
    with_unspecified("KEY_STATUS_UNSPECIFIED", STATUSES.map(status_name).to_vec())
);
enumeration!(
    /// Whether a key may be shown to clients.
    KeyVisibility,
    names(&VISIBILITIES)
);
enumeration!(
    /// Why a key ended (after RFC 5280 §5.3.1).
    RevocationReason,
    names(&REVOCATION_REASONS)
);
enumeration!(
    /// What a derived token is.
    TokenAlgorithm,
    names(&ALGORITHMS)
);
enumeration!(
    /// What happened to a key.
    EventName,
    names(&EVENTS)
);
enumeration!(
    /// Why a credential is refused.
    VerificationErrorCode,
    with_unspecified(
        "VERIFICATION_ERROR_UNSPECIFIED",
        ERROR_CODES.to_vec()
    )
);
enumeration!(
    /// Why a key of a batch was not imported.
    BatchCreateImportedApiKeysErrorCode,
    with_unspecified(
        "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_UNSPECIFIED",
        ItemOutcome::ALL
            .into_iter()
            .filter_map(ItemOutcome::error_code)
            .collect()
    )
);
