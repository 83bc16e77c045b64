//! The cache of accepted verifications.
//!
//! It guarantees that
//! - an entry is not served after its lifetime, nor after a change of its key that was recorded
//!   since the upstream was asked (see [`crate::changes`]);
//! - all entries together stay within the configured number of bytes;
//! - no entry holds the credential or anything it could be computed from.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::HeaderMap;
use quick_cache::Weighter;
use quick_cache::sync::Cache as Entries;

use crate::changes::{Changes, LogicalTime, Subject};
use crate::limits;

/// SHA-256 of everything that the answer to a verification may depend on.
pub(crate) type CacheKey = [u8; 32];

/// How large the cache is.
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// The longest lifetime of an entry. Below one second nothing is stored.
    pub ttl: Duration,
    /// The maximum size of all entries together, in bytes. 0 stores nothing.
    pub bytes_max: u64,
    /// The expected number of entries. It sizes the tables and the history of evicted keys (about
    /// half as many), by which the cache recognises an answer that is requested again.
    pub entries_expected: usize,
}

/// A stored answer.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Response headers, without those that belong to one connection or one request.
    pub(crate) headers: HeaderMap,
    /// The response body.
    pub(crate) body: Bytes,
    /// Taken before the upstream was asked.
    pub(crate) asked_at: LogicalTime,
    /// The key and the credential that the answer is about.
    pub(crate) subjects: [Subject; 2],
    /// The entry must not be served from this instant on.
    pub(crate) end: Instant,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache {
    entries: Entries<CacheKey, Arc<Entry>, ByteWeighter>,
    ttl: Duration,
    /// Changes of keys that passed through this proxy.
    pub(crate) changes: Changes,
}

#[derive(Clone, Debug)]
struct ByteWeighter;

impl Weighter<CacheKey, Arc<Entry>> for ByteWeighter {
    fn weight(&self, _: &CacheKey, entry: &Arc<Entry>) -> u64 {
        let headers: usize = entry
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + size_of::<[usize; 12]>())
            .sum();
        (entry.body.len() + headers + limits::ENTRY_OVERHEAD_BYTES) as u64
    }
}

impl Cache {
    /// An empty cache.
    pub(crate) fn new(settings: CacheSettings) -> Self {
        Self {
            entries: Entries::with_weighter(
                settings.entries_expected,
                settings.bytes_max,
                ByteWeighter,
            ),
            ttl: settings.ttl,
            changes: Changes::new(),
        }
    }

    /// The entry of `key`, if it may still be served at `now`. Removes an entry that may not.
    pub(crate) fn get(&self, key: &CacheKey, now: Instant) -> Option<Arc<Entry>> {
        let entry = self.entries.get(key)?;
        if self.is_usable(&entry, now) {
            return Some(entry);
        }
        // Another request may have stored a newer entry under the same key; keep that one.
        self.entries
            .remove_if(key, |found| Arc::ptr_eq(found, &entry));
        None
    }

    fn is_usable(&self, entry: &Entry, now: Instant) -> bool {
        now < entry.end
            && entry
                .subjects
                .iter()
                .all(|&subject| self.changes.is_unchanged_since(subject, entry.asked_at))
    }

    /// The lifetime of an answer whose credential expires after `remaining` (`None` = never), or
    /// `None` when it is too short to store the answer.
    pub(crate) fn lifetime(&self, remaining: Option<Duration>) -> Option<Duration> {
        let lifetime = remaining.map_or(self.ttl, |remaining| remaining.min(self.ttl));
        (lifetime >= limits::LIFETIME_MIN).then_some(lifetime)
    }

    /// Stores an answer. The cache may decline it or evict others to stay within its size.
    pub(crate) fn insert(&self, key: CacheKey, entry: Entry) {
        self.entries.insert(key, Arc::new(entry));
    }

    /// Removes the answer under one key.
    pub(crate) fn remove(&self, key: &CacheKey) {
        self.entries.remove(key);
    }

    /// The number of entries, including expired ones that nobody has asked for since.
    pub(crate) fn entries(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The size of all entries, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn cache(bytes_max: u64) -> Cache {
        Cache::new(CacheSettings {
            ttl: TTL,
            bytes_max,
            entries_expected: 1000,
        })
    }

    fn entry(cache: &Cache, key_id: &str, end: Instant) -> Entry {
        Entry {
            headers: HeaderMap::new(),
            body: Bytes::from_static(&[b'x'; 1000]),
            asked_at: cache.changes.now(),
            subjects: [Subject::key_id(key_id), Subject::credential(key_id)],
            end,
        }
    }

    #[test]
    fn an_entry_ends_with_its_lifetime() {
        let cache = cache(1 << 20);
        let now = Instant::now();
        cache.insert([1; 32], entry(&cache, "a", now + TTL));
        let just_before = now + TTL.checked_sub(Duration::from_nanos(1)).expect("positive");
        assert!(cache.get(&[1; 32], just_before).is_some());
        assert!(cache.get(&[2; 32], now).is_none());
        assert!(cache.get(&[1; 32], now + TTL).is_none());
        assert_eq!(
            cache.entries(),
            0,
            "an expired entry is removed when it is read"
        );
    }

    #[test]
    fn an_answer_from_before_a_change_is_never_served() {
        let cache = cache(1 << 20);
        let now = Instant::now();
        for subject in [Subject::key_id("a"), Subject::credential("a")] {
            // An answer that was stored before the change.
            cache.insert([1; 32], entry(&cache, "a", now + TTL));
            cache.insert([2; 32], entry(&cache, "b", now + TTL));
            let late = entry(&cache, "a", now + TTL);
            cache.changes.record(subject);
            assert!(cache.get(&[1; 32], now).is_none());
            // An answer that is stored after the change but was requested before it.
            cache.insert([1; 32], late);
            assert!(cache.get(&[1; 32], now).is_none());
            assert!(
                cache.get(&[2; 32], now).is_some(),
                "an answer about another key"
            );
        }
    }

    #[test]
    fn the_lifetime_is_the_shorter_of_two_and_at_least_a_second() {
        let cache = cache(1 << 20);
        let seconds = Duration::from_secs;
        assert_eq!(cache.lifetime(None), Some(TTL));
        assert_eq!(cache.lifetime(Some(seconds(61))), Some(TTL));
        assert_eq!(cache.lifetime(Some(seconds(59))), Some(seconds(59)));
        assert_eq!(cache.lifetime(Some(seconds(1))), Some(seconds(1)));
        assert_eq!(cache.lifetime(Some(Duration::from_millis(999))), None);
        assert_eq!(cache.lifetime(Some(Duration::ZERO)), None);
    }

    #[test]
    fn the_bytes_are_bounded() {
        let cache = cache(100_000);
        let now = Instant::now();
        for number in 0..1000_u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&number.to_le_bytes());
            cache.insert(key, entry(&cache, "a", now + TTL));
            assert!(cache.bytes() <= 100_000);
        }
        assert!(cache.entries() > 20, "{}", cache.entries());
        let nothing = self::cache(0);
        nothing.insert([1; 32], entry(&nothing, "a", now + TTL));
        assert!(nothing.get(&[1; 32], now).is_none());
    }
}
