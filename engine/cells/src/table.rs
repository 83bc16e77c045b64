//! A lock-free table of fixed size that finds entries by hash and evicts those that are not used.
//!
//! Eight slots form a bucket of one cache line. An entry lives in any slot of the bucket that its
//! hash selects, and never moves. A slot is one word: the entry's address and 16 bits of its hash,
//! the tag. So a look-up reads no other line unless the entry is very likely the right one, and an
//! address is never seen without its tag. The table is never resized: the number of slots follows
//! from the memory budget. Eviction is CLOCK: within the bucket if the bucket is full, around the
//! whole table if the budget is exceeded.

use std::mem;
use std::ptr;
use std::sync::Arc;

use crate::budget::Budget;
use crate::prefetch::{self, PrefetchHints, PrefetchSizes};
use crate::sync::{AtomicPtr, AtomicUsize, Guard, Ordering, fence, retire};

/// An entry of a table.
pub trait Entry: Send + Sync {
    /// Called before the entry is unlinked, perhaps more than once. From now on no answer may come
    /// from it.
    fn retire(&self, budget: &Budget, guard: &Guard);

    /// Whether the entry was used since the last call.
    fn take_reference(&self) -> bool;

    /// The memory in bytes that the entry owns, besides its own size and what is charged elsewhere.
    /// Must always return the same number.
    fn bytes(&self) -> usize {
        0
    }
}

/// Slots in a bucket: 8 words fill a cache line.
const SLOTS: usize = 8;
/// Addresses of user space fit in 48 bits on `x86_64` (four-level paging) and `aarch64`. The tag
/// takes the other bits of the word.
const TAG_SHIFT: u32 = 48;
const ADDRESS: usize = (1 << TAG_SHIFT) - 1;
/// How often an insertion tries its exchange. Each failure means that another thread made progress
/// in the bucket.
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
    /// An empty slot, or else the first slot in CLOCK order whose entry was not used lately, and
    /// the slot's word.
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

/// The prefetch hints of a bucket's entries. An entry inherits the hints of the entry that it
/// replaces.
#[derive(Default)]
#[repr(align(64))]
struct BucketHints([PrefetchHints; SLOTS]);

/// An entry that a look-up found, and its prefetch hints.
#[derive(Debug)]
pub struct Found<'g, E> {
    /// The entry.
    pub entry: &'g E,
    /// `None` in a table without prefetch hints.
    pub prefetch: Option<&'g PrefetchHints>,
}

/// A lock-free hash table of shared entries, with CLOCK eviction.
pub struct Table<E: Entry> {
    buckets: Box<[Bucket<E>]>,
    /// As many as `buckets`, or none.
    hints: Box<[BucketHints]>,
    sizes: PrefetchSizes,
    mask: usize,
    hand: AtomicUsize,
    len: AtomicUsize,
}

impl<E: Entry> Table<E> {
    /// The bytes of one linked entry: its own size and the two counts of the `Arc`.
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
            hints: Box::default(),
            sizes: PrefetchSizes::default(),
            mask: buckets - 1,
            hand: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
        }
    }

    /// A table with at least `slots` slots whose look-ups start to fetch what earlier look-ups led
    /// to: `sizes` bytes at each noted address.
    #[must_use]
    pub fn with_prefetch_hints(slots: usize, sizes: PrefetchSizes) -> Self {
        let mut table = Self::with_slots(slots);
        let hints = std::iter::repeat_with(BucketHints::default).take(table.buckets.len());
        table.hints = hints.collect();
        table.sizes = sizes;
        table
    }

    /// The memory of the slots and hints themselves, in bytes.
    #[must_use]
    pub fn slot_bytes(&self) -> usize {
        mem::size_of_val(&*self.buckets) + mem::size_of_val(&*self.hints)
    }

    /// The number of linked entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether the table has no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first entry under `hash` that `matches`. Never blocks.
    pub fn find<'g>(
        &'g self,
        hash: u64,
        guard: &'g Guard,
        matches: impl Fn(&E) -> bool,
    ) -> Option<Found<'g, E>> {
        let tag = tag_of(hash);
        let hints = self.hints.get(self.index(hash));
        if let Some(hints) = hints {
            // This fetch overlaps the wait for the slots.
            prefetch::fetch(hints);
        }
        for (place, slot) in self.bucket(hash).slots.iter().enumerate() {
            let word = slot.load(Ordering::Acquire);
            if word.addr() >> TAG_SHIFT == tag
                && let Some(entry) = entry_of(word, guard)
            {
                prefetch::fetch(entry);
                let prefetch = hints.and_then(|hints| hints.0.get(place));
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

    /// Starts to fetch the bucket of `hash`: the first of two steps ahead of [`Table::find`].
    pub fn prefetch_bucket(&self, hash: u64) {
        prefetch::fetch(self.bucket(hash));
        if let Some(hints) = self.hints.get(self.index(hash)) {
            prefetch::fetch(hints);
        }
    }

    /// Starts to fetch the entries that may belong to `hash`, and what earlier look-ups led to. The
    /// second step, to be taken when the bucket has arrived.
    pub fn prefetch_entries(&self, hash: u64) {
        let tag = tag_of(hash);
        let hints = self.hints.get(self.index(hash));
        for (place, slot) in self.bucket(hash).slots.iter().enumerate() {
            let word = slot.load(Ordering::Relaxed);
            if !word.is_null() && word.addr() >> TAG_SHIFT == tag {
                prefetch::fetch(address_of(word));
                if let Some(prefetch) = hints.and_then(|hints| hints.0.get(place)) {
                    prefetch.fetch(self.sizes);
                }
            }
        }
    }

    /// The first entry under `hash` that `matches`, as a reference that outlives the guard. Never
    /// blocks.
    pub fn get(&self, hash: u64, guard: &Guard, matches: impl Fn(&E) -> bool) -> Option<Arc<E>> {
        let entry = ptr::from_ref(self.find(hash, guard, matches)?.entry);
        // SAFETY: linked entries come from `Arc::into_raw`. The slot owned one reference when
        // `find` read it, and that one is dropped only after this guard is gone, so the count is at
        // least one here.
        unsafe {
            Arc::increment_strong_count(entry);
            Some(Arc::from_raw(entry))
        }
    }

    /// Visits every entry under `hash` that `matches`: two threads may have linked one each for the
    /// same key. Begins with a full fence. So it finds every entry that was linked before an
    /// earlier write of this thread became visible.
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

    /// Links `entry` under `hash`. If the bucket is full, the entry replaces one that was not used
    /// lately. Ends with a full fence. Returns false, with the entry retired, if other threads won
    /// every exchange.
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
                self.release(held, budget, guard);
                fence(Ordering::SeqCst);
                return true;
            }
        }
        // SAFETY: `word` carries the address that `Arc::into_raw` returned above, and it was never
        // linked.
        let entry = unsafe { Arc::from_raw(address_of(word)) };
        entry.retire(budget, guard);
        false
    }

    /// Moves the clock's hand over `buckets` buckets and evicts the entries that were not used
    /// since its last visit.
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

    /// Retires and unlinks every entry.
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

    /// The tag takes the upper 16 bits of the hash, the index takes lower ones.
    fn index(&self, hash: u64) -> usize {
        usize::try_from(hash).unwrap_or(0) & self.mask
    }

    fn unlink(&self, slot: &AtomicPtr<E>, word: *mut E, entry: &E, budget: &Budget, guard: &Guard) {
        entry.retire(budget, guard);
        if slot
            .compare_exchange(word, ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
        {
            self.release(word, budget, guard);
        }
    }

    /// Drops the table's reference to an entry that this thread has just taken out of its slot.
    fn release(&self, word: *mut E, budget: &Budget, guard: &Guard) {
        let Some(entry) = entry_of(word, guard) else {
            return;
        };
        self.len.fetch_sub(1, Ordering::Relaxed);
        budget.release(Self::ENTRY_BYTES + entry.bytes());
        let address = address_of(word);
        // SAFETY: only this thread's exchange took `word` out of its slot, so the slot's reference
        // is this thread's to drop. Readers that found the entry are pinned, and `E` may be dropped
        // on any thread.
        unsafe { retire(guard, move || drop(Arc::from_raw(address))) }
    }
}

impl<E: Entry> Drop for Table<E> {
    fn drop(&mut self) {
        for bucket in &self.buckets {
            for slot in &bucket.slots {
                let word = slot.load(Ordering::Relaxed);
                if !word.is_null() {
                    // SAFETY: exclusive access; a linked word owns one reference of its `Arc`.
                    drop(unsafe { Arc::from_raw(address_of(word)) });
                }
            }
        }
    }
}

fn tag_of(hash: u64) -> usize {
    usize::try_from(hash >> TAG_SHIFT).unwrap_or(0)
}

/// The address with the tag in its upper bits. `None` if the address itself uses these bits; the
/// entry is then dropped.
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
    // SAFETY: a word in a slot is null or carries an address from `Arc::into_raw`. Its reference is
    // dropped only through `retire` after it was taken out, so it outlives every guard that was
    // pinned before.
    unsafe { address_of(word).as_ref() }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests;
