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
    )
    .restart()
    .about("An IP address or localhost.")
    .example("127.0.0.1"),
    public(
        "serve.public.port",
        Fallback::Unset("no second listener"),
        Kind::Integer {
            min: 0,
            max: 65_535,
            set: |s, port| s.serve.public.port = Some(number::to_u16(port)),
        },
    )
    .restart()
    .about("The TCP port of the second listener. 0 = the system picks one.")
    .example("4430"),
    public(
        "serve.public.surface",
        Fallback::Value("data"),
        Kind::Choice(&[
            ("data", |s| s.serve.public.surface = PublicSurface::Data),
            ("public", |s| s.serve.public.surface = PublicSurface::Public),
        ]),
    )
    .restart()
    .about(
        "data = verification, self-revocation, public signing keys and health, as talos \
         serve data has. public = the same without verification, as talos serve public \
         has.",
    )
    .example("public"),
];
