//! A key as the API shows it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::value::RawValue;
use talos_model::cidr::Cidr;
use talos_model::clock::UnixMillis;
use talos_model::{KeyId, RateLimitPolicy, Record};

use crate::names::{KeyStatus, KeyVisibility, Named, RevocationReason};
use crate::render::{as_text, verbatim};
use crate::schema::{FreeObject, Int64, Timestamp};
use crate::timestamp;

/// The JSON of `record`, with its status at `now` and the time of its last use if that is known.
/// It holds no secret.
#[must_use]
pub fn render(record: &Record, last_used: Option<UnixMillis>, now: UnixMillis) -> Vec<u8> {
    crate::render::json(&Resource::new(record, now).last_used(last_used))
}

/// A key's fields in the order in which they are sent. Absent optional fields are left out, but
/// `scopes` is always sent.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Resource<'a> {
    /// The id: a UUID for an issued key, a digest for an imported one.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "&str")]
    key_id: KeyId,
    /// A label for people.
    name: &'a str,
    /// The owner of the key, as its issuer names it.
    actor_id: &'a str,
    /// What the key may do, as its issuer names it.
    scopes: &'a [String],
    /// What the issuer keeps with the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<FreeObject>")]
    metadata: Option<&'a RawValue>,
    /// The state of the key at the time of the answer.
    status: Named<KeyStatus>,
    /// Whether the key may be shown to clients.
    visibility: Named<KeyVisibility>,
    /// When the key was created.
    #[schemars(with = "Timestamp")]
    create_time: String,
    /// When the key was last changed.
    #[schemars(with = "Timestamp")]
    update_time: String,
    /// From this instant on the key is expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    expire_time: Option<String>,
    /// When the key was last used; it lags behind by some seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    last_used_time: Option<String>,
    /// How often the key may be verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_policy: Option<Policy>,
    /// From where the key may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_restriction: Option<IpRestriction>,
    /// Why the key was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation_reason: Option<Named<RevocationReason>>,
    /// Why the key was revoked, in other words.
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation_description: Option<&'a str>,
}

impl<'a> Resource<'a> {
    pub(crate) fn new(record: &'a Record, now: UnixMillis) -> Self {
        let revocation = record.revocation.as_ref();
        Self {
            key_id: record.key_id,
            name: &record.name,
            actor_id: &record.actor_id,
            scopes: &record.scopes,
            metadata: verbatim(&record.metadata),
            status: Named(record.status(now)),
            visibility: Named(record.visibility),
            create_time: timestamp::format(record.create_time),
            update_time: timestamp::format(record.update_time),
            expire_time: record.expire_time.map(timestamp::format),
            last_used_time: None,
            rate_limit_policy: record.rate_limit.map(Policy::from),
            ip_restriction: (!record.allowed_cidrs.is_empty()).then(|| IpRestriction {
                allowed_cidrs: record.allowed_cidrs.iter().map(Cidr::to_string).collect(),
            }),
            revocation_reason: revocation.map(|revocation| Named(revocation.reason)),
            revocation_description: revocation
                .map(|revocation| revocation.description.as_str())
                .filter(|description| !description.is_empty()),
        }
    }

    /// Sets the time of the key's last use, if that is known.
    pub(crate) fn last_used(self, last_used: Option<UnixMillis>) -> Self {
        Self {
            last_used_time: last_used.map(timestamp::format),
            ..self
        }
    }
}

/// From where a key may be used.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IPRestriction")]
struct IpRestriction {
    /// Blocks of addresses (RFC 4632, RFC 4291 §2.3).
    allowed_cidrs: Vec<String>,
}

/// A rate limit after the JSON rules of proto3: 64-bit integers and durations are strings.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RateLimitPolicy")]
pub(crate) struct Policy {
    /// Verifications per window.
    #[schemars(with = "Int64")]
    quota: String,
    /// The window in seconds, such as `60s`.
    window: String,
    /// What is counted: `requests`.
    unit: &'static str,
}

impl From<RateLimitPolicy> for Policy {
    fn from(policy: RateLimitPolicy) -> Self {
        Self {
            quota: policy.quota.to_string(),
            window: format!("{}s", policy.window_s),
            unit: "requests",
        }
    }
}

/// Declares the schema of one kind of key. Both kinds have the same fields, and clients know them
/// under different names.
macro_rules! kind_of_key {
    ($name:ident, $about:literal) => {
        #[doc = $about]
        pub(crate) enum $name {}

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let mut schema = Resource::json_schema(generator);
                schema.insert("description".to_owned(), $about.into());
                schema
            }
        }
    };
}

kind_of_key!(IssuedApiKey, "A key that this server issued.");
kind_of_key!(ImportedApiKey, "A key of another system that was imported.");

#[cfg(test)]
pub(crate) mod tests {
    use talos_model::{Revocation, RevocationReason as Reason, Sequence, TenantId, Visibility};

    use super::*;
    use crate::names::Enumeration as _;

    pub(crate) const ID: &str = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";

    /// A key with no optional field.
    pub(crate) fn bare() -> Record {
        Record {
            tenant: TenantId::SINGLE,
            key_id: ID.parse().expect("a key id"),
            sequence: Sequence(1),
            name: "n".to_owned(),
            actor_id: "a".to_owned(),
            scopes: Vec::new(),
            metadata: String::new(),
            visibility: Visibility::Secret,
            prefix: None,
            create_time: UnixMillis(1_700_000_000_000),
            update_time: UnixMillis(1_700_000_000_000),
            expire_time: None,
            revocation: None,
            rate_limit: None,
            allowed_cidrs: Vec::new(),
        }
    }

    /// A key with every field.
    pub(crate) fn full() -> Record {
        Record {
            name: "My first key".to_owned(),
            actor_id: "user".to_owned(),
            scopes: vec!["read:*".to_owned(), "write:*".to_owned()],
            metadata: r#"{"b":1.50,"a":[true]}"#.to_owned(),
            visibility: Visibility::Public,
            update_time: UnixMillis(1_700_000_001_250),
            expire_time: Some(UnixMillis(1_700_000_060_000)),
            rate_limit: Some(RateLimitPolicy {
                quota: 100,
                window_s: 60,
            }),
            allowed_cidrs: vec![
                "10.0.0.0/8".parse().expect("a block"),
                "2001:db8::/32".parse().expect("a block"),
            ],
            ..bare()
        }
    }

    fn text(record: &Record, now: i64) -> String {
        String::from_utf8(render(record, None, UnixMillis(now))).expect("UTF-8")
    }

    #[test]
    fn absent_fields_are_left_out() {
        assert_eq!(
            text(&bare(), 1_700_000_000_000),
            r#"{"key_id":"0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b","name":"n","actor_id":"a","scopes":[],"status":"KEY_STATUS_ACTIVE","visibility":"KEY_VISIBILITY_SECRET","create_time":"2023-11-14T22:13:20Z","update_time":"2023-11-14T22:13:20Z"}"#
        );
    }

    #[test]
    fn every_field() {
        assert_eq!(
            text(&full(), 1_700_000_000_000),
            r#"{"key_id":"0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b","name":"My first key","actor_id":"user","scopes":["read:*","write:*"],"metadata":{"b":1.50,"a":[true]},"status":"KEY_STATUS_ACTIVE","visibility":"KEY_VISIBILITY_PUBLIC","create_time":"2023-11-14T22:13:20Z","update_time":"2023-11-14T22:13:21.250Z","expire_time":"2023-11-14T22:14:20Z","rate_limit_policy":{"quota":"100","window":"60s","unit":"requests"},"ip_restriction":{"allowed_cidrs":["10.0.0.0/8","2001:db8::/32"]}}"#
        );
    }

    #[test]
    fn the_last_use_is_shown_when_it_is_known() {
        let shown = render(&bare(), Some(UnixMillis(1_700_000_000_250)), UnixMillis(0));
        let shown = String::from_utf8(shown).expect("UTF-8");
        assert!(
            shown.ends_with(r#","last_used_time":"2023-11-14T22:13:20.250Z"}"#),
            "{shown}"
        );
    }

    #[test]
    fn the_status_is_that_of_the_moment() {
        let status = |record: &Record, now| {
            let value: serde_json::Value = serde_json::from_str(&text(record, now)).expect("JSON");
            value["status"].as_str().expect("a status").to_owned()
        };
        let mut record = full();
        assert_eq!(status(&record, 1_700_000_059_999), "KEY_STATUS_ACTIVE");
        assert_eq!(status(&record, 1_700_000_060_000), "KEY_STATUS_EXPIRED");
        record.revocation = Some(Revocation {
            reason: Reason::Superseded,
            description: String::new(),
            time: UnixMillis(0),
        });
        assert_eq!(status(&record, 1_700_000_060_000), "KEY_STATUS_REVOKED");
    }

    #[test]
    fn a_revoked_key_says_why() {
        let mut record = bare();
        for &(name, reason) in RevocationReason::VALUES {
            record.revocation = Some(Revocation {
                reason,
                description: String::new(),
                time: UnixMillis(0),
            });
            let shown = text(&record, 0);
            assert!(
                shown.ends_with(&format!(r#""revocation_reason":"{name}"}}"#)),
                "{shown}"
            );
        }
        record.revocation = Some(Revocation {
            reason: Reason::PrivilegeWithdrawn,
            description: "left \"us\"".to_owned(),
            time: UnixMillis(0),
        });
        let shown = text(&record, 0);
        assert!(
            shown.ends_with(r#","revocation_description":"left \"us\""}"#),
            "{shown}"
        );
    }

    #[test]
    fn any_text_stays_json() {
        for hostile in [
            "\"",
            "\\",
            "\\\"",
            "\u{0}\u{1f}\n\t",
            "\u{2028}\u{2029}",
            "🔑é",
            "</script>",
            "\u{7f}",
        ] {
            let mut record = full();
            record.name = hostile.to_owned();
            record.actor_id = hostile.to_owned();
            record.scopes = vec![hostile.to_owned()];
            let value: serde_json::Value = serde_json::from_str(&text(&record, 0)).expect("JSON");
            assert_eq!(value["name"], hostile);
            assert_eq!(value["actor_id"], hostile);
            assert_eq!(value["scopes"][0], hostile);
        }
    }
}
