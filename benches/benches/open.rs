//! Opening a database with many keys, up to the first answer.

#![expect(clippy::expect_used, reason = "a bench that cannot measure stops")]

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use talos_benches::{Scratch, many_keys};
use talos_model::CacheMode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn open(c: &mut Criterion) {
    let scratch = Scratch::new(64 << 20);
    let keys = scratch.issue(many_keys());
    let first = keys.first().expect("a key");
    let mut slot = Some(scratch);
    let mut group = c.benchmark_group("open");
    group.sample_size(10);
    group.bench_function("all keys, to the first answer", |b| {
        b.iter_custom(|times| {
            let mut total = Duration::ZERO;
            for _ in 0..times {
                let directory = slot.take().expect("an engine").close();
                let start = Instant::now();
                let scratch = Scratch::on(directory, 64 << 20);
                assert!(scratch.verify(first, CacheMode::Use));
                total += start.elapsed();
                slot = Some(scratch);
            }
            total
        });
    });
    group.finish();
}

criterion_group!(benches, open);
criterion_main!(benches);
