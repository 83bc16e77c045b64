//! Request ids, which make commands idempotent (AIP-155), and digests of what the commands asked
//! for. A digest tells a repetition of a command from another command with the same id.

mod meaning;

use xxhash_rust::xxh3::xxh3_64;

use crate::cidr::Cidr;
use crate::ids::KeyId;
use crate::record::{RateLimitPolicy, Record, Visibility};

use meaning::meaning;

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
    pub(crate) fn add_lasting(
        &mut self,
        actor_id: &str,
        visibility: Visibility,
        ttl_ms: Option<u64>,
    ) {
        self.add(RequestField::ActorId, actor_id.as_bytes());
        if visibility == Visibility::Public {
            self.add(RequestField::Visibility, &[1]);
        }
        if let Some(ttl_ms) = ttl_ms {
            self.add(RequestField::Ttl, &ttl_ms.to_le_bytes());
        }
    }

    /// Adds what an update of the key may change.
    pub(crate) fn add_changeable(
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

#[cfg(test)]
mod tests;
