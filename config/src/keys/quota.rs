//! `quota`: how many keys a tenant may have. 0 is a bound, too: no keys at all.

use crate::key::{Fallback, Key, public};
use crate::kind::Kind;

/// More keys than fit on any disk.
const API_KEYS_MAX: u64 = 1_000_000_000_000;

pub(super) const KEYS: &[Key] = &[public(
    "quota.api_keys_max",
    Fallback::Unset("any number"),
    Kind::Integer {
        min: 0,
        max: API_KEYS_MAX,
        set: |s, keys| s.quota.api_keys_max = Some(keys),
    },
)
.about("The most keys that are not revoked, issued and imported together. 0 = no keys.")
.example("100000")];
