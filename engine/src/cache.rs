//! Cells by key and proofs by credential, within one budget of bytes.
//!
//! Guarantees: look-ups take no lock and wait for nobody; no row older than one whose [`KeyCache::publish`] has returned is
//! found (see `talos_cells`); memory stays within the budget up to what is inserted between two steps of the clock's hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use subtle::ConstantTimeEq;
use talos_cells::{Budget, Cell, Entry, Guard, Table};

use crate::limits::{CACHE_BYTES_PER_SLOT, SWEEP_BUCKETS};
use crate::row::Row;
use crate::storage::RecordKey;

/// The newest known row of one key.
pub type KeyCell = Cell<RecordKey, Row>;

/// That a credential, known by its digest alone, is the credential of a key.
#[derive(Debug)]
pub struct Proof {
    digest: [u8; 32],
    /// The keyring under which it was proven.
    pub generation: u64,
    /// From this instant in milliseconds on the credential is too old, whatever its record says.
    pub not_after_ms: i64,
    /// The cell of its key.
    pub cell: Arc<KeyCell>,
    referenced: AtomicBool,
}

impl Proof {
    /// Keeps the proof and its cell from the next round of eviction.
    pub fn touch(&self) {
        if !self.referenced.load(Ordering::Relaxed) {
            self.referenced.store(true, Ordering::Relaxed);
        }
        self.cell.touch();
    }
}

impl Entry for Proof {
    fn retire(&self, _: &Budget, _: &Guard) {}

    fn take_reference(&self) -> bool {
        // A proof of a detached cell is of no use, however often it was asked for.
        self.referenced.swap(false, Ordering::Relaxed) && !self.cell.is_detached()
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
        let (cells, proofs) = (Table::with_slots(slots), Table::with_slots(slots));
        let budget = Budget::new(bytes.saturating_sub(cells.slot_bytes() + proofs.slot_bytes()));
        Self {
            cells,
            proofs,
            budget,
        }
    }

    /// The proof of the credential with this digest.
    pub fn proof<'g>(&self, digest: &[u8; 32], guard: &'g Guard) -> Option<&'g Proof> {
        self.proofs.find(hash_of(digest), guard, |proof| {
            bool::from(proof.digest.ct_eq(digest))
        })
    }

    /// The cell of `key`, whose hash is `hash`.
    pub fn cell(&self, key: &RecordKey, hash: u64, guard: &Guard) -> Option<Arc<KeyCell>> {
        self.cells
            .get(hash, guard, |cell| cell.key() == key && !cell.is_detached())
    }

    /// Links a new, vacant cell for `key`. Only what is read from storage *after* this may be offered to it.
    pub fn link(&self, key: RecordKey, hash: u64, guard: &Guard) -> Arc<KeyCell> {
        let cell = Arc::new(KeyCell::vacant(key));
        self.cells
            .insert(hash, Arc::clone(&cell), &self.budget, guard);
        self.shrink(guard);
        cell
    }

    /// Offers a row that was read after `cell` was linked; the newest row stays.
    pub fn offer(&self, cell: &KeyCell, row: Row, guard: &Guard) {
        cell.offer(row, &self.budget, guard);
    }

    /// Brings a change that is durable to every cell of its key.
    pub fn publish(&self, key: &RecordKey, hash: u64, guard: &Guard, row: impl Fn() -> Row) {
        self.cells.for_each(
            hash,
            guard,
            |cell| cell.key() == key,
            |cell| {
                cell.offer(row(), &self.budget, guard);
            },
        );
    }

    /// Remembers that the credential with this digest is that of the cell's key.
    pub fn remember(
        &self,
        digest: [u8; 32],
        generation: u64,
        not_after_ms: i64,
        cell: Arc<KeyCell>,
        guard: &Guard,
    ) {
        let proof = Proof {
            digest,
            generation,
            not_after_ms,
            cell,
            referenced: AtomicBool::new(true),
        };
        self.proofs
            .insert(hash_of(&digest), Arc::new(proof), &self.budget, guard);
        self.shrink(guard);
    }

    /// Bytes of cells, rows and proofs.
    pub fn used_bytes(&self) -> usize {
        self.budget.used() + self.cells.slot_bytes() + self.proofs.slot_bytes()
    }

    fn shrink(&self, guard: &Guard) {
        if self.budget.is_exceeded() {
            self.cells.sweep(SWEEP_BUCKETS, &self.budget, guard);
            self.proofs.sweep(SWEEP_BUCKETS, &self.budget, guard);
        }
    }
}

/// A digest is uniform already; its first bytes serve as the hash.
fn hash_of(digest: &[u8; 32]) -> u64 {
    digest
        .first_chunk()
        .map_or(0, |first| u64::from_le_bytes(*first))
}
