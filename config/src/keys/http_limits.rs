//! `serve.http.timeouts` and `serve.http.limits`: what clients may take of the server.

use std::time::Duration;

use super::number;
use crate::key::{Fallback, Key, public};
use crate::kind::Kind;
use crate::settings::Settings;

/// The shortest of the timeouts.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// The longest pause between two requests. Load balancers keep connections for up to an hour.
const IDLE_MAX: Duration = Duration::from_secs(7200);
/// The longest of the other timeouts.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

const fn timeout(
    path: &'static str,
    fallback: &'static str,
    max: Duration,
    set: fn(&mut Settings, Duration),
) -> Key {
    let min = TIMEOUT_MIN;
    public(
        path,
        Fallback::Value(fallback),
        Kind::Duration { min, max, set },
    )
}

/// The longest time for which bytes are dropped after an error.
const LINGER_MAX: Duration = Duration::from_secs(30);

/// A size that depends on the memory limit unless it is set.
const fn fitted(
    path: &'static str,
    meaning: &'static str,
    min: u64,
    max: u64,
    set: fn(&mut Settings, u64),
) -> Key {
    public(
        path,
        Fallback::Unset(meaning),
        Kind::Bytes { min, max, set },
    )
}

const fn bytes(
    path: &'static str,
    fallback: &'static str,
    min: u64,
    max: u64,
    set: fn(&mut Settings, u64),
) -> Key {
    public(
        path,
        Fallback::Value(fallback),
        Kind::Bytes { min, max, set },
    )
}

pub(super) const KEYS: &[Key] = &[
    timeout("serve.http.timeouts.idle", "75s", IDLE_MAX, |s, time| {
        s.serve.http.timeouts.idle = time;
    })
    .about(
        "The longest pause between two requests. A load balancer that keeps connections \
         open must close them first: set this above its own idle timeout.",
    ),
    timeout("serve.http.timeouts.head", "10s", TIMEOUT_MAX, |s, time| {
        s.serve.http.timeouts.head = time;
    })
    .about("From the first byte of a request to the end of its head, else 408."),
    timeout("serve.http.timeouts.body", "60s", TIMEOUT_MAX, |s, time| {
        s.serve.http.timeouts.body = time;
    })
    .about("From the end of the head of a request to the end of its body, else 408."),
    timeout(
        "serve.http.timeouts.body_progress",
        "10s",
        TIMEOUT_MAX,
        |s, time| s.serve.http.timeouts.body_progress = time,
    )
    .about("In this time a body must bring 32 KiB or its end, else 408."),
    timeout(
        "serve.http.timeouts.write",
        "30s",
        TIMEOUT_MAX,
        |s, time| {
            s.serve.http.timeouts.write = time;
        },
    )
    .about("From the first byte of an answer to its last; then the connection is cut."),
    timeout("serve.http.timeouts.linger", "2s", LINGER_MAX, |s, time| {
        s.serve.http.timeouts.linger = time;
    })
    .about(
        "How long what a client still sends is read and dropped after an error, so that \
         it gets the answer.",
    ),
    public(
        "serve.http.limits.connections",
        Fallback::Unset("8192, fewer where memory is scarce"),
        Kind::Integer {
            min: 16,
            max: 1 << 20,
            set: |s, count| s.serve.http.limits.connections = number::to_usize(count),
        },
    )
    .about(
        "Connections of one worker. When all are taken, new connections displace those \
         that wait for their clients, first those that never had an answer, and of these \
         first those from the address that has most.",
    )
    .example("16384"),
    public(
        "serve.http.limits.connections_per_address",
        Fallback::Unset("as many as there are"),
        Kind::Integer {
            min: 1,
            max: 1 << 20,
            set: |s, count| {
                s.serve.http.limits.connections_per_address = Some(number::to_usize(count));
            },
        },
    )
    .about(
        "Connections of one worker from one address (or IPv6 network of 64 bits); more \
         are closed at once. Trusted proxies have no limit.",
    )
    .example("100"),
    public(
        "serve.http.limits.health_connections",
        Fallback::Value("32"),
        Kind::Integer {
            min: 0,
            max: 1024,
            set: |s, count| s.serve.http.limits.health_connections = number::to_usize(count),
        },
    )
    .about(
        "Connections beyond serve.http.limits.connections, for clients that only ask for \
         health while all others are busy with requests. 0 = none.",
    ),
    fitted(
        "serve.http.limits.memory",
        "256 MiB, less where memory is scarce",
        8 << 20,
        1 << 40,
        |s, bytes| s.serve.http.limits.memory = number::to_usize(bytes),
    )
    .about(
        "Memory of one worker for requests and answers beyond the initial 8 KiB of each \
         connection; above it 503. A further quarter is for requests and answers up to 64 \
         KiB. At least four times batch_body and batch_answer.",
    )
    .example("256 MiB"),
    bytes(
        "serve.http.limits.head",
        "16 KiB",
        4 << 10,
        64 << 10,
        |s, bytes| s.serve.http.limits.head = number::to_usize(bytes),
    )
    .about("The request line and the header fields together; above it 431."),
    public(
        "serve.http.limits.headers",
        Fallback::Value("64"),
        Kind::Integer {
            min: 16,
            max: 128,
            set: |s, count| s.serve.http.limits.headers = number::to_usize(count),
        },
    )
    .about("Header fields of one request; above it 431."),
    bytes(
        "serve.http.limits.target",
        "8 KiB",
        1 << 10,
        32 << 10,
        |s, bytes| s.serve.http.limits.target = number::to_usize(bytes),
    )
    .about("The path and the query; above it 414. Less than head."),
    bytes(
        "serve.http.limits.body",
        "1 MiB",
        16 << 10,
        2 << 20,
        |s, bytes| s.serve.http.limits.body = number::to_usize(bytes),
    )
    .about("A request body; above it 413."),
    fitted(
        "serve.http.limits.batch_body",
        "8 MiB, less where memory is scarce",
        16 << 10,
        32 << 20,
        |s, bytes| s.serve.http.limits.batch_body = number::to_usize(bytes),
    )
    .about("The body of a batch import; above it 413. At least body.")
    .example("8 MiB"),
    fitted(
        "serve.http.limits.batch_answer",
        "4 MiB, less where memory is scarce",
        64 << 10,
        64 << 20,
        |s, bytes| s.serve.http.limits.batch_answer = number::to_usize(bytes),
    )
    .about(
        "The results of one batch verification together. A result that does not fit is an \
         error.",
    )
    .example("4 MiB"),
];
