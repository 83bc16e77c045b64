//! Ory's published clients against the server, with every operation on API keys.

mod admin_token;
mod python;
mod rust;

use std::process::Command;

use crate::harness::TALOS;
use crate::harness::site::{Server, Site, without_talos_variables};

/// A server with a key to sign derived tokens with.
fn start(site: &Site) -> Server {
    start_with(site, "eddsa")
}

/// A server with a signing key of this kind, as `talos jwk generate` names it.
fn start_with(site: &Site, kind: &str) -> Server {
    let file = site.directory().join("signing-keys.json");
    let mut generate = Command::new(TALOS);
    without_talos_variables(&mut generate);
    let generated = generate
        .args(["jwk", "generate", kind, "--kid", "first", "--jwks", "-o"])
        .arg(&file)
        .status();
    assert!(generated.unwrap().success());
    let mut command = site.command();
    command.env(
        "TALOS_CREDENTIALS_DERIVED_TOKENS_JWT_SIGNING_KEYS_URLS",
        format!("file://{}", file.display()),
    );
    Server::start(command, site.directory().join("server.log"))
}
