//! A table of fixed size that finds entries by hash, without locks, and forgets those that nobody uses.
//!
//! Eight slots make a bucket of one cache line; an entry lives in any slot of the bucket that its hash selects, and never
//! moves. A slot is one word: the entry's address and 16 bits of its hash, so that a look-up touches no other line unless
//! the entry is very likely the right one, and an address and its tag can never be seen apart. There is no resizing: the
//! number of slots follows from the memory budget. Eviction is CLOCK: within the bucket when it is full, around the whole
//! table when the budget is exceeded.

use std::mem;
use std::ptr;
use std::sync::Arc;

use crate::budget::Budget;
use crate::prefetch::{self, PrefetchHints, PrefetchSizes};
use crate::sync::{AtomicPtr, AtomicUsize, Guard, Ordering, fence, retire};

/// What a table can hold.
pub trait Entry: Send + Sync {
    /// Called before the entry is unlinked, perhaps more than once: from now on nobody may be answered from it.
    fn retire(&self, budget: &Budget, guard: &Guard);

    /// Whether the entry was used since this was last asked.
    fn take_reference(&self) -> bool;

    /// The memory that it owns besides itself and counts nowhere else, in bytes. Must always give the same number.
    fn bytes(&self) -> usize {
        0
    }
}

/// Slots of a bucket: 8 words fill a cache line.
const SLOTS: usize = 8;
/// Addresses of user space fit in 48 bits on `x86_64` (four-level paging) and `aarch64`; the rest of the word is the tag.
const TAG_SHIFT: u32 = 48;
const ADDRESS: usize = (1 << TAG_SHIFT) - 1;
/// Exchanges tried before an insertion gives up; each failure means that another thread made progress in the bucket.
const INSERT_ATTEMPTS: usize = 16;

#[repr(align(64))]
struct Bucket<E> {
    slots: [AtomicPtr<E>; SLOTS],
}

const _: () = assert!(
    mem::size_of::<usize>() == 8,
    "slots carry a tag in the upper bits of a 64-bit address"
);

impl<E: Entry> Bucket<E> {
    /// An empty slot, or the first in CLOCK order whose entry was not used lately, with what it holds.
    fn slot_for(&self, hash: u64, guard: &Guard) -> (&AtomicPtr<E>, *mut E) {
        for slot in &self.slots {
            let word = slot.load(Ordering::Acquire);
            if word.is_null() {
                return (slot, word);
            }
        }
        let first = usize::try_from(hash >> 40).unwrap_or(0) % SLOTS;
        let (before, after) = self.slots.split_at(first);
        let mut chosen = None;
        for slot in after.iter().chain(before).chain(after.iter().take(1)) {
            let word = slot.load(Ordering::Acquire);
            chosen = Some((slot, word));
            if entry_of(word, guard).is_none_or(|entry| !entry.take_reference()) {
                break;
            }
        }
        chosen.unwrap_or_else(|| (&self.slots[0], ptr::null_mut()))
    }
}

/// What is noted for the entries of a bucket. An entry that takes the place of another one inherits it.
#[derive(Default)]
#[repr(align(64))]
struct Noted([PrefetchHints; SLOTS]);

/// An entry, and where to note what a look-up led to.
#[derive(Debug)]
pub struct Found<'g, E> {
    /// The entry.
    pub entry: &'g E,
    /// `None` in a table without foresight.
    pub prefetch: Option<&'g PrefetchHints>,
}

/// See the module.
pub struct Table<E: Entry> {
    buckets: Box<[Bucket<E>]>,
    /// As many as buckets, or none.
    noted: Box<[Noted]>,
    sizes: PrefetchSizes,
    mask: usize,
    hand: AtomicUsize,
    len: AtomicUsize,
}

impl<E: Entry> Table<E> {
    /// What one linked entry takes besides what it points to: its own memory with the counts of the `Arc`.
    const ENTRY_BYTES: usize = mem::size_of::<E>() + 2 * mem::size_of::<usize>();

    /// A table with at least `slots` slots.
    #[must_use]
    pub fn with_slots(slots: usize) -> Self {
        let buckets = slots.div_ceil(SLOTS).max(1).next_power_of_two();
        let empty = || Bucket {
            slots: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
        };
        Self {
            buckets: std::iter::repeat_with(empty).take(buckets).collect(),
            noted: Box::default(),
            sizes: PrefetchSizes::default(),
            mask: buckets - 1,
            hand: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
        }
    }

    /// The same, and a look-up starts to fetch what earlier ones have led to: `sizes` bytes of each place.
    #[must_use]
    pub fn with_prefetch_hints(slots: usize, sizes: PrefetchSizes) -> Self {
        let mut table = Self::with_slots(slots);
        let noted = std::iter::repeat_with(Noted::default).take(table.buckets.len());
        table.noted = noted.collect();
        table.sizes = sizes;
        table
    }

    /// The memory of the slots themselves, in bytes.
    #[must_use]
    pub fn slot_bytes(&self) -> usize {
        mem::size_of_val(&*self.buckets) + mem::size_of_val(&*self.noted)
    }

    /// The number of linked entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether nothing is linked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first entry under `hash` that `matches`. Does not wait.
    pub fn find<'g>(
        &'g self,
        hash: u64,
        guard: &'g Guard,
        matches: impl Fn(&E) -> bool,
    ) -> Option<Found<'g, E>> {
        let tag = tag_of(hash);
        let noted = self.noted.get(self.index(hash));
        if let Some(noted) = noted {
            // While the slots are waited for.
            prefetch::fetch(noted);
        }
        for (place, slot) in self.bucket(hash).slots.iter().enumerate() {
            let word = slot.load(Ordering::Acquire);
            if word.addr() >> TAG_SHIFT == tag
                && let Some(entry) = entry_of(word, guard)
            {
                prefetch::fetch(entry);
                let prefetch = noted.and_then(|noted| noted.0.get(place));
                if let Some(prefetch) = prefetch {
                    prefetch.fetch(self.sizes);
                }
                if matches(entry) {
                    return Some(Found { entry, prefetch });
                }
            }
        }
        None
    }

    /// Starts to fetch the place where entries under `hash` are found: the first of two steps ahead of [`Table::find`].
    pub fn fetch_place(&self, hash: u64) {
        prefetch::fetch(self.bucket(hash));
        if let Some(noted) = self.noted.get(self.index(hash)) {
            prefetch::fetch(noted);
        }
    }

    /// Starts to fetch the entries that may be those under `hash`, and what earlier look-ups have led to: the second step, when
    /// the place has arrived.
    pub fn fetch_entries(&self, hash: u64) {
        let tag = tag_of(hash);
        let noted = self.noted.get(self.index(hash));
        for (place, slot) in self.bucket(hash).slots.iter().enumerate() {
            let word = slot.load(Ordering::Relaxed);
            if !word.is_null() && word.addr() >> TAG_SHIFT == tag {
                prefetch::fetch(address_of(word));
                if let Some(prefetch) = noted.and_then(|noted| noted.0.get(place)) {
                    prefetch.fetch(self.sizes);
                }
            }
        }
    }

    /// The same as [`Table::find`], with a share of the entry that outlives the guard.
    pub fn get(&self, hash: u64, guard: &Guard, matches: impl Fn(&E) -> bool) -> Option<Arc<E>> {
        let entry = ptr::from_ref(self.find(hash, guard, matches)?.entry);
        // SAFETY: linked entries come from `Arc::into_raw`; the share that the slot owned when `find` read it is dropped
        // only after this guard is gone, so the count is at least one here.
        unsafe {
            Arc::increment_strong_count(entry);
            Some(Arc::from_raw(entry))
        }
    }

    /// Visits every entry under `hash` that `matches`: two threads may have linked one each for the same key. Preceded by
    /// a full fence, so that entries linked before an earlier write of this thread became visible are found.
    pub fn for_each(
        &self,
        hash: u64,
        guard: &Guard,
        matches: impl Fn(&E) -> bool,
        mut visit: impl FnMut(&E),
    ) {
        fence(Ordering::SeqCst);
        let tag = tag_of(hash);
        for slot in &self.bucket(hash).slots {
            let word = slot.load(Ordering::Acquire);
            if word.addr() >> TAG_SHIFT == tag
                && let Some(entry) = entry_of(word, guard)
                && matches(entry)
            {
                visit(entry);
            }
        }
    }

    /// Links `entry` under `hash`, in the place of one that was not used lately if the bucket is full. Followed by a full
    /// fence. Returns false, with the entry retired, when other threads were always faster.
    pub fn insert(&self, hash: u64, entry: Arc<E>, budget: &Budget, guard: &Guard) -> bool {
        let bytes = Self::ENTRY_BYTES + entry.bytes();
        let Some(word) = word_of(Arc::into_raw(entry).cast_mut(), hash) else {
            return false;
        };
        let bucket = self.bucket(hash);
        for _ in 0..INSERT_ATTEMPTS {
            let (slot, held) = bucket.slot_for(hash, guard);
            if let Some(victim) = entry_of(held, guard) {
                victim.retire(budget, guard);
            }
            if slot
                .compare_exchange(held, word, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                self.len.fetch_add(1, Ordering::Relaxed);
                budget.charge(bytes);
                self.unlinked(held, budget, guard);
                fence(Ordering::SeqCst);
                return true;
            }
        }
        // SAFETY: `word` carries the address that `Arc::into_raw` gave above, and it was never linked.
        let entry = unsafe { Arc::from_raw(address_of(word)) };
        entry.retire(budget, guard);
        false
    }

    /// Moves the clock's hand over `buckets` buckets and evicts what was not used since it last came by.
    pub fn sweep(&self, buckets: usize, budget: &Budget, guard: &Guard) {
        for _ in 0..buckets {
            let at = self.hand.fetch_add(1, Ordering::Relaxed) & self.mask;
            let Some(bucket) = self.buckets.get(at) else {
                return;
            };
            for slot in &bucket.slots {
                let word = slot.load(Ordering::Acquire);
                if let Some(entry) = entry_of(word, guard)
                    && !entry.take_reference()
                {
                    self.unlink(slot, word, entry, budget, guard);
                }
            }
        }
    }

    /// Retires and unlinks everything.
    pub fn clear(&self, budget: &Budget, guard: &Guard) {
        for bucket in &self.buckets {
            for slot in &bucket.slots {
                let word = slot.load(Ordering::Acquire);
                if let Some(entry) = entry_of(word, guard) {
                    self.unlink(slot, word, entry, budget, guard);
                }
            }
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the mask is one less than the number of buckets, a power of two"
    )]
    fn bucket(&self, hash: u64) -> &Bucket<E> {
        &self.buckets[self.index(hash)]
    }

    /// The tag takes the upper 16 bits of the hash; the index takes from the lower ones.
    fn index(&self, hash: u64) -> usize {
        usize::try_from(hash).unwrap_or(0) & self.mask
    }

    fn unlink(&self, slot: &AtomicPtr<E>, word: *mut E, entry: &E, budget: &Budget, guard: &Guard) {
        entry.retire(budget, guard);
        if slot
            .compare_exchange(word, ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
        {
            self.unlinked(word, budget, guard);
        }
    }

    /// Gives up the table's share of an entry that this thread has just taken out of its slot.
    fn unlinked(&self, word: *mut E, budget: &Budget, guard: &Guard) {
        let Some(entry) = entry_of(word, guard) else {
            return;
        };
        self.len.fetch_sub(1, Ordering::Relaxed);
        budget.release(Self::ENTRY_BYTES + entry.bytes());
        let address = address_of(word);
        // SAFETY: the exchange that took `word` out of its slot succeeded on this thread alone, so this share of the `Arc`
        // is ours to drop; readers that found it are pinned, and `E` may be dropped on any thread.
        unsafe { retire(guard, move || drop(Arc::from_raw(address))) }
    }
}

impl<E: Entry> Drop for Table<E> {
    fn drop(&mut self) {
        for bucket in &self.buckets {
            for slot in &bucket.slots {
                let word = slot.load(Ordering::Relaxed);
                if !word.is_null() {
                    // SAFETY: exclusive access; a linked word owns one share of its `Arc`.
                    drop(unsafe { Arc::from_raw(address_of(word)) });
                }
            }
        }
    }
}

fn tag_of(hash: u64) -> usize {
    usize::try_from(hash >> TAG_SHIFT).unwrap_or(0)
}

/// The address with the tag in its upper bits; `None` on a machine whose addresses leave no room for it.
fn word_of<E>(address: *mut E, hash: u64) -> Option<*mut E> {
    if address.addr() & !ADDRESS != 0 {
        // SAFETY: the address comes from `Arc::into_raw` in `insert` and is not linked.
        drop(unsafe { Arc::from_raw(address) });
        return None;
    }
    Some(address.map_addr(|addr| addr | (tag_of(hash) << TAG_SHIFT)))
}

fn address_of<E>(word: *mut E) -> *const E {
    word.map_addr(|addr| addr & ADDRESS)
}

fn entry_of<E>(word: *mut E, _guard: &Guard) -> Option<&E> {
    // SAFETY: a word in a slot is null or carries an address from `Arc::into_raw`; the share it owns is dropped only
    // through `retire` after it was taken out, so it outlives every guard pinned before that.
    unsafe { address_of(word).as_ref() }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests;
