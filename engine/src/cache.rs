//! Cells by key and proofs by credential, within one budget of bytes.
//!
//! Guarantees: look-ups take no lock and wait for nobody; no cached key older than one whose [`KeyCache::publish`] has returned is
//! found (see `talos_cells`); memory stays within the budget up to what is inserted between two steps of the clock's hand.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use subtle::ConstantTimeEq;
use talos_cells::{Budget, Cell, Entry, Found, Guard, PrefetchSizes, State, Table};
use talos_model::RecordKey;

use crate::cached_key::CachedKey;
use crate::cached_token::CachedToken;
use crate::limits::{CACHE_BYTES_PER_SLOT, SWEEP_BUCKETS, SWEEPS_MAX};

/// What a proof leads to: the cell; its cached key, or the facts of a token; and the beginning of the answer. The rest of that comes while
/// it is copied.
const PROOF_REACH: PrefetchSizes = [size_of::<KeyCell>(), size_of::<CachedKey>(), 256];
const _: () = assert!(size_of::<CachedToken>() <= size_of::<CachedKey>());

/// The newest known cached key of one key.
pub type KeyCell = Cell<RecordKey, CachedKey>;

/// What was found out about a credential that is ours, known by its digest alone.
#[derive(Clone, Debug)]
pub struct Proven {
    /// See [`talos_credentials::proof_digest`].
    pub digest: [u8; 32],
    /// The keyring under which it was proven.
    pub generation: u64,
    /// From this instant in milliseconds on it has to be proven again, whatever its record says.
    pub not_after_ms: i64,
    /// What it says itself, if it is a derived token.
    pub token: Option<Arc<CachedToken>>,
}

/// That a credential is the credential of a key, or a token that was derived from it.
#[derive(Debug)]
pub struct Proof {
    /// What was found out.
    pub proven: Proven,
    /// The cell of its key; `None` for a token that does not end with its key.
    pub cell: Option<Arc<KeyCell>>,
    referenced: AtomicBool,
}

impl Proof {
    /// Keeps the proof and its cell from the next round of eviction.
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
        // A proof of a detached cell is of no use, however often it was asked for.
        let is_detached = self.cell.as_ref().is_some_and(|cell| cell.is_detached());
        self.referenced.swap(false, Ordering::Relaxed) && !is_detached
    }

    fn bytes(&self) -> usize {
        self.proven.token.as_ref().map_or(0, |facts| facts.bytes())
    }
}

/// See the module.
pub struct KeyCache {
    cells: Table<KeyCell>,
    proofs: Table<Proof>,
    budget: Budget,
}

impl KeyCache {
    /// A cache of at most `bytes`, the slots of its tables included.
    pub fn new(bytes: usize) -> Self {
        let slots = bytes / CACHE_BYTES_PER_SLOT;
        let cells = Table::with_slots(slots);
        let proofs = Table::with_prefetch_hints(slots, PROOF_REACH);
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
            same(&proof.proven.digest, digest)
        })
    }

    /// How many proofs there are.
    pub fn proofs(&self) -> usize {
        self.proofs.len()
    }

    /// Starts to fetch the place of the proof of the credential with this digest.
    pub fn fetch_place(&self, digest: &[u8; 32]) {
        self.proofs.prefetch_bucket(hash_of(digest));
    }

    /// Starts to fetch that proof and what it leads to, once the place has arrived.
    pub fn fetch_proof(&self, digest: &[u8; 32]) {
        self.proofs.prefetch_entries(hash_of(digest));
    }

    /// Notes where a proof led to, for the next one who asks: to this cached key of its cell, or to what the token says itself. Of
    /// the tokens of one key each has its own facts, while the cached key of the key is at hand.
    pub fn note(found: &Found<'_, Proof>, cached: Option<&CachedKey>) {
        let Some(foresight) = found.prefetch else {
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
        foresight.note([cell, facts, body.as_ptr().addr()]);
    }

    /// The cell of `key`, whose hash is `hash`.
    pub fn cell(&self, key: &RecordKey, hash: u64, guard: &Guard) -> Option<Arc<KeyCell>> {
        self.cells
            .get(hash, guard, |cell| cell.key() == key && !cell.is_detached())
    }

    /// Whether a cached key of `key` is there for which `wanted` holds.
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

    /// Links a new, vacant cell for `key`. Only what is read from storage *after* this may be offered to it.
    pub fn link(&self, key: RecordKey, hash: u64, guard: &Guard) -> Arc<KeyCell> {
        let cell = Arc::new(KeyCell::vacant(key));
        self.cells
            .insert(hash, Arc::clone(&cell), &self.budget, guard);
        self.shrink(guard);
        cell
    }

    /// Offers a cached key that was read after `cell` was linked; the newest cached key stays.
    pub fn offer(&self, cell: &KeyCell, cached: CachedKey, guard: &Guard) {
        cell.offer(cached, &self.budget, guard);
    }

    /// Brings a change that is durable to every cell of its key.
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

    /// Remembers that a credential is proven, and that `cell` is the one of its key.
    pub fn remember(&self, proven: Proven, cell: Option<Arc<KeyCell>>, guard: &Guard) {
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

    /// Forgets everything. What was read from storage before is then offered to cells that nobody finds.
    pub fn clear(&self, guard: &Guard) {
        self.cells.clear(&self.budget, guard);
        self.proofs.clear(&self.budget, guard);
    }

    /// Bytes of cells, cached keys and proofs.
    pub fn used_bytes(&self) -> usize {
        self.budget.used() + self.cells.slot_bytes() + self.proofs.slot_bytes()
    }

    fn shrink(&self, guard: &Guard) {
        // More than one sweep only where entries are large and therefore far apart.
        for _ in 0..SWEEPS_MAX {
            if !self.budget.is_exceeded() {
                return;
            }
            self.cells.sweep(SWEEP_BUCKETS, &self.budget, guard);
            self.proofs.sweep(SWEEP_BUCKETS, &self.budget, guard);
        }
    }
}

/// Whether two digests are one, in a time that does not depend on where they differ.
fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let (one, _) = one.as_chunks::<8>();
    let (other, _) = other.as_chunks::<8>();
    let differences = one
        .iter()
        .zip(other)
        .map(|(one, other)| u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other))
        .fold(0, |all, difference| all | difference);
    differences.ct_eq(&0).into()
}

/// A digest is uniform already; its first bytes serve as the hash.
fn hash_of(digest: &[u8; 32]) -> u64 {
    digest
        .first_chunk()
        .map_or(0, |first| u64::from_le_bytes(*first))
}
