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
    )
    .about(
        "true = the rate-limit policies of keys are enforced on every verification. The \
         algorithm is GCRA: the quota is the burst, and it refills evenly over the \
         window.",
    )
    .example("true"),
    public(
        "rate_limit.backend",
        Fallback::Value("memory"),
        Kind::Choice(&[("memory", |_| {})]),
    )
    .restart()
    .about(
        "Where requests are counted: memory = in this process. A restart resets the \
         counters.",
    ),
];
