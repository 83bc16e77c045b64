//! A batch of 100 verifications in the data plane, from the body of the request to the body of the
//! answer.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench that cannot measure stops"
)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use talos_api::batch_verify::{parse_requests, render_results};
use talos_api::limits::BATCH_VERIFY_REQUESTS;
use talos_api::verify::refused_body;
use talos_benches::{Scratch, Walk, many_keys};
use talos_engine::VerifyStep;
use talos_model::{CacheMode, Query, TenantId, Verdict, clock};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: usize = 1000;
/// More memory than the cells of a key of the usual size take.
const CACHE_BYTES_PER_KEY: usize = 2048;

/// The body of a request for these credentials.
fn request<'a>(credentials: impl Iterator<Item = &'a str>) -> String {
    let requests: Vec<_> = credentials
        .map(|credential| format!(r#"{{"credential":"{credential}"}}"#))
        .collect();
    format!(r#"{{"requests":[{}]}}"#, requests.join(","))
}

/// Answers a batch in the way of the data plane. Every record must be in memory.
fn answer(scratch: &Scratch, body: &str) -> Vec<u8> {
    let requests = parse_requests(body.as_bytes()).expect("a batch");
    let requests: Vec<_> = requests
        .into_iter()
        .map(|request| request.expect("a request"))
        .collect();
    let now = clock::now();
    let (mut bodies, mut ends) = (Vec::new(), Vec::with_capacity(requests.len()));
    let query = |credential| Query {
        tenant: TenantId::SINGLE,
        credential,
        expected_audiences: &[],
        client_ip: None,
        cache: CacheMode::Use,
        now,
    };
    let credentials = requests.iter().map(|request| request.credential.as_bytes());
    let queries: Vec<_> = credentials.map(query).collect();
    scratch.engine.verify_many(&queries, |_, step| {
        let VerifyStep::Answered(answer) = step else {
            panic!("a record is not in memory");
        };
        bodies.extend_from_slice(match answer.verdict {
            Verdict::Valid { body, .. } => body,
            Verdict::Limited { .. } => panic!("no key has a limit"),
            Verdict::Refused(refusal) => refused_body(refusal),
        });
        ends.push(bodies.len());
    });
    let starts = std::iter::once(0).chain(ends.iter().copied());
    render_results(starts.zip(&ends).map(|(start, end)| &bodies[start..*end])).concat()
}

fn batch(c: &mut Criterion) {
    let scratch = Scratch::new(64 << 20);
    let keys = scratch.issue(KEYS);
    assert!(keys.iter().all(|key| scratch.verify(key, CacheMode::Use)));
    let mut walk = Walk::default();
    let valid = request((0..BATCH_VERIFY_REQUESTS).map(|_| keys[walk.next(KEYS)].as_str()));
    let unknown: Vec<_> = (0..BATCH_VERIFY_REQUESTS)
        .map(|n| format!("sk_live_{n}"))
        .collect();
    let unknown = request(unknown.iter().map(String::as_str));
    let results = |body: &[u8], word: &str| {
        let text = String::from_utf8_lossy(body);
        text.matches(&format!(r#""is_valid":{word}"#)).count()
    };
    assert_eq!(
        results(&answer(&scratch, &valid), "true"),
        BATCH_VERIFY_REQUESTS
    );
    assert_eq!(
        results(&answer(&scratch, &unknown), "false"),
        BATCH_VERIFY_REQUESTS
    );

    let mut group = c.benchmark_group("batch");
    group.throughput(Throughput::Elements(BATCH_VERIFY_REQUESTS as u64));
    group.bench_function("verify 100, proof hits", |b| {
        b.iter(|| answer(&scratch, black_box(&valid)).len());
    });
    group.bench_function("verify 100, unknown keys", |b| {
        b.iter(|| answer(&scratch, black_box(&unknown)).len());
    });
    group.finish();
}

/// Batches from so many keys that none is in the processor's caches.
fn batch_of_many(c: &mut Criterion) {
    let count = many_keys();
    let scratch = Scratch::new((count * CACHE_BYTES_PER_KEY).max(64 << 20));
    let keys = scratch.issue(count);
    assert!(keys.iter().all(|key| scratch.verify(key, CacheMode::Use)));
    let mut walk = Walk::default();
    let mut random = || {
        let credentials = (0..BATCH_VERIFY_REQUESTS).map(|_| keys[walk.next(count)].as_str());
        request(credentials)
    };
    let mut group = c.benchmark_group("batch");
    group.throughput(Throughput::Elements(BATCH_VERIFY_REQUESTS as u64));
    group.bench_function("verify 100 of all keys at random, proof hits", |b| {
        b.iter_batched_ref(
            &mut random,
            |body| answer(&scratch, body).len(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, batch, batch_of_many);
criterion_main!(benches);
