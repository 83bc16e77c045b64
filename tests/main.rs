//! Tests of the whole server from outside: every scenario starts the real binary and talks to it
//! over sockets and through the command line. There is one scenario per file. Scenarios whose
//! outcome could depend on the data plane's driver run on `io_uring` and on epoll.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[macro_use]
mod harness;

mod admin_auth;
mod admin_tokens;
mod architecture;
mod audit;
mod backup;
mod batch_verify;
mod boundary;
mod changes_feed;
mod changes_tail;
mod cli_admin;
mod cli_config;
mod cli_formats;
mod cli_imported;
mod cli_jwk;
mod cli_lifecycle;
mod cli_list;
mod cli_migrate;
mod cli_scripts;
mod cli_tokens;
mod client_address;
mod clocks;
mod cross_origin;
mod derived_tokens;
mod dev_mode;
mod disk_full;
mod documents;
mod drain;
mod error_codes;
mod error_context;
mod errors;
mod fleet;
mod foreign_pages;
mod hostile;
mod idempotency;
mod imported_keys;
mod imported_lookalikes;
mod issue_verify_revoke;
mod key_lifecycle;
mod kill9;
mod last_used;
mod limits;
mod lists;
mod loadtest;
mod logs;
mod memory;
mod metrics;
mod misspelt_fields;
mod observing;
mod openapi;
mod pages;
mod positions;
mod power_cut;
mod private_files;
mod process;
mod proxy;
mod quota;
mod rate_limits;
mod revoke_where;
mod sdk;
mod secret_rotation;
mod short_routes;
mod startup;
mod surfaces;
mod tenants;
mod tls;
mod token_attacks;
mod token_formats;
mod tour;
mod unix_socket;
mod wire;
