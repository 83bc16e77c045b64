//! `serve.admin.auth`: who may use the routes of administrators.

use crate::admin_auth::{CERTIFICATE_FIELDS, PEER_FIELDS};
use crate::key::{Fallback, Key, public, secret};
use crate::kind::Kind;

pub(super) const KEYS: &[Key] = &[
    public(
        "serve.admin.auth.enabled",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, enabled| s.serve.admin_auth.enabled = enabled,
        },
    )
    .about(
        "false = anyone who reaches the port may use the routes of administrators. true = \
         only a principal whose role allows it: an admin token (Authorization: Bearer, or \
         X-Talos-Token), a client certificate, or a user of this host on the Unix socket. \
         Verifications need the role verify.",
    )
    .example("true"),
    public(
        "serve.admin.auth.open_verification",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, open| s.serve.admin_auth.open_verification = open,
        },
    )
    .about(
        "true = verifications need no principal although serve.admin.auth.enabled is \
         true.",
    )
    .example("true"),
    secret(
        "serve.admin.auth.bootstrap_token",
        Fallback::Unset("none"),
        Kind::Custom {
            allowed: "32 to 512 characters of printable ASCII without spaces; make one with `openssl rand -hex 32`",
            read: |s, text| s.serve.admin_auth.set_bootstrap_token(text),
        },
    )
    .about(
        "A token with the role admin, to create the first admin token with, for instance \
         of openssl rand -hex 32. Remove it afterwards. Better in a file: \
         TALOS_SERVE_ADMIN_AUTH_BOOTSTRAP_TOKEN_FILE.",
    )
    .example("5c0e2d1f8a7b4936c0e2d1f8a7b49365"),
    public(
        "serve.admin.auth.certificates",
        Fallback::Unset("none"),
        Kind::Mappings {
            what: "name, role (verify, read, write, operate or admin), one of common_name, dns, uri and email, and if need be tenant",
            fields: CERTIFICATE_FIELDS,
            add: |s, entry| s.serve.admin_auth.add_certificate(entry),
        },
    )
    .about(
        "Which client certificates are principals, by exactly one of common_name, dns, \
         uri and email. The roles are verify, read, write, operate and admin.",
    )
    .example("[{name: deploy, role: write, dns: deploy.internal}]"),
    public(
        "serve.admin.auth.peers",
        Fallback::Unset("none"),
        Kind::Mappings {
            what: "uid (a number or the name of a user), role (verify, read, write, operate or admin), and if need be name and tenant",
            fields: PEER_FIELDS,
            add: |s, entry| s.serve.admin_auth.add_peer(entry),
        },
    )
    .about(
        "Which users of this host are principals on serve.http.socket; uid is a number or \
         a name. The roles are verify, read, write, operate and admin.",
    )
    .example("[{uid: 1000, role: admin}]"),
];
