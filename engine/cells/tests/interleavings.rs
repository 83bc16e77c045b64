//! Explores interleavings of slow readers, a revoking writer and the clock's hand. Looks for a
//! reader that is answered from a value older than one whose publication has returned.

#![cfg(test)]

use std::sync::Arc;

use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread;
use talos_cells::{Budget, Cell, CellValue, State, Table, pin};

const HASH: u64 = 0x0123_4567_89ab_cdef;
const ITERATIONS: usize = 20_000;
/// The number of preemptions that a fault may need, for the probabilistic scheduler of Burckhardt
/// et al. (ASPLOS 2010).
const PREEMPTIONS: usize = 3;

#[derive(Debug)]
struct At(u64);

impl CellValue for At {
    fn supersedes(&self, current: &Self) -> bool {
        self.0 > current.0
    }

    fn bytes(&self) -> usize {
        1
    }
}

/// One key: the sequence of its value in storage, its cells, and the last sequence whose
/// publication has returned.
struct World {
    storage: AtomicU64,
    published: AtomicU64,
    table: Table<Cell<(), At>>,
    budget: Budget,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            storage: AtomicU64::new(1),
            published: AtomicU64::new(1),
            table: Table::with_slots(8),
            budget: Budget::new(0),
        })
    }

    /// A commit: makes the value durable, publishes it to the cells, then acknowledges it.
    fn write(&self, sequence: u64) {
        self.storage.store(sequence, Ordering::SeqCst);
        let guard = pin();
        self.table.for_each(
            HASH,
            &guard,
            |_| true,
            |cell| {
                cell.offer(At(sequence), &self.budget, &guard);
            },
        );
        self.published.store(sequence, Ordering::SeqCst);
    }

    /// A verification that finds no value in memory: links a vacant cell, then reads storage.
    fn fill(&self) -> Arc<Cell<(), At>> {
        let guard = pin();
        let cell = Arc::new(Cell::vacant(()));
        self.table
            .insert(HASH, Arc::clone(&cell), &self.budget, &guard);
        let value = At(self.storage.load(Ordering::SeqCst));
        cell.offer(value, &self.budget, &guard);
        cell
    }

    /// A verification in the wrong order: reads storage, then links a cell that holds the value.
    fn fill_backwards(&self) {
        let guard = pin();
        let value = At(self.storage.load(Ordering::SeqCst));
        let cell = Arc::new(Cell::vacant(()));
        cell.offer(value, &self.budget, &guard);
        self.table.insert(HASH, cell, &self.budget, &guard);
    }

    /// A verification from memory. Its answer must not be older than what was published before it
    /// began.
    fn check(&self, proof: Option<&Cell<(), At>>) {
        let floor = self.published.load(Ordering::SeqCst);
        let guard = pin();
        let found = self.table.find(HASH, &guard, |cell| !cell.is_detached());
        let cells = found.map(|found| found.entry).into_iter().chain(proof);
        for cell in cells {
            if let State::Value(value) = cell.load(&guard) {
                assert!(
                    value.0 >= floor,
                    "answered from {} after {floor} was published",
                    value.0
                );
            }
        }
    }
}

/// A verification that finds no value in memory. Returns the cell that its proof then points to.
type SlowRead = fn(&World) -> Option<Arc<Cell<(), At>>>;

fn explore(slow_read: SlowRead) {
    shuttle::check_pct(
        move || {
            let world = World::new();
            let mut threads = Vec::new();
            for _ in 0..2 {
                let world = Arc::clone(&world);
                threads.push(thread::spawn(move || {
                    let proof = slow_read(&world);
                    world.check(proof.as_deref());
                    world.check(proof.as_deref());
                }));
            }
            let writer = Arc::clone(&world);
            threads.push(thread::spawn(move || {
                writer.write(2);
                writer.check(None);
                writer.write(3);
            }));
            let sweeper = Arc::clone(&world);
            threads.push(thread::spawn(move || {
                for _ in 0..2 {
                    sweeper.table.sweep(1, &sweeper.budget, &pin());
                }
            }));
            for thread in threads {
                thread.join().expect("a thread");
            }
        },
        ITERATIONS,
        PREEMPTIONS,
    );
}

#[test]
fn a_slow_read_never_brings_an_old_row_back() {
    explore(|world| Some(world.fill()));
}

/// A proof outlives the table's link to its cell, so eviction must empty the cell before a writer
/// can miss it.
#[test]
fn a_proof_gets_no_answer_from_an_evicted_cell() {
    shuttle::check_pct(
        || {
            let world = World::new();
            let proof = world.fill();
            world.table.sweep(1, &world.budget, &pin());
            let (writer, sweeper) = (Arc::clone(&world), Arc::clone(&world));
            let threads = [
                thread::spawn(move || writer.write(2)),
                thread::spawn(move || sweeper.table.sweep(1, &sweeper.budget, &pin())),
            ];
            world.check(Some(&proof));
            for thread in threads {
                thread.join().expect("a thread");
            }
        },
        ITERATIONS,
        PREEMPTIONS,
    );
}

/// The exploration does find the fault that it looks for.
#[test]
#[should_panic(expected = "was published")]
fn reading_before_linking_is_caught() {
    explore(|world| {
        world.fill_backwards();
        None
    });
}
