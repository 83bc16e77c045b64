//! Accepted verifications, for a short while.
//!
//! It guarantees that an entry is served only until the end of its own life and only while no change of its key was
//! recorded since it was asked for (see [`crate::changes`]), and that all entries together take no more than the bytes
//! given. An entry holds neither the credential nor anything that it could be computed from.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::HeaderMap;
use quick_cache::Weighter;
use quick_cache::sync::Cache as Entries;

use crate::changes::{Changes, Moment, Subject};
use crate::limits;

/// What tells one question from every other: SHA-256 over all that its answer may depend on.
pub(crate) type QuestionDigest = [u8; 32];

/// How large the cache is.
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// The longest that an answer is kept; under one second nothing is.
    pub ttl: Duration,
    /// What all entries together may take, in bytes; 0 keeps nothing.
    pub bytes_max: u64,
    /// How many entries to expect: tables are sized by it, and what was seen lately is remembered for about half as many
    /// more, so that an answer that is asked for again is told from one that is not.
    pub entries_expected: usize,
}

/// An answer that is kept.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The headers of the answer that do not belong to its connection or its request.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
    /// Before the upstream was asked.
    pub(crate) asked: Moment,
    /// The key and the credential that it is about.
    pub(crate) subjects: [Subject; 2],
    /// When it may no longer be served.
    pub(crate) end: Instant,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache {
    entries: Entries<QuestionDigest, Arc<Entry>, Bytewise>,
    ttl: Duration,
    /// The changes that passed through this proxy.
    pub(crate) changes: Changes,
}

#[derive(Clone, Debug)]
struct Bytewise;

impl Weighter<QuestionDigest, Arc<Entry>> for Bytewise {
    fn weight(&self, _: &QuestionDigest, entry: &Arc<Entry>) -> u64 {
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
                Bytewise,
            ),
            ttl: settings.ttl,
            changes: Changes::new(),
        }
    }

    /// The answer to this question, if one is kept that still holds.
    pub(crate) fn get(&self, question: &QuestionDigest, now: Instant) -> Option<Arc<Entry>> {
        let entry = self.entries.get(question)?;
        if self.holds(&entry, now) {
            return Some(entry);
        }
        // A younger answer to the same question may have taken its place.
        self.entries
            .remove_if(question, |found| Arc::ptr_eq(found, &entry));
        None
    }

    fn holds(&self, entry: &Entry, now: Instant) -> bool {
        now < entry.end
            && entry
                .subjects
                .iter()
                .all(|&subject| self.changes.is_unchanged_since(subject, entry.asked))
    }

    /// How long an answer is kept whose credential expires after `rest`; `None` when that is not worth it.
    pub(crate) fn life(&self, rest: Option<Duration>) -> Option<Duration> {
        let life = rest.map_or(self.ttl, |rest| rest.min(self.ttl));
        (life >= limits::LIFE_MIN).then_some(life)
    }

    /// Keeps an answer, if there is room for it.
    pub(crate) fn insert(&self, question: QuestionDigest, entry: Entry) {
        self.entries.insert(question, Arc::new(entry));
    }

    /// Forgets the answer to one question.
    pub(crate) fn forget(&self, question: &QuestionDigest) {
        self.entries.remove(question);
    }

    /// How many entries there are, among them those that have ended and were not asked for since.
    pub(crate) fn entries(&self) -> u64 {
        self.entries.len() as u64
    }

    /// What they take, in bytes.
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
            asked: cache.changes.now(),
            subjects: [Subject::key_id(key_id), Subject::credential(key_id)],
            end,
        }
    }

    #[test]
    fn an_entry_ends_with_its_life() {
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
            "what has ended is dropped when it is seen"
        );
    }

    #[test]
    fn an_answer_from_before_a_change_is_never_served() {
        let cache = cache(1 << 20);
        let now = Instant::now();
        for subject in [Subject::key_id("a"), Subject::credential("a")] {
            // It was there before the change, …
            cache.insert([1; 32], entry(&cache, "a", now + TTL));
            cache.insert([2; 32], entry(&cache, "b", now + TTL));
            let late = entry(&cache, "a", now + TTL);
            cache.changes.record(subject);
            assert!(cache.get(&[1; 32], now).is_none());
            // … or comes after it, although it was asked for before.
            cache.insert([1; 32], late);
            assert!(cache.get(&[1; 32], now).is_none());
            assert!(cache.get(&[2; 32], now).is_some(), "another key's");
        }
    }

    #[test]
    fn the_life_is_the_shorter_of_two_and_at_least_a_second() {
        let cache = cache(1 << 20);
        let seconds = Duration::from_secs;
        assert_eq!(cache.life(None), Some(TTL));
        assert_eq!(cache.life(Some(seconds(61))), Some(TTL));
        assert_eq!(cache.life(Some(seconds(59))), Some(seconds(59)));
        assert_eq!(cache.life(Some(seconds(1))), Some(seconds(1)));
        assert_eq!(cache.life(Some(Duration::from_millis(999))), None);
        assert_eq!(cache.life(Some(Duration::ZERO)), None);
    }

    #[test]
    fn the_bytes_are_bounded() {
        let cache = cache(100_000);
        let now = Instant::now();
        for number in 0..1000_u32 {
            let mut question = [0; 32];
            question[..4].copy_from_slice(&number.to_le_bytes());
            cache.insert(question, entry(&cache, "a", now + TTL));
            assert!(cache.bytes() <= 100_000);
        }
        assert!(cache.entries() > 20, "{}", cache.entries());
        let nothing = self::cache(0);
        nothing.insert([1; 32], entry(&nothing, "a", now + TTL));
        assert!(nothing.get(&[1; 32], now).is_none());
    }
}
