//! A table of a fixed size that keeps one time for each of many hashes, shared by all threads.
//!
//! A hash names a set of eight words, which share a cache line, and a tag of 24 bits. A word holds
//! a tag and a time of 40 bits in milliseconds, which lasts for 34 years of a process.
//!
//! Guarantees: a thread never waits for another; a change is one atomic exchange, so none is lost
//! once a hash has its word; memory does not grow.
//!
//! What can go wrong, and how often: two hashes share a word if set and tag agree, which happens
//! to a given pair once in 2^24 times the number of sets. If all words of a set are taken, the one
//! with the earliest time gives way, so a hash whose time lies far ahead stays. Two threads that
//! bring the same new hash at once may each give it a word; the later time counts then, and the
//! other's change is lost. A thread that finds its word changed [`limits::THROTTLE_ATTEMPTS`] times
//! gives up, and its change is lost as well.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits;

const WORDS: usize = 8;
const TIME_BITS: u32 = 40;
const TIME_MAX: u64 = (1 << TIME_BITS) - 1;

/// Words in one cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([AtomicU64; WORDS]);

/// The times of the hashes.
#[derive(Debug)]
pub(super) struct Table {
    sets: Box<[Set]>,
}

fn tag_of(word: u64) -> u64 {
    word >> TIME_BITS
}

fn time_of(word: u64) -> u64 {
    word & TIME_MAX
}

impl Table {
    /// A table with so many words, a power of two and at least eight.
    pub(super) fn new(words: usize) -> Self {
        let sets = (words / WORDS).next_power_of_two();
        Self {
            sets: std::iter::repeat_with(Set::default).take(sets).collect(),
        }
    }

    /// The time of a hash; 0 if it has none.
    pub(super) fn get(&self, hash: u64) -> u64 {
        let words = self
            .set(hash)
            .iter()
            .map(|word| word.load(Ordering::Relaxed));
        let own = words.filter(|word| tag_of(*word) == tag_of(hash));
        own.map(time_of).max().unwrap_or(0)
    }

    /// Replaces the time of a hash by what `change` makes of it, or leaves it if that is `None`.
    /// `change` may be called several times; the last call counts.
    pub(super) fn change(&self, hash: u64, mut change: impl FnMut(u64) -> Option<u64>) {
        for _ in 0..limits::THROTTLE_ATTEMPTS {
            let words = || {
                let set = self.set(hash).iter();
                set.map(|word| (word, word.load(Ordering::Relaxed)))
            };
            let own = words()
                .filter(|(_, value)| tag_of(*value) == tag_of(hash))
                .max_by_key(|(_, value)| time_of(*value));
            let before = own.map_or(0, |(_, value)| time_of(value));
            let Some(after) = change(before) else { return };
            // A time that has passed is earlier than all others, and so is that of an empty word.
            let earliest = || words().min_by_key(|(_, value)| time_of(*value));
            let Some((word, value)) = own.or_else(earliest) else {
                return;
            };
            let wanted = tag_of(hash) << TIME_BITS | after.min(TIME_MAX);
            let exchange =
                word.compare_exchange(value, wanted, Ordering::Relaxed, Ordering::Relaxed);
            if exchange.is_ok() {
                return;
            }
        }
    }

    fn set(&self, hash: u64) -> &[AtomicU64] {
        let last = self.sets.len().saturating_sub(1);
        // The tag is made of the upper bits. The cut-off bits do not matter.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "only the lower bits are used"
        )]
        let at = hash as usize & last;
        self.sets.get(at).map_or(&[], |set| &set.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    /// A hash with this tag in this set.
    fn hash(tag: u64, set: u64) -> u64 {
        tag << TIME_BITS | set
    }

    #[test]
    fn each_hash_has_its_time() {
        let table = Table::new(64);
        for set in 0..8 {
            for tag in 1..=8 {
                table.change(hash(tag, set), |before| Some(before + 10 * tag + set));
            }
        }
        for set in 0..8 {
            for tag in 1..=8 {
                assert_eq!(table.get(hash(tag, set)), 10 * tag + set);
            }
        }
        table.change(hash(1, 0), |before| {
            assert_eq!(before, 10);
            None
        });
        assert_eq!((table.get(hash(1, 0)), table.get(hash(9, 0))), (10, 0));
        table.change(hash(1, 0), |_| Some(u64::MAX));
        assert_eq!(table.get(hash(1, 0)), TIME_MAX);
    }

    #[test]
    fn the_earliest_gives_way() {
        let table = Table::new(8);
        for tag in 1..=8 {
            table.change(hash(tag, 0), |_| Some(1000 + tag));
        }
        table.change(hash(9, 0), |before| {
            assert_eq!(before, 0);
            Some(5000)
        });
        let times: Vec<u64> = (1..=9).map(|tag| table.get(hash(tag, 0))).collect();
        assert_eq!(times, [0, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 5000]);
        // Strangers without end displace each other, and not the one whose time lies far ahead.
        for tag in 10..10_000 {
            table.change(hash(tag, 0), |_| Some(2000));
        }
        assert_eq!(table.get(hash(9, 0)), 5000);
    }

    #[test]
    fn no_change_of_a_known_hash_is_lost() {
        const THREADS: u64 = 4;
        const CHANGES: u64 = 20_000;
        let table = Table::new(8);
        table.change(hash(1, 0), |_| Some(1));
        let (start, lost) = (Barrier::new(4), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..CHANGES {
                        let mut calls = 0;
                        table.change(hash(1, 0), |before| {
                            calls += 1;
                            Some(before + 1)
                        });
                        // The last attempt may have failed as well; then the change is lost.
                        if calls == limits::THROTTLE_ATTEMPTS {
                            lost.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let (counted, lost) = (table.get(hash(1, 0)), lost.into_inner());
        let all = THREADS * CHANGES + 1;
        assert!(counted <= all && counted + lost >= all, "{counted} {lost}");
    }

    #[test]
    fn a_hash_that_many_threads_bring_has_one_time() {
        for round in 0..500 {
            let table = Table::new(8);
            let start = Barrier::new(4);
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        start.wait();
                        for _ in 0..8 {
                            table.change(hash(1, 0), |before| Some(before + 1));
                        }
                    });
                }
            });
            // Of each thread only the first changes can have got into another word.
            let counted = table.get(hash(1, 0));
            assert!((8..=32).contains(&counted), "round {round}: {counted}");
        }
    }
}
