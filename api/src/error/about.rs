//! The context of an error for programs: what it is about, by name. Clients may rely on the reason
//! without it.
//!
//! Guarantee: nothing here is a secret or a credential. Values are ids, names of fields, numbers,
//! and what the operator or the issuer of the key has named.

use std::fmt::Display;

use talos_model::KeyId;

use super::ApiError;
use super::metadata::Metadata;

/// The key that the error is about.
const KEY_ID: &str = "key_id";
/// The owner of that key.
const ACTOR_ID: &str = "actor_id";
/// The field, query parameter or header whose value is not allowed.
const FIELD: &str = "field";
/// The bound that the request exceeds.
const LIMIT: &str = "limit";
/// The admin token that the error is about.
const TOKEN_ID: &str = "token_id";
/// The `kid` of the signing key that the configuration names.
const SIGNING_KEY_ID: &str = "signing_key_id";
/// Whole seconds after which a retry may succeed.
const RETRY_AFTER: &str = "retry_after_s";

impl ApiError {
    fn with(mut self, name: &'static str, value: &dyn Display) -> Self {
        self.metadata.set(name, value.to_string());
        self
    }

    /// The error is about this key, unless it names another one.
    #[must_use]
    pub fn about_key(self, key_id: KeyId) -> Self {
        if self.metadata.get(KEY_ID).is_some() {
            return self;
        }
        self.with(KEY_ID, &key_id)
    }

    /// The error is about a key of this actor.
    #[must_use]
    pub fn about_actor(self, actor_id: &str) -> Self {
        self.with(ACTOR_ID, &actor_id)
    }

    /// The error is about this admin token.
    #[must_use]
    pub fn about_token(self, token_id: uuid::Uuid) -> Self {
        self.with(TOKEN_ID, &token_id)
    }

    /// The error is about the signing key that the configuration names.
    pub(crate) fn about_signing_key(self, kid: &str) -> Self {
        self.with(SIGNING_KEY_ID, &kid)
    }

    /// The error is about a field: a path such as `rate_limit_policy.quota`, a query parameter or a
    /// header.
    #[must_use]
    pub fn at_field(self, field: &str) -> Self {
        self.with(FIELD, &field)
    }

    /// The bound that the request exceeds.
    #[must_use]
    pub fn limit(self, limit: impl Display) -> Self {
        self.with(LIMIT, &limit)
    }

    /// Moves the field, if the error names one, into the object at `place`.
    pub(super) fn field_within(self, place: &str) -> Self {
        let field = match self.metadata.get(FIELD) {
            Some(field) => format!("{place}.{field}"),
            None => place.to_owned(),
        };
        self.at_field(&field)
    }

    /// What the answer says: the context, and when to try again.
    pub(super) fn shown_metadata(&self) -> Metadata {
        let mut metadata = self.metadata.clone();
        if let Some(seconds) = self.retry_after_s {
            metadata.set(RETRY_AFTER, seconds.to_string());
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn metadata(error: &ApiError) -> Value {
        let body: Value = serde_json::from_slice(&error.to_body()).expect("JSON");
        body["error"]["details"][0]["metadata"].clone()
    }

    #[test]
    fn the_context_is_shown_as_strings() {
        assert_eq!(metadata(&ApiError::internal()), json!({}));
        let key_id: KeyId = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b"
            .parse()
            .expect("an id");
        let other: KeyId = "1b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b"
            .parse()
            .expect("an id");
        let error = ApiError::invalid_field("ttl", "is too long")
            .limit(60)
            .about_key(key_id)
            .about_key(other)
            .about_actor("a \"quoted\" one");
        let wanted = json!({
            "field": "ttl", "limit": "60", "key_id": key_id.to_string(),
            "actor_id": "a \"quoted\" one",
        });
        assert_eq!(metadata(&error), wanted);
        let within = error.within("requests[3]");
        assert_eq!(metadata(&within)["field"], "requests[3].ttl");
        let whole = ApiError::bad_request("is wrong").within("requests[3]");
        assert_eq!(metadata(&whole), json!({"field": "requests[3]"}));
    }

    #[test]
    fn a_time_to_retry_is_that_of_the_header() {
        let error = ApiError::service_unavailable("x");
        assert_eq!(metadata(&error), json!({"retry_after_s": "1"}));
        assert_eq!(
            metadata(&error.retry_after(30)),
            json!({"retry_after_s": "30"})
        );
        let limited = ApiError::too_many_requests("x", 7);
        assert_eq!(metadata(&limited), json!({"retry_after_s": "7"}));
    }
}
