//! `multitenancy`: which tenants the server has.

use crate::key::{Fallback, Key, public};
use crate::kind::Kind;

pub(super) const KEYS: &[Key] = &[
    public(
        "multitenancy.enabled",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, enabled| s.multitenancy.enabled = enabled,
        },
    ),
    public(
        "multitenancy.networks",
        Fallback::Unset("none"),
        Kind::Mappings {
            what: "hostname, id (a UUID) and, optionally, config_path",
            add: |s, entry| s.multitenancy.add(entry),
        },
    ),
];
