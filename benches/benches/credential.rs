//! The parts of proving a credential: its digest, its shape, its checksum.

#![expect(clippy::expect_used, reason = "a bench that cannot measure stops")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use talos_credentials::issued::{ChecksumKey, IssuedKey, make};
use talos_credentials::{ProofDigests, imported_key_id};
use talos_model::clock::UnixMillis;
use talos_model::{Secret, TenantId};
use uuid::Uuid;

fn credential(c: &mut Criterion) {
    let secret = ChecksumKey::new(&Secret::new(
        "a secret of the length that is asked for".to_owned(),
    ));
    let text = make(
        "talos",
        UnixMillis(1_750_000_000_000),
        Uuid::from_u128(7),
        &secret,
    );
    let bytes = text.expose().as_bytes();
    let parsed = IssuedKey::parse(bytes).expect("an issued key");

    let mut group = c.benchmark_group("credential");
    group.bench_function("proof digest (SHA-256)", |b| {
        let digests = ProofDigests::new(TenantId::SINGLE);
        b.iter(|| digests.of(black_box(bytes)));
    });
    group.bench_function("parse (base58)", |b| {
        b.iter(|| IssuedKey::parse(black_box(bytes)));
    });
    group.bench_function("checksum (HMAC-SHA256)", |b| {
        b.iter(|| black_box(&parsed).is_signed_by(&secret));
    });
    group.bench_function("imported id (SHA-512/256)", |b| {
        b.iter(|| imported_key_id(TenantId::SINGLE, black_box(b"sk_live_0123456789abcdef")));
    });
    group.bench_function("make", |b| {
        b.iter(|| {
            make(
                "talos",
                UnixMillis(1_750_000_000_000),
                black_box(Uuid::from_u128(7)),
                &secret,
            )
        });
    });
    group.finish();
}

criterion_group!(benches, credential);
criterion_main!(benches);
