//! `serve`: the metrics listener, the threads of the data plane, and the shutdown.

use std::time::Duration;

use super::number;
use crate::key::{Fallback, Key, public};
use crate::kind::Kind;
use crate::settings::DriverChoice;

/// The most data-plane threads.
const WORKERS_MAX: u64 = 256;
/// The longest that a server keeps answering after it was told to stop.
const SHUTDOWN_DELAY_MAX: Duration = Duration::from_secs(10 * 60);

/// `serve.metrics`, without its TLS.
pub(super) const METRICS_KEYS: &[Key] = &[
    public(
        "serve.metrics.host",
        Fallback::Value("0.0.0.0"),
        Kind::Host {
            set: |s, host| s.serve.metrics.host = host,
        },
    )
    .restart()
    .about(
        "An IP address or localhost. Metrics name no key, but bind this listener to a \
         private interface all the same.",
    )
    .example("127.0.0.1"),
    public(
        "serve.metrics.port",
        Fallback::Value("4422"),
        Kind::Integer {
            min: 0,
            max: 65_535,
            set: |s, port| s.serve.metrics.port = number::to_u16(port),
        },
    )
    .restart()
    .about("The TCP port of metrics and health. 0 = the system picks one."),
];

/// The threads of the data plane.
pub(super) const THREAD_KEYS: &[Key] = &[
    public(
        "serve.workers",
        Fallback::Unset("one per core, fewer where memory is scarce"),
        Kind::Integer {
            min: 1,
            max: WORKERS_MAX,
            set: |s, workers| s.serve.workers = number::to_usize(workers),
        },
    )
    .restart()
    .about("Threads of the data plane.")
    .example("4"),
    public(
        "serve.driver",
        Fallback::Value("auto"),
        Kind::Choice(&[
            ("auto", |s| s.serve.driver = DriverChoice::Auto),
            ("io_uring", |s| s.serve.driver = DriverChoice::IoUring),
            ("epoll", |s| s.serve.driver = DriverChoice::Epoll),
        ]),
    )
    .restart()
    .about(
        "How the data plane talks to the kernel: io_uring, epoll, or auto = io_uring \
         where the kernel allows it.",
    )
    .example("epoll"),
];

/// The shutdown.
pub(super) const SHUTDOWN_KEYS: &[Key] = &[public(
    "serve.shutdown.delay",
    Fallback::Value("0s"),
    Kind::Duration {
        min: Duration::ZERO,
        max: SHUTDOWN_DELAY_MAX,
        set: |s, delay| s.serve.shutdown_delay = delay,
    },
)
.restart()
.about(
    "After SIGTERM, how long the server goes on answering while /health/ready says \
         503, so that load balancers find other servers before it closes its ports. Add \
         it to the time that your supervisor waits before it kills.",
)
.example("15s")];
