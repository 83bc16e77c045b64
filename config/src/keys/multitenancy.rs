//! `multitenancy`: this version serves one tenant.

use crate::key::{Fallback, Key, public};
use crate::kind::Kind;

pub(super) const KEYS: &[Key] = &[public(
    "multitenancy.enabled",
    Fallback::Value("false"),
    Kind::Fixed {
        value: "false",
        why: "this version serves one tenant",
    },
)];
