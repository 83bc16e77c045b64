//! What events say about a key besides the key itself, in the change feed and in the log.

use talos_model::Record;

use crate::names::{Enumeration as _, KeyType, KeyVisibility, RevocationReason};
use crate::timestamp;

/// Facts of a key. None of them is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFacts<'a> {
    /// `issued` or `imported`.
    pub key_type: &'static str,
    /// The prefix of its credential; `None` for an imported key.
    pub prefix: Option<&'a str>,
    /// The name of its visibility.
    pub visibility: &'static str,
    /// When it expires; `None` = never.
    pub expire_time: Option<String>,
    /// The name of the reason for its revocation; `None` if it is not revoked.
    pub reason: Option<&'static str>,
}

impl<'a> KeyFacts<'a> {
    /// The facts of the key of `record`.
    #[must_use]
    pub fn of(record: &'a Record) -> Self {
        let revocation = record.revocation.as_ref();
        Self {
            key_type: KeyType::name(record.key_id.kind()),
            prefix: record.prefix.as_deref(),
            visibility: KeyVisibility::name(record.visibility),
            expire_time: record.expire_time.map(timestamp::format),
            reason: revocation.map(|revocation| RevocationReason::name(revocation.reason)),
        }
    }
}
