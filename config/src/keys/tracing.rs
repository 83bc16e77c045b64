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
    ),
    public("tracing.service_name", Fallback::Value("talos"), TEXT),
    public("tracing.service_version", Fallback::Value("0.0.0"), TEXT),
    public("tracing.environment", Fallback::Value("development"), TEXT),
    public(
        "tracing.exporter",
        Fallback::Value("otlp"),
        Kind::Choice(&[("otlp", |_| {})]),
    ),
    public(
        "tracing.protocol",
        Fallback::Value("grpc"),
        Kind::Choice(&[("grpc", |_| {}), ("http", |_| {})]),
    ),
    public(
        "tracing.endpoint",
        Fallback::Unset("none"),
        Kind::OptionalText { set: |_, _| {} },
    ),
    public(
        "tracing.sample_rate",
        Fallback::Value("0.001"),
        Kind::Custom {
            allowed: "a number from 0 to 1",
            read: |_, text| share(text),
        },
    ),
];

fn share(text: &str) -> Result<(), String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&number) {
        return Ok(());
    }
    Err("not between 0 and 1".to_owned())
}
