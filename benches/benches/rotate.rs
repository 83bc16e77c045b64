//! Rotation with 1 and 64 waiting clients. Each iteration ends when the new keys, and the
//! revocation of the old ones, are on disk and in the cells.

#![expect(clippy::panic, reason = "a bench that cannot measure stops")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use talos_benches::{Scratch, key};
use talos_model::{Command, FieldChanges, KeyId, Outcome, RotateKey, TenantId};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn rotation(key_id: KeyId) -> Command {
    Command::Rotate(RotateKey {
        tenant: TenantId::SINGLE,
        key_id,
        changes: FieldChanges::default(),
        visibility: None,
    })
}

fn rotate(c: &mut Criterion) {
    let scratch = Scratch::new(64 << 20);
    let mut group = c.benchmark_group("rotate");
    for clients in [1_usize, 64] {
        let issued = scratch.run((0..clients).map(|n| Command::Issue(key(n))));
        let mut keys: Vec<_> = issued
            .map(|outcome| match outcome {
                Outcome::Issued { record, .. } => record.key_id,
                other => panic!("not issued: {other:?}"),
            })
            .collect();
        group.throughput(Throughput::Elements(clients as u64));
        group.bench_function(format!("{clients} waiting"), |b| {
            b.iter(|| {
                let rotated = scratch.run(keys.iter().map(|key_id| rotation(*key_id)));
                // The next iteration replaces the keys of this one.
                keys = rotated
                    .map(|outcome| match outcome {
                        Outcome::Rotated(rotation) => rotation.record.key_id,
                        other => panic!("not rotated: {other:?}"),
                    })
                    .collect();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, rotate);
criterion_main!(benches);
