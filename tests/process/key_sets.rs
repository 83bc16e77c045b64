//! Signing keys that the server fetches from an `https://` URL when it starts.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use talos_test_kit::certificates::Authority;
use talos_test_kit::http::Connection;

use crate::harness::Driver;
use crate::harness::cli::run;
use crate::harness::site::{Server, Site};
use crate::harness::tokens::{ED25519_JWK, url};

const JWKS: &str = "/v2alpha1/derivedKeys/jwks.json";
const URLS: &str = "TALOS_CREDENTIALS_DERIVED_TOKENS_JWT_SIGNING_KEYS_URLS";
const CA: &str = "TALOS_CREDENTIALS_DERIVED_TOKENS_JWT_SIGNING_KEYS_CA";

/// A server that shows its public keys within TLS.
fn publisher(site: &Site, authority: &Authority) -> Server {
    let files = authority.certified("server");
    let mut command = site.command();
    command
        .env("TALOS_SERVE_HTTP_TLS_CERT", &files.certificate)
        .env("TALOS_SERVE_HTTP_TLS_KEY", &files.key)
        .env(URLS, url(ED25519_JWK));
    Server::start_unready(command, site.directory().join("publisher.log"))
}

/// The command of a server that takes its keys from `url`.
fn taker(site: &Site, url: &str, ca: &Path) -> Command {
    let mut command = site.command();
    command
        .env(URLS, json!([url]).to_string())
        .env(CA, ca)
        .env("TALOS_LOG_LEVEL", "error");
    command
}

#[test]
fn keys_of_another_server_verify_its_tokens() {
    let (site, other) = (Site::new(Driver::Epoll), Site::new(Driver::Epoll));
    let authority = Authority::new();
    let publisher = publisher(&site, &authority);
    let url = format!("https://localhost:{}{JWKS}", publisher.address.port());
    let mut command = taker(&other, &url, &authority.certificate());
    command.env("TALOS_LOG_LEVEL", "info");
    let taker = Server::start(command, other.directory().join("taker.log"));
    let shown = Connection::open(taker.address).call("GET", JWKS, &[], b"");
    assert_eq!(shown.json()["keys"][0]["kid"], "ed-1", "{shown:?}");
    taker.stop();
    publisher.stop();
}

#[test]
fn keys_that_cannot_be_fetched_stop_the_start() {
    let (site, other) = (Site::new(Driver::Epoll), Site::new(Driver::Epoll));
    let (authority, stranger) = (Authority::new(), Authority::new());
    let publisher = publisher(&site, &authority);
    let origin = format!("https://localhost:{}", publisher.address.port());
    let (own, foreign) = (authority.certificate(), stranger.certificate());
    let key = "credentials.derived_tokens.jwt.signing_keys.urls: item 0: ";
    for (path, ca, words) in [
        (JWKS, &foreign, "certificate"),
        ("/nowhere?key=hush", &own, "the answer is 404"),
        ("/health/alive?key=hush", &own, "key 0 of the set"),
    ] {
        let refused = run(taker(&other, &format!("{origin}{path}"), ca));
        refused.assert_one_line_and_code_1(&["talos: ", key, &origin, words]);
        assert!(!refused.stderr.contains("hush"), "{refused:?}");
    }
    let refused = run(taker(&other, &origin, Path::new("/nowhere/ca.pem")));
    refused.assert_one_line_and_code_1(&["talos: ", "/nowhere/ca.pem"]);
    publisher.stop();
    let refused = run(taker(&other, &format!("{origin}{JWKS}"), &own));
    refused.assert_one_line_and_code_1(&["talos: ", key, &origin]);
}
