//! The context of an error, by name, as `details[].metadata` shows it.
//!
//! Guarantee: nothing here is a secret or a credential. Values are ids, names of fields, numbers,
//! and what the operator or the issuer of the key has named.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// The key that the error is about.
pub(super) const KEY_ID: &str = "key_id";
/// The owner of that key.
pub(super) const ACTOR_ID: &str = "actor_id";
/// The field, query parameter or header whose value is not allowed.
pub(super) const FIELD: &str = "field";
/// The bound that the request exceeds.
pub(super) const LIMIT: &str = "limit";
/// The admin token that the error is about.
pub(super) const TOKEN_ID: &str = "token_id";
/// The `kid` of the signing key that the configuration names.
pub(super) const SIGNING_KEY_ID: &str = "signing_key_id";
/// Whole seconds after which a retry may succeed.
pub(super) const RETRY_AFTER: &str = "retry_after_s";

/// Names and values, in the order in which they were set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Metadata(Vec<(&'static str, String)>);

impl Metadata {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn set(&mut self, name: &'static str, value: String) {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value));
    }
}

/// google.rpc.ErrorInfo has strings only.
impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
