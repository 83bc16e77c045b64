//! `tracing`: accepted for configurations that were written for other servers, as long as it is
//! off. This version exports no traces.

use crate::key::{Fallback, Key, public};
use crate::kind::Kind;

/// A text that nothing uses while tracing is off.
const TEXT: Kind = Kind::Text { set: |_, _| {} };

pub(super) const KEYS: &[Key] = &[
    public(
        "tracing.enabled",
        Fallback::Value("false"),
        Kind::Fixed {
            value: "false",
            why: "this version exports no traces",
        },
    )
    .restart()
    .about("This version exports no traces: only false is accepted."),
    public("tracing.service_name", Fallback::Value("talos"), TEXT)
        .restart()
        .about("Without effect while tracing is off."),
    public("tracing.service_version", Fallback::Value("0.0.0"), TEXT)
        .restart()
        .about("Without effect while tracing is off."),
    public("tracing.environment", Fallback::Value("development"), TEXT)
        .restart()
        .about("Without effect while tracing is off."),
    public(
        "tracing.exporter",
        Fallback::Value("otlp"),
        Kind::Choice(&[("otlp", |_| {})]),
    )
    .restart()
    .about("Without effect while tracing is off."),
    public(
        "tracing.protocol",
        Fallback::Value("grpc"),
        Kind::Choice(&[("grpc", |_| {}), ("http", |_| {})]),
    )
    .restart()
    .about("Without effect while tracing is off.")
    .example("http"),
    public(
        "tracing.endpoint",
        Fallback::Unset("none"),
        Kind::OptionalText { set: |_, _| {} },
    )
    .restart()
    .about("Without effect while tracing is off.")
    .example("collector.internal:4317"),
    public(
        "tracing.sample_rate",
        Fallback::Value("0.001"),
        Kind::Fraction { set: |_, _| {} },
    )
    .restart()
    .about("Without effect while tracing is off."),
];
