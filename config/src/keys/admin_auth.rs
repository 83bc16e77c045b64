//! `serve.admin.auth`: who may use the routes of administrators.

use crate::key::{Fallback, Key, public, secret};
use crate::kind::Kind;

pub(super) const KEYS: &[Key] = &[
    public(
        "serve.admin.auth.enabled",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, enabled| s.serve.admin_auth.enabled = enabled,
        },
    ),
    public(
        "serve.admin.auth.open_verification",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, open| s.serve.admin_auth.open_verification = open,
        },
    ),
    secret(
        "serve.admin.auth.bootstrap_token",
        Fallback::Unset("none"),
        Kind::Custom {
            allowed: "32 to 512 characters of printable ASCII without spaces; make one with `openssl rand -hex 32`",
            read: |s, text| s.serve.admin_auth.set_bootstrap_token(text),
        },
    ),
    public(
        "serve.admin.auth.certificates",
        Fallback::Unset("none"),
        Kind::Mappings {
            what: "name, role (verify, read, write, operate or admin), one of common_name, dns, uri and email, and if need be tenant",
            add: |s, entry| s.serve.admin_auth.add_certificate(entry),
        },
    ),
    public(
        "serve.admin.auth.peers",
        Fallback::Unset("none"),
        Kind::Mappings {
            what: "uid (a number or the name of a user), role (verify, read, write, operate or admin), and if need be name and tenant",
            add: |s, entry| s.serve.admin_auth.add_peer(entry),
        },
    ),
];
