//! Durable writes with 1, 64 and 1024 waiting clients. Each iteration ends when its keys are on
//! disk.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use talos_benches::Scratch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn commit(c: &mut Criterion) {
    let scratch = Scratch::new(64 << 20);
    let mut group = c.benchmark_group("commit");
    for clients in [1_usize, 64, 1024] {
        group.throughput(Throughput::Elements(clients as u64));
        group.bench_function(format!("issue, {clients} waiting"), |b| {
            b.iter(|| scratch.issue(clients).len());
        });
    }
    group.finish();
}

criterion_group!(benches, commit);
criterion_main!(benches);
