//! `multitenancy`: this version serves one tenant.

use crate::key::{Fallback, Key, public};
use crate::kind::Kind;
use crate::mapping::Fields;

const WHY: &str = "this version serves one tenant";

pub(super) const KEYS: &[Key] = &[
    public(
        "multitenancy.enabled",
        Fallback::Value("false"),
        Kind::Fixed {
            value: "false",
            why: WHY,
        },
    )
    .restart()
    .about("This version serves one tenant: only false is accepted."),
    public(
        "multitenancy.networks",
        Fallback::Unset("none"),
        Kind::Mappings {
            what: "hostname, id and config_path; but only the empty list",
            fields: Fields {
                names: &["hostname", "id", "config_path"],
                required: &[],
                one_of: &[],
                items_max: 0,
            },
            add: |_, _| Err(WHY.to_owned()),
        },
    )
    .restart()
    .about("This version serves one tenant: only the empty list is accepted.")
    .example("[]"),
];
