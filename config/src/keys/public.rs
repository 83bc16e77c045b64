//! `serve.public`: the second listener of the API.

use super::number;
use crate::key::{Fallback, Key, public};
use crate::kind::Kind;
use crate::public::PublicSurface;

pub(super) const KEYS: &[Key] = &[
    public(
        "serve.public.host",
        Fallback::Value("0.0.0.0"),
        Kind::Host {
            set: |s, host| s.serve.public.host = host,
        },
    ),
    public(
        "serve.public.port",
        Fallback::Unset("no second listener"),
        Kind::Integer {
            min: 0,
            max: 65_535,
            set: |s, port| s.serve.public.port = Some(number::to_u16(port)),
        },
    ),
    public(
        "serve.public.surface",
        Fallback::Value("data"),
        Kind::Choice(&[
            ("data", |s| s.serve.public.surface = PublicSurface::Data),
            ("public", |s| s.serve.public.surface = PublicSurface::Public),
        ]),
    ),
];
