//! `Engine::verify`, called in the way of the data plane.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot measure stops"
)]

use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use talos_benches::{Scratch, TOKEN_KINDS, Walk, keyring, many_keys};
use talos_model::{CacheMode, CacheStatus};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// More memory than the cells of a key of the usual size take.
const CACHE_BYTES_PER_KEY: usize = 2048;
/// Keys that are verified once each after a start.
const FIRST_USES: usize = 20_000;
/// Tokens of each kind.
const TOKENS: usize = 1000;

/// Credentials in the processor's caches at a time, like those in the buffers of this many
/// connections.
const AT_HAND: usize = 64;

/// The time of verifications of random keys. Their credentials have just been received, and their
/// answers are copied into a buffer. Fetching the credentials from the bench's list does not count.
fn received(scratch: &Scratch, keys: &[String], walk: &mut Walk, verifications: u64) -> Duration {
    let mut elapsed = Duration::ZERO;
    let mut buffers = vec![String::new(); AT_HAND];
    let mut answer = Vec::new();
    for _ in 0..verifications.div_ceil(AT_HAND as u64) {
        for buffer in &mut buffers {
            buffer.clear();
            buffer.push_str(&keys[walk.next(keys.len())]);
        }
        let began = Instant::now();
        for credential in &buffers {
            scratch.verify_into(credential, &mut answer);
        }
        elapsed += began.elapsed();
    }
    let done = verifications.div_ceil(AT_HAND as u64) * AT_HAND as u64;
    elapsed.mul_f64(verifications as f64 / done as f64)
}

fn verify(c: &mut Criterion) {
    let count = many_keys();
    let scratch = Scratch::new((count * CACHE_BYTES_PER_KEY).max(64 << 20));
    let keys = scratch.issue(count);
    let before = scratch.engine.cache_used_bytes();
    assert!(keys.iter().all(|key| scratch.verify(key, CacheMode::Use)));
    let used = scratch.engine.cache_used_bytes();
    eprintln!(
        "memory per key: {} bytes in cells, {} with the tables that find them",
        (used - before) / count,
        used / count
    );

    let mut group = c.benchmark_group("verify");
    let mut walk = Walk::default();
    let hot = count.min(1000);
    group.bench_function("proof hit, 1 k hot keys", |b| {
        b.iter(|| assert!(scratch.verify(&keys[walk.next(hot)], CacheMode::Use)));
    });
    group.bench_function("proof hit, all keys at random", |b| {
        b.iter_custom(|verifications| received(&scratch, &keys, &mut walk, verifications));
    });
    group.bench_function("no-store (record from storage)", |b| {
        b.iter(|| assert!(scratch.verify(&keys[walk.next(hot)], CacheMode::Bypass)));
    });

    let unknown = keys[0].replacen("talos_", "other_", 1);
    group.bench_function("foreign prefix", |b| {
        b.iter(|| assert!(!scratch.verify(&unknown, CacheMode::Use)));
    });
    let mut wrong = keys[0].clone();
    let last = wrong.pop().expect("a character");
    wrong.push(if last == '2' { '3' } else { '2' });
    group.bench_function("wrong checksum", |b| {
        b.iter(|| assert!(!scratch.verify(&wrong, CacheMode::Use)));
    });
    group.bench_function("unknown key (imported shape)", |b| {
        b.iter(|| assert!(!scratch.verify("sk_live_0123456789abcdef", CacheMode::Use)));
    });

    // A change of the keyring invalidates every proof and every rendered answer. So this measures
    // the first verification of each key, with its record in RocksDB's memory.
    group.bench_function("proof miss, record in memory", |b| {
        b.iter_batched_ref(
            || scratch.set_keyring(keyring()),
            |()| assert!(scratch.verify(&keys[walk.next(hot)], CacheMode::Use)),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// The first verification of a key after a start: the warm-up has put its record into a cell, but
/// its credential is not proven yet.
fn first_use(c: &mut Criterion) {
    let count = many_keys().min(FIRST_USES);
    let scratch = Scratch::new(64 << 20);
    let keys = scratch.issue(count);
    let mut slot = Some(scratch);
    let mut unused = keys.iter();
    let mut group = c.benchmark_group("verify");
    group.bench_function("proof miss, cell there", |b| {
        b.iter_custom(|verifications| {
            let mut elapsed = Duration::ZERO;
            let mut left = usize::try_from(verifications).expect("a number of them");
            while left > 0 {
                if unused.len() == 0 {
                    unused = keys.iter();
                }
                if unused.len() == count {
                    let directory = slot.take().expect("an engine").close();
                    slot = Some(Scratch::on(directory, 64 << 20));
                    slot.as_ref().expect("an engine").warm_up();
                }
                let scratch = slot.as_ref().expect("an engine");
                let now = left.min(unused.len());
                let began = Instant::now();
                for credential in unused.by_ref().take(now) {
                    assert_eq!(scratch.verify_from(credential), CacheStatus::Hit);
                }
                elapsed += began.elapsed();
                left -= now;
            }
            elapsed
        });
    });
    group.finish();
}

/// Tokens of one key. Only misses pay for the signature.
fn verify_tokens(c: &mut Criterion) {
    let scratch = Scratch::new(64 << 20);
    let parent = scratch.issue_one();
    let mut group = c.benchmark_group("verify token");
    for kind in TOKEN_KINDS {
        scratch.sign_with(kind);
        let tokens: Vec<_> = (0..TOKENS).map(|_| scratch.derive(&parent, kind)).collect();
        assert!(
            tokens
                .iter()
                .all(|token| scratch.verify(token, CacheMode::Use))
        );
        let mut walk = Walk::default();
        group.bench_function(format!("{}, proof hit", kind.name), |b| {
            b.iter(|| assert!(scratch.verify(&tokens[walk.next(TOKENS)], CacheMode::Use)));
        });
        // The changed keyring makes this the first verification of each token, with the key's
        // record in RocksDB's memory.
        group.bench_function(format!("{}, proof miss", kind.name), |b| {
            b.iter_batched_ref(
                || scratch.set_keyring(keyring()),
                |()| assert!(scratch.verify(&tokens[walk.next(TOKENS)], CacheMode::Use)),
                BatchSize::PerIteration,
            );
        });
        let mut altered = tokens[0].clone();
        let last = altered.pop().expect("a character");
        altered.push(if last == 'A' { 'Q' } else { 'A' });
        group.bench_function(format!("{}, altered", kind.name), |b| {
            b.iter(|| assert!(!scratch.verify(&altered, CacheMode::Use)));
        });
    }
    group.finish();
}

criterion_group!(benches, verify, first_use, verify_tokens);
criterion_main!(benches);
