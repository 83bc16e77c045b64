//! `multitenancy`: this version serves one tenant.

use crate::key::{Fallback, Key, public};
use crate::kind::Kind;

const WHY: &str = "this version serves one tenant";

pub(super) const KEYS: &[Key] = &[
    public(
        "multitenancy.enabled",
        Fallback::Value("false"),
        Kind::Fixed {
            value: "false",
            why: WHY,
        },
    ),
    public(
        "multitenancy.networks",
        Fallback::Unset("none"),
        Kind::Mappings {
            what: "hostname, id and config_path; but only the empty list",
            add: |_, _| Err(WHY.to_owned()),
        },
    ),
];
