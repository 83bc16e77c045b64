//! Request ids, which make commands idempotent (AIP-155), and digests of what the commands asked
//! for. A digest tells a repetition of a command from another command with the same id.

use xxhash_rust::xxh3::xxh3_64;

use crate::cidr::Cidr;
use crate::command::IssueKey;
use crate::ids::KeyId;
use crate::record::{RateLimitPolicy, Record, Visibility};

/// The id that a client gave its request, and the digest of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId {
    /// The id.
    pub id: String,
    /// The digest of the request. Empty if the key was made by a release that kept no digests.
    pub digest: RequestDigest,
}

/// A field of a request for a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestField {
    /// The raw key of an import.
    RawKey,
    /// The label.
    Name,
    /// The owner.
    ActorId,
    /// The scopes.
    Scopes,
    /// The metadata.
    Metadata,
    /// Secret or public.
    Visibility,
    /// The lifetime.
    Ttl,
    /// The rate limit.
    RateLimitPolicy,
    /// The addresses from which the key may be used.
    IpRestriction,
}

impl RequestField {
    /// Every field, in the order in which they are compared. The code of a field on disk is its
    /// index.
    pub const ALL: [Self; 9] = [
        Self::RawKey,
        Self::Name,
        Self::ActorId,
        Self::Scopes,
        Self::Metadata,
        Self::Visibility,
        Self::Ttl,
        Self::RateLimitPolicy,
        Self::IpRestriction,
    ];

    /// The name of the field in requests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RawKey => "raw_key",
            Self::Name => "name",
            Self::ActorId => "actor_id",
            Self::Scopes => "scopes",
            Self::Metadata => "metadata",
            Self::Visibility => "visibility",
            Self::Ttl => "ttl",
            Self::RateLimitPolicy => "rate_limit_policy",
            Self::IpRestriction => "ip_restriction",
        }
    }

    /// The code of the field on disk.
    fn code(self) -> u8 {
        (0..)
            .zip(Self::ALL)
            .find_map(|(code, field)| (field == self).then_some(code))
            .unwrap_or(u8::MAX)
    }
}

/// Bytes of a field's hash.
const HASH_BYTES: usize = 8;

/// A hash of each field that a request gave a value. It depends on what the values mean, not on how
/// they are written. Fields without a value have no entry, so a digest has room for the fields of
/// later releases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestDigest(Vec<(u8, [u8; HASH_BYTES])>);

impl RequestDigest {
    /// The digest of a request for `key`, which asked for a lifetime of `ttl_ms`. The lifetime in
    /// `key` may be a default, which can change between two requests.
    #[must_use]
    pub fn of_issue(key: &IssueKey, ttl_ms: Option<u64>) -> Self {
        let mut digest = Self::default();
        digest.add_lasting(&key.actor_id, key.visibility, ttl_ms);
        digest.add_changeable(
            &key.name,
            &key.scopes,
            &key.metadata,
            key.rate_limit,
            &key.allowed_cidrs,
        );
        digest
    }

    /// Adds the raw key of an import, by the id that is made of it.
    #[must_use]
    pub fn importing(mut self, key_id: KeyId) -> Self {
        self.add(RequestField::RawKey, key_id.to_string().as_bytes());
        self
    }

    /// The digest of the request that made `record`, as far as the record still shows what it asked
    /// for.
    #[must_use]
    pub fn of_record(record: &Record) -> Self {
        let mut digest = Self::default();
        let lifetime = record.expire_time.map(|end| end.0 - record.create_time.0);
        let ttl_ms = lifetime.and_then(|ttl_ms| u64::try_from(ttl_ms).ok());
        digest.add_lasting(&record.actor_id, record.visibility, ttl_ms);
        digest.add_changeable(
            &record.name,
            &record.scopes,
            &record.metadata,
            record.rate_limit,
            &record.allowed_cidrs,
        );
        if let KeyId::Imported(_) = record.key_id {
            digest = digest.importing(record.key_id);
        }
        digest
    }

    /// Adds what never changes in the life of a key.
    fn add_lasting(&mut self, actor_id: &str, visibility: Visibility, ttl_ms: Option<u64>) {
        self.add(RequestField::ActorId, actor_id.as_bytes());
        if visibility == Visibility::Public {
            self.add(RequestField::Visibility, &[1]);
        }
        if let Some(ttl_ms) = ttl_ms {
            self.add(RequestField::Ttl, &ttl_ms.to_le_bytes());
        }
    }

    /// Adds what an update of the key may change.
    fn add_changeable(
        &mut self,
        name: &str,
        scopes: &[String],
        metadata: &str,
        rate_limit: Option<RateLimitPolicy>,
        allowed_cidrs: &[Cidr],
    ) {
        self.add(RequestField::Name, name.as_bytes());
        if !scopes.is_empty() {
            let scopes = scopes.iter().map(|scope| scope.as_bytes().to_vec());
            self.add(RequestField::Scopes, &set(scopes.collect()));
        }
        if !metadata.is_empty() {
            self.add(RequestField::Metadata, &meaning(metadata));
        }
        if let Some(RateLimitPolicy { quota, window_s }) = rate_limit {
            let policy = [quota.to_le_bytes(), window_s.to_le_bytes()].concat();
            self.add(RequestField::RateLimitPolicy, &policy);
        }
        if !allowed_cidrs.is_empty() {
            let blocks = allowed_cidrs.iter().map(|block| {
                let (network, prefix_len) = block.parts();
                format!("{network}/{prefix_len}").into_bytes()
            });
            self.add(RequestField::IpRestriction, &set(blocks.collect()));
        }
    }

    fn add(&mut self, field: RequestField, value: &[u8]) {
        self.0.push((field.code(), xxh3_64(value).to_le_bytes()));
        self.0.sort_unstable();
    }

    fn hash(&self, field: RequestField) -> Option<&[u8; HASH_BYTES]> {
        let mut entries = self.0.iter();
        let found = entries.find(|(code, _)| *code == field.code());
        found.map(|(_, hash)| hash)
    }

    /// The first field in which the two requests differ.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<RequestField> {
        RequestField::ALL
            .into_iter()
            .find(|field| self.hash(*field) != other.hash(*field))
    }

    /// The first field in which this request differs for certain from the unknown request that made
    /// `record`. Updates may have changed the record since, and a lifetime that was not asked for
    /// is the default of its time.
    #[must_use]
    pub fn difference_from_record(&self, record: &Record) -> Option<RequestField> {
        let made = Self::of_record(record);
        let is_as_made = record.update_time == record.create_time;
        RequestField::ALL
            .into_iter()
            .filter(|field| match field {
                RequestField::RawKey | RequestField::ActorId | RequestField::Visibility => true,
                RequestField::Ttl => self.hash(*field).is_some(),
                RequestField::Name
                | RequestField::Scopes
                | RequestField::Metadata
                | RequestField::RateLimitPolicy
                | RequestField::IpRestriction => is_as_made,
            })
            .find(|field| self.hash(*field) != made.hash(*field))
    }

    /// Whether the digest was not kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes on disk: for each field its code and its hash.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let entries = self.0.iter();
        entries
            .flat_map(|(code, hash)| std::iter::once(*code).chain(*hash))
            .collect()
    }

    /// The digest with these bytes; `None` if they are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (entries, []) = bytes.as_chunks::<{ 1 + HASH_BYTES }>() else {
            return None;
        };
        let entry = |[code, hash @ ..]: &[u8; 1 + HASH_BYTES]| (*code, *hash);
        Some(Self(entries.iter().map(entry).collect()))
    }
}

/// The bytes of a list whose order and repetitions mean nothing.
fn set(mut entries: Vec<Vec<u8>>) -> Vec<u8> {
    entries.sort_unstable();
    entries.dedup();
    let bytes = |entry: Vec<u8>| [&(entry.len() as u64).to_le_bytes(), entry.as_slice()].concat();
    entries.into_iter().flat_map(bytes).collect()
}

/// What JSON means: bytes that depend neither on the order of an object's members nor on the
/// spelling of numbers and characters.
fn meaning(json: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(json.len());
    match serde_json::from_str(json) {
        Ok(value) => write(&value, &mut bytes),
        // The metadata of a key is JSON. If it were not, its text would be compared.
        Err(_) => bytes.extend(json.as_bytes()),
    }
    bytes
}

fn write(value: &serde_json::Value, bytes: &mut Vec<u8>) {
    use serde_json::Value;
    let text = |text: &str, bytes: &mut Vec<u8>| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    match value {
        Value::Null => bytes.push(b'n'),
        Value::Bool(value) => bytes.push(if *value { b't' } else { b'f' }),
        Value::Number(number) => {
            let float = number.as_f64().filter(|_| number.is_f64());
            bytes.push(b'0');
            match (float.and_then(whole), float) {
                (Some(whole), _) => text(&whole.to_string(), bytes),
                (None, Some(float)) => bytes.extend(float.to_le_bytes()),
                (None, None) => text(&number.to_string(), bytes),
            }
        }
        Value::String(value) => {
            bytes.push(b'"');
            text(value, bytes);
        }
        Value::Array(items) => {
            bytes.push(b'[');
            items.iter().for_each(|item| write(item, bytes));
            bytes.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            bytes.push(b'{');
            for (name, value) in members {
                text(name, bytes);
                write(value, bytes);
            }
            bytes.push(b'}');
        }
    }
}

/// The integer that is equal to `number`, if it is so small that no other integer is read as the
/// same number.
fn whole(number: f64) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0; // 2^53
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and within 2^53, hence exact"
    )]
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::clock::UnixMillis;
    use crate::ids::{Sequence, TenantId};

    fn key() -> IssueKey {
        IssueKey {
            tenant: TenantId::SINGLE,
            name: "n".to_owned(),
            actor_id: "a".to_owned(),
            scopes: vec!["read".to_owned(), "write".to_owned()],
            metadata: r#"{"a":1,"b":[1.5,"x"]}"#.to_owned(),
            visibility: Visibility::Public,
            ttl_ms: Some(1000),
            rate_limit: Some(RateLimitPolicy {
                quota: 5,
                window_s: 60,
            }),
            allowed_cidrs: vec![
                "10.0.0.0/8".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ],
            request_id: None,
        }
    }

    fn digest(key: &IssueKey) -> RequestDigest {
        RequestDigest::of_issue(key, key.ttl_ms)
    }

    /// A request that differs from [`key`] in each field, and the request without each field.
    fn others() -> Vec<(RequestField, IssueKey)> {
        use RequestField as Field;
        let (quota, window_s) = (5, 60);
        let policy = |quota, window_s| Some(RateLimitPolicy { quota, window_s });
        let mut others = Vec::new();
        let mut other = |field, change: &dyn Fn(&mut IssueKey)| {
            let mut key = key();
            change(&mut key);
            others.push((field, key));
        };
        other(Field::Name, &|key| key.name.push('m'));
        other(Field::ActorId, &|key| key.actor_id.push('b'));
        other(Field::Scopes, &|key| key.scopes.truncate(1));
        other(Field::Scopes, &|key| key.scopes.clear());
        other(Field::Scopes, &|key| {
            key.scopes = vec!["readwrite".to_owned()]
        });
        other(Field::Metadata, &|key| key.metadata.clear());
        other(Field::Metadata, &|key| {
            key.metadata = r#"{"a":2,"b":[1.5,"x"]}"#.to_owned();
        });
        other(Field::Metadata, &|key| {
            key.metadata = r#"{"a":1,"b":["x",1.5]}"#.to_owned();
        });
        other(Field::Metadata, &|key| {
            key.metadata = r#"{"a":"1","b":[1.5,"x"]}"#.to_owned();
        });
        other(Field::Visibility, &|key| {
            key.visibility = Visibility::Secret;
        });
        other(Field::Ttl, &|key| key.ttl_ms = None);
        other(Field::Ttl, &|key| key.ttl_ms = Some(1001));
        other(Field::RateLimitPolicy, &|key| key.rate_limit = None);
        other(Field::RateLimitPolicy, &|key| {
            key.rate_limit = policy(quota + 1, window_s);
        });
        other(Field::RateLimitPolicy, &|key| {
            key.rate_limit = policy(quota, window_s + 1);
        });
        other(Field::IpRestriction, &|key| key.allowed_cidrs.clear());
        other(Field::IpRestriction, &|key| {
            key.allowed_cidrs.push("192.0.2.0/24".parse().unwrap());
        });
        others
    }

    #[test]
    fn the_field_that_differs_is_named() {
        for (field, other) in others() {
            let difference = digest(&key()).difference(&digest(&other));
            assert_eq!(difference, Some(field), "{other:?}");
            assert_eq!(digest(&other).difference(&digest(&key())), Some(field));
        }
        let imports = [3, 4].map(|byte| digest(&key()).importing(KeyId::Imported([byte; 32])));
        let difference = imports[0].difference(&imports[1]);
        assert_eq!(difference, Some(RequestField::RawKey));
        assert_eq!(imports[0].difference(&imports[0].clone()), None);
    }

    #[test]
    fn spellings_do_not_matter() {
        let same = |change: &dyn Fn(&mut IssueKey)| {
            let mut other = key();
            change(&mut other);
            let difference = digest(&key()).difference(&digest(&other));
            assert_eq!(difference, None, "{other:?}");
        };
        same(&|key| key.scopes.reverse());
        same(&|key| key.scopes.push("read".to_owned()));
        same(&|key| key.allowed_cidrs.reverse());
        for metadata in [
            r#" { "b" : [1.5, "x"], "a" : 1 } "#,
            r#"{"a":1.0,"b":[15e-1,"\u0078"]}"#,
            r#"{"\u0061":1e0,"b":[1.50,"x"]}"#,
        ] {
            same(&|key| key.metadata = metadata.to_owned());
        }
    }

    #[test]
    fn numbers_are_compared_by_value() {
        for (one, other, is_same) in [
            ("1", "1.0", true),
            ("100", "1e2", true),
            ("-0.0", "0", true),
            ("9007199254740992", "9007199254740992.0", true),
            ("1", "2", false),
            ("0.1", "0.2", false),
            ("9223372036854775807", "9223372036854775806", false),
            ("18446744073709551615", "18446744073709551614", false),
        ] {
            let meaning = |number| meaning(&format!("{{\"a\":{{\"b\":[{number}]}}}}"));
            assert_eq!(meaning(one) == meaning(other), is_same, "{one} {other}");
        }
    }

    fn record(key: &IssueKey) -> Record {
        let create_time = UnixMillis(5);
        Record {
            tenant: key.tenant,
            key_id: KeyId::Issued(Uuid::from_u128(1)),
            sequence: Sequence(1),
            name: key.name.clone(),
            actor_id: key.actor_id.clone(),
            scopes: key.scopes.clone(),
            metadata: key.metadata.clone(),
            visibility: key.visibility,
            prefix: None,
            create_time,
            update_time: create_time,
            expire_time: key.ttl_ms.map(|ttl| UnixMillis(5 + ttl.cast_signed())),
            revocation: None,
            rate_limit: key.rate_limit,
            allowed_cidrs: key.allowed_cidrs.clone(),
        }
    }

    #[test]
    fn a_record_stands_in_for_a_request_that_was_not_kept() {
        let unchanged = record(&key());
        let mut changed = record(&key());
        changed.update_time = UnixMillis(6);
        let asked = digest(&key());
        assert_eq!(asked.difference_from_record(&unchanged), None);
        for (field, other) in others() {
            let asked = digest(&other);
            let differs = asked.difference_from_record(&unchanged);
            let is_default = other.ttl_ms.is_none();
            assert_eq!(differs, Some(field).filter(|_| !is_default), "{other:?}");
            // An update may have made the difference.
            let lasts = matches!(
                field,
                RequestField::ActorId | RequestField::Visibility | RequestField::Ttl
            );
            let differs = asked.difference_from_record(&changed);
            let wanted = Some(field).filter(|_| lasts && !is_default);
            assert_eq!(differs, wanted, "{other:?}");
        }
        let imported = |byte| Record {
            key_id: KeyId::Imported([byte; 32]),
            ..changed.clone()
        };
        let asked = asked.importing(KeyId::Imported([3; 32]));
        assert_eq!(asked.difference_from_record(&imported(3)), None);
        let differs = asked.difference_from_record(&imported(4));
        assert_eq!(differs, Some(RequestField::RawKey));
    }

    /// Later releases compare with what this one has written: neither the hashes nor the bytes may
    /// ever change.
    #[test]
    fn the_bytes_are_fixed() {
        let bytes = digest(&key())
            .importing(KeyId::Imported([3; 32]))
            .to_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "");
        let read = RequestDigest::from_bytes(&bytes).expect("a digest");
        assert_eq!(read.to_bytes(), bytes);
        for length in (0..bytes.len()).filter(|length| length % 9 != 0) {
            assert_eq!(RequestDigest::from_bytes(&bytes[..length]), None);
        }
        // The field of a later release is kept, and differs from nothing.
        let later = [bytes.as_slice(), &[200; 9]].concat();
        let later = RequestDigest::from_bytes(&later).expect("a digest");
        assert_eq!(later.difference(&read), None);
        assert!(RequestDigest::from_bytes(&[]).is_some_and(|digest| digest.is_empty()));
    }
}
