//! `rate_limit`: whether the rate limits of keys are enforced.

use crate::key::{Fallback, Key, public};
use crate::kind::Kind;

pub(super) const KEYS: &[Key] = &[
    public(
        "rate_limit.enabled",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, enabled| s.rate_limit.enabled = enabled,
        },
    ),
    public(
        "rate_limit.backend",
        Fallback::Value("memory"),
        Kind::Choice(&[("memory", |_| {})]),
    ),
];
