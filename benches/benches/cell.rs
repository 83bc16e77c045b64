//! Cells and tables without an engine.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use talos_benches::{Walk, many_keys};
use talos_cells::{Budget, Cell, Offer, Row, State, Table, pin};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A row of the usual size.
struct At {
    sequence: u64,
    _body: [u8; 352],
}

impl Row for At {
    fn supersedes(&self, current: &Self) -> bool {
        self.sequence > current.sequence
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

fn row(sequence: u64) -> At {
    At {
        sequence,
        _body: [0; 352],
    }
}

fn spread(key: u64) -> u64 {
    key.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn cell(c: &mut Criterion) {
    let mut group = c.benchmark_group("cell");
    let budget = Budget::new(usize::MAX);
    let cell = Cell::vacant(());
    let mut sequence = 0;
    group.bench_function("update", |b| {
        b.iter(|| {
            sequence += 1;
            assert_eq!(cell.offer(row(sequence), &budget, &pin()), Offer::Taken);
        });
    });
    group.bench_function("outdated update", |b| {
        b.iter(|| assert_eq!(cell.offer(row(0), &budget, &pin()), Offer::Outdated));
    });
    group.bench_function("read", |b| {
        b.iter(|| assert!(matches!(cell.load(&pin()), State::Row(_))));
    });

    let count = many_keys() as u64;
    let table = Table::with_slots(2 * many_keys());
    for key in 0..count {
        table.insert(
            spread(key),
            Arc::new(Cell::<u64, At>::vacant(key)),
            &budget,
            &pin(),
        );
    }
    let mut walk = Walk::default();
    group.bench_function("find among all keys at random", |b| {
        b.iter(|| {
            let key = walk.next(many_keys()) as u64;
            black_box(
                table
                    .find(spread(key), &pin(), |cell| *cell.key() == key)
                    .is_some(),
            )
        });
    });
    group.bench_function("find nothing", |b| {
        b.iter(|| {
            black_box(
                table
                    .find(spread(count + walk.next(1 << 30) as u64), &pin(), |_| true)
                    .is_none(),
            )
        });
    });
    group.finish();
}

criterion_group!(benches, cell);
criterion_main!(benches);
