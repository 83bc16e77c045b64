//! Deriving a token of each kind from a record in memory: claims, JSON and signature.

use criterion::{Criterion, criterion_group, criterion_main};
use talos_benches::{Scratch, TOKEN_KINDS};
use talos_model::CacheMode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn derive(c: &mut Criterion) {
    let scratch = Scratch::new(64 << 20);
    let parent = scratch.issue_one();
    let mut group = c.benchmark_group("derive");
    for kind in TOKEN_KINDS {
        scratch.sign_with(kind);
        let token = scratch.derive(&parent, kind);
        assert!(scratch.verify(&token, CacheMode::Bypass), "{}", kind.name);
        eprintln!("{}: {} bytes", kind.name, token.len());
        group.bench_function(kind.name, |b| {
            b.iter(|| scratch.derive(&parent, kind).len());
        });
    }
    group.finish();
}

criterion_group!(benches, derive);
criterion_main!(benches);
