//! `multitenancy`: which tenants the server has.

use crate::key::{Fallback, Key, public};
use crate::kind::Kind;
use crate::networks::FIELDS;

pub(super) const KEYS: &[Key] = &[
    public(
        "multitenancy.enabled",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, enabled| s.multitenancy.enabled = enabled,
        },
    )
    .restart()
    .about(
        "true = the host of a request decides which tenant it concerns, and unknown hosts get 404.",
    )
    .example("true"),
    public(
        "multitenancy.networks",
        Fallback::Unset("none"),
        Kind::Mappings {
            what: "hostname, id (a UUID) and, optionally, config_path",
            fields: FIELDS,
            add: |s, entry| s.multitenancy.add(entry),
        },
    )
    .about(
        "The hosts of all tenants. The id is a UUID, and the file, relative to this one, has the \
         settings of the tenant that differ: credentials, secrets, quota, rate_limit.enabled and \
         cache.ttl. A tenant with several hosts has a network for each, with the same id.",
    )
    .example(
        "[{hostname: keys.acme.example, id: 0f7f3b4e-1d2c-4a7b-9d53-6f0f2f1f8a01, \
         config_path: acme.yaml}]",
    ),
];
