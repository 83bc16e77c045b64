//! What the table promises to one thread and to racing threads.

use super::*;
use crate::sync::{AtomicBool, pin};

/// An entry that records its use and its retirement.
struct Probe {
    key: u64,
    used: AtomicBool,
    retired: AtomicBool,
}

impl Probe {
    fn new(key: u64) -> Arc<Self> {
        Arc::new(Self {
            key,
            used: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        })
    }
}

impl Entry for Probe {
    fn retire(&self, _: &Budget, _: &Guard) {
        self.retired.store(true, Ordering::Relaxed);
    }

    fn take_reference(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    fn bytes(&self) -> usize {
        self.key.trailing_zeros() as usize
    }
}

fn spread(key: u64) -> u64 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn find(table: &Table<Probe>, key: u64) -> Option<u64> {
    table
        .find(spread(key), &pin(), |probe| probe.key == key)
        .map(|found| found.entry.key)
}

#[test]
fn finds_what_was_inserted_and_nothing_else() {
    let (table, budget, guard) = (Table::with_slots(4096), Budget::new(usize::MAX), pin());
    for key in 0..1000 {
        assert!(table.insert(spread(key), Probe::new(key), &budget, &guard));
    }
    assert_eq!(table.len(), 1000);
    assert!((0..1000).all(|key| find(&table, key) == Some(key)));
    assert!((1000..2000).all(|key| find(&table, key).is_none()));
    table.clear(&budget, &guard);
    assert_eq!((table.len(), budget.used()), (0, 0));
}

#[test]
fn a_full_bucket_gives_up_what_was_not_used() {
    let (table, budget, guard) = (Table::with_slots(8), Budget::new(usize::MAX), pin());
    let probes: Vec<_> = (0..8).map(Probe::new).collect();
    for probe in &probes {
        table.insert(spread(probe.key), Arc::clone(probe), &budget, &guard);
        probe.used.store(probe.key != 3, Ordering::Relaxed);
    }
    table.insert(spread(8), Probe::new(8), &budget, &guard);
    assert_eq!(
        (find(&table, 3), find(&table, 8), table.len()),
        (None, Some(8), 8)
    );
    assert!(probes[3].retired.load(Ordering::Relaxed));
    assert!(!probes[2].retired.load(Ordering::Relaxed));
}

#[test]
fn prefetch_hints_do_not_change_what_is_found() {
    let table = Table::with_prefetch_hints(64, [64, 1024, 0]);
    let (budget, guard) = (Budget::new(usize::MAX), pin());
    assert!(table.slot_bytes() > Table::<Probe>::with_slots(64).slot_bytes());
    for key in 0..64 {
        table.insert(spread(key), Probe::new(key), &budget, &guard);
        table.prefetch_bucket(spread(key));
        table.prefetch_entries(spread(key));
        let found = table.find(spread(key), &guard, |probe| probe.key == key);
        let prefetch = found.unwrap().prefetch.unwrap();
        prefetch.note([1, usize::MAX, usize::MAX]);
    }
    for key in 0..64 {
        table.prefetch_entries(spread(key));
        assert!(find(&table, key).is_none_or(|found| found == key));
    }
}

#[test]
fn the_hand_spares_an_entry_that_was_used_once() {
    let (table, budget, guard) = (Table::with_slots(64), Budget::new(0), pin());
    let (used, unused) = (Probe::new(1), Probe::new(2));
    used.used.store(true, Ordering::Relaxed);
    table.insert(spread(1), Arc::clone(&used), &budget, &guard);
    table.insert(spread(2), Arc::clone(&unused), &budget, &guard);
    table.sweep(8, &budget, &guard);
    assert_eq!((find(&table, 1), find(&table, 2)), (Some(1), None));
    table.sweep(8, &budget, &guard);
    assert_eq!((table.len(), budget.used()), (0, 0));
}

#[test]
fn racing_threads_leave_counts_that_add_up() {
    let (table, budget) = (Table::<Probe>::with_slots(256), Budget::new(usize::MAX));
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (table, budget) = (&table, &budget);
            scope.spawn(move || {
                for n in 0..20_000 {
                    let (guard, key) = (pin(), (n * 7 + thread) % 500);
                    if table
                        .find(spread(key), &guard, |probe| probe.key == key)
                        .is_none()
                    {
                        table.insert(spread(key), Probe::new(key), budget, &guard);
                    }
                    if n % 64 == 0 {
                        table.sweep(1, budget, &guard);
                    }
                }
            });
        }
    });
    let guard = pin();
    let slots = table.buckets.iter().flat_map(|bucket| &bucket.slots);
    let linked: Vec<_> = slots
        .filter_map(|slot| entry_of(slot.load(Ordering::Relaxed), &guard))
        .map(|probe| Table::<Probe>::ENTRY_BYTES + probe.bytes())
        .collect();
    assert_eq!(table.len(), linked.len());
    assert_eq!(budget.used(), linked.iter().sum::<usize>());
}
