//! `serve.http`: the listener of the API. `serve.http.cors` is in `cors.rs`.

use std::path::PathBuf;

use super::number;
use crate::client_ip_source::CLIENT_IP_SOURCES;
use crate::key::{Fallback, Key, public};
use crate::kind::Kind;

pub(super) const KEYS: &[Key] = &[
    public(
        "serve.http.host",
        Fallback::Value("0.0.0.0"),
        Kind::Host {
            set: |s, host| s.serve.http.listener.host = host,
        },
    ),
    public(
        "serve.http.port",
        Fallback::Value("4420"),
        Kind::Integer {
            min: 0,
            max: 65_535,
            set: |s, port| s.serve.http.listener.port = number::to_u16(port),
        },
    ),
    public(
        "serve.http.client_ip_source",
        Fallback::Value("CLIENT_IP_SOURCE_UNSPECIFIED"),
        Kind::Choice(&CLIENT_IP_SOURCES),
    ),
    public(
        "serve.http.socket",
        Fallback::Unset("none"),
        Kind::Text {
            set: |s, path| s.serve.http.socket = Some(PathBuf::from(path)),
        },
    ),
    public(
        "serve.http.trust_forwarded_host",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, trust| s.serve.http.trust_forwarded_host = trust,
        },
    ),
    public(
        "serve.http.request_log.exclude_health_endpoints",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, exclude| s.serve.http.exclude_health_endpoints = exclude,
        },
    ),
];
