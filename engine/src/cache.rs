//! The cache: cells by key and proofs by credential, within one memory budget.
//!
//! Guarantees: look-ups take no lock and never block. After [`KeyCache::publish`] has returned, no
//! look-up finds an older cached key (see `talos_cells`). Memory exceeds the budget by no more than
//! what is inserted between two steps of the clock's hand.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use subtle::ConstantTimeEq;
use talos_cells::{Budget, Cell, Entry, Found, Guard, PrefetchSizes, State, Table};
use talos_model::RecordKey;

use crate::cached_key::CachedKey;
use crate::cached_token::CachedToken;
use crate::limits::{CACHE_BYTES_PER_SLOT, SWEEP_BUCKETS, SWEEPS_MAX};

/// What a proof leads to: the cell; its cached key, or a cached token; and the first bytes of the
/// answer. The processor fetches the rest of the answer while it is copied.
const PROOF_PREFETCH: PrefetchSizes = [size_of::<KeyCell>(), size_of::<CachedKey>(), 256];
const _: () = assert!(size_of::<CachedToken>() <= size_of::<CachedKey>());

/// The newest known cached key of one key.
pub type KeyCell = Cell<RecordKey, CachedKey>;

/// The result of proving a credential, stored under the credential's digest alone.
#[derive(Clone, Debug)]
pub struct Proven {
    /// See [`talos_credentials::proof_digest`].
    pub digest: [u8; 32],
    /// The generation of the keyring under which it was proven.
    pub generation: u64,
    /// The proof is void from this time on, in Unix milliseconds, whatever the record says.
    pub not_after_ms: i64,
    /// The facts of the token, if the credential is a derived token.
    pub token: Option<Arc<CachedToken>>,
}

/// A proof: the credential belongs to a key, or is a token derived from one.
#[derive(Debug)]
pub struct Proof {
    /// The result of proving it.
    pub proven: Proven,
    /// The cell of its key. `None` for a token that is not checked against its key.
    pub cell: Option<Arc<KeyCell>>,
    referenced: AtomicBool,
}

impl Proof {
    /// Marks the proof and its cell as used, so that the next round of eviction spares them.
    pub fn touch(&self) {
        if !self.referenced.load(Ordering::Relaxed) {
            self.referenced.store(true, Ordering::Relaxed);
        }
        if let Some(cell) = &self.cell {
            cell.touch();
        }
    }
}

impl Entry for Proof {
    fn retire(&self, _: &Budget, _: &Guard) {}

    fn take_reference(&self) -> bool {
        // A proof of a detached cell is useless, however often it was used.
        let is_detached = self.cell.as_ref().is_some_and(|cell| cell.is_detached());
        self.referenced.swap(false, Ordering::Relaxed) && !is_detached
    }

    fn bytes(&self) -> usize {
        self.proven.token.as_ref().map_or(0, |token| token.bytes())
    }
}

/// Cells and proofs, within one memory budget.
pub struct KeyCache {
    cells: Table<KeyCell>,
    proofs: Table<Proof>,
    budget: Budget,
}

impl KeyCache {
    /// A cache of at most `bytes` bytes, including the slots of its tables.
    pub fn new(bytes: usize) -> Self {
        let slots = bytes / CACHE_BYTES_PER_SLOT;
        let cells = Table::with_slots(slots);
        let proofs = Table::with_prefetch_hints(slots, PROOF_PREFETCH);
        let budget = Budget::new(bytes.saturating_sub(cells.slot_bytes() + proofs.slot_bytes()));
        Self {
            cells,
            proofs,
            budget,
        }
    }

    /// The proof of the credential with this digest.
    pub fn proof<'g>(&'g self, digest: &[u8; 32], guard: &'g Guard) -> Option<Found<'g, Proof>> {
        self.proofs.find(hash_of(digest), guard, |proof| {
            equal(&proof.proven.digest, digest)
        })
    }

    /// The number of proofs.
    pub fn proofs(&self) -> usize {
        self.proofs.len()
    }

    /// Starts to fetch the bucket of the proof with this digest.
    pub fn prefetch_bucket(&self, digest: &[u8; 32]) {
        self.proofs.prefetch_bucket(hash_of(digest));
    }

    /// Starts to fetch the proof with this digest and what it leads to. Call it when the bucket has
    /// arrived.
    pub fn prefetch_proof(&self, digest: &[u8; 32]) {
        self.proofs.prefetch_entries(hash_of(digest));
    }

    /// Notes for the next look-up what a proof led to: the cell with this cached key, or the token.
    /// With several tokens of one key, each token's own facts are noted: they share the cached key,
    /// which is then likely to be in the processor's cache.
    pub fn note_prefetch(found: &Found<'_, Proof>, cached: Option<&CachedKey>) {
        let Some(hints) = found.prefetch else {
            return;
        };
        let proof = found.entry;
        let cell = proof
            .cell
            .as_deref()
            .map_or(0, |cell| ptr::from_ref(cell).addr());
        let (facts, body) = match (proof.proven.token.as_deref(), cached) {
            (Some(token), _) => (ptr::from_ref(token).addr(), token.body()),
            (None, Some(cached)) => (ptr::from_ref(cached).addr(), cached.body()),
            (None, None) => return,
        };
        hints.note([cell, facts, body.as_ptr().addr()]);
    }

    /// The cell of `key`; `hash` is the hash of the key.
    pub fn cell(&self, key: &RecordKey, hash: u64, guard: &Guard) -> Option<Arc<KeyCell>> {
        self.cells
            .get(hash, guard, |cell| cell.key() == key && !cell.is_detached())
    }

    /// Whether there is a cached key of `key` for which `wanted` holds.
    pub fn has(
        &self,
        key: &RecordKey,
        hash: u64,
        guard: &Guard,
        wanted: impl Fn(&CachedKey) -> bool,
    ) -> bool {
        let is_wanted = |cell: &KeyCell| {
            cell.key() == key && matches!(cell.load(guard), State::Value(cached) if wanted(cached))
        };
        self.cells.find(hash, guard, is_wanted).is_some()
    }

    /// Links a new, vacant cell for `key`. Offer to it only what is read from storage *after* this
    /// call.
    pub fn link(&self, key: RecordKey, hash: u64, guard: &Guard) -> Arc<KeyCell> {
        let cell = Arc::new(KeyCell::vacant(key));
        self.cells
            .insert(hash, Arc::clone(&cell), &self.budget, guard);
        self.shrink(guard);
        cell
    }

    /// Offers a cached key that was read after `cell` was linked. The newest cached key stays.
    pub fn offer(&self, cell: &KeyCell, cached: CachedKey, guard: &Guard) {
        cell.offer(cached, &self.budget, guard);
    }

    /// Publishes a durable change to every cell of its key.
    pub fn publish(
        &self,
        key: &RecordKey,
        hash: u64,
        guard: &Guard,
        cached: impl Fn() -> CachedKey,
    ) {
        self.cells.for_each(
            hash,
            guard,
            |cell| cell.key() == key,
            |cell| {
                cell.offer(cached(), &self.budget, guard);
            },
        );
    }

    /// Stores the proof of a credential whose key has the cell `cell`.
    pub fn insert_proof(&self, proven: Proven, cell: Option<Arc<KeyCell>>, guard: &Guard) {
        let hash = hash_of(&proven.digest);
        let proof = Proof {
            proven,
            cell,
            referenced: AtomicBool::new(true),
        };
        self.proofs
            .insert(hash, Arc::new(proof), &self.budget, guard);
        self.shrink(guard);
    }

    /// Removes all cells and proofs. A reader that read storage before this offers its value to a
    /// cell that no look-up finds.
    pub fn clear(&self, guard: &Guard) {
        self.cells.clear(&self.budget, guard);
        self.proofs.clear(&self.budget, guard);
    }

    /// Bytes of cells, cached keys and proofs.
    pub fn used_bytes(&self) -> usize {
        self.budget.used() + self.cells.slot_bytes() + self.proofs.slot_bytes()
    }

    fn shrink(&self, guard: &Guard) {
        // More than one sweep is needed only if entries are large and therefore far apart.
        for _ in 0..SWEEPS_MAX {
            if !self.budget.is_exceeded() {
                return;
            }
            self.cells.sweep(SWEEP_BUCKETS, &self.budget, guard);
            self.proofs.sweep(SWEEP_BUCKETS, &self.budget, guard);
        }
    }
}

/// Whether two digests are equal, in constant time.
fn equal(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let (one, _) = one.as_chunks::<8>();
    let (other, _) = other.as_chunks::<8>();
    let differences = one
        .iter()
        .zip(other)
        .map(|(one, other)| u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other))
        .fold(0, |all, difference| all | difference);
    differences.ct_eq(&0).into()
}

/// A digest is uniform, so its first bytes serve as the hash.
fn hash_of(digest: &[u8; 32]) -> u64 {
    digest
        .first_chunk()
        .map_or(0, |first| u64::from_le_bytes(*first))
}
