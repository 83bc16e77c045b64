//! The steps of a verification outside of the engine: parsing head and body of the request,
//! rendering the answer.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot measure stops"
)]
#![allow(dead_code, reason = "only a part of the server's sources is used here")]

#[path = "../../server/src/limits.rs"]
mod limits;
#[path = "../../server/src/parser.rs"]
mod parser;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use limits::HeadLimits;
use parser::{Parsed, header_slots, parse};
use talos_api::verify::{parse_request, refused_body, render_valid};
use talos_benches::Scratch;
use talos_model::Refusal;

/// The head that a small HTTP library sends.
const HEAD: &[u8] = b"POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: talos.internal:4420\r\n\
    User-Agent: http-client/1.0\r\nAccept: */*\r\nContent-Type: application/json\r\nContent-Length: 131\r\n\r\n";

fn request(c: &mut Criterion) {
    let scratch = Scratch::new(1 << 20);
    let credential = scratch.issue(1).pop().expect("a key");
    let record = scratch.issue_one();
    let plain = format!(r#"{{"credential":"{credential}"}}"#);
    let with_audience =
        format!(r#"{{"credential":"{credential}","expected_audiences":["orders"]}}"#);

    let allowed = HeadLimits::default();
    let mut group = c.benchmark_group("request");
    group.bench_function("head", |b| {
        b.iter(|| {
            let mut slots = header_slots();
            match parse(black_box(HEAD), &allowed, &mut slots) {
                Parsed::Complete(head) => head.len,
                other => panic!("not a head: {other:?}"),
            }
        });
    });
    group.bench_function("body, one credential", |b| {
        b.iter(|| parse_request(black_box(plain.as_bytes())).is_ok());
    });
    group.bench_function("body, with an audience", |b| {
        b.iter(|| parse_request(black_box(with_audience.as_bytes())).is_ok());
    });
    group.bench_function("answer, valid: once per change of the record", |b| {
        b.iter(|| render_valid(black_box(&record), "http://localhost:4420"));
    });
    group.bench_function("answer, refused", |b| {
        b.iter(|| refused_body(black_box(Refusal::Revoked)));
    });
    group.finish();
}

criterion_group!(benches, request);
criterion_main!(benches);
