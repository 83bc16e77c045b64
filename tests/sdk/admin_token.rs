//! The published clients show an admin token in the field that they have for a bearer token.

use ory_client::apis::Error;
use ory_client::apis::api_keys_api as api;
use ory_client::apis::configuration::Configuration;
use ory_client::models::{IssueApiKeyRequest, VerifyApiKeyRequest};

use super::python;
use crate::harness::Driver;
use crate::harness::cli::talos;
use crate::harness::site::{Server, Site};

const BOOTSTRAP: &str = "the-bootstrap-token-of-the-clients-0123456789";

/// A server that authenticates administrators.
fn start(site: &Site) -> Server {
    let mut command = site.command();
    command
        .env("TALOS_SERVE_ADMIN_AUTH_ENABLED", "true")
        .env("TALOS_SERVE_ADMIN_AUTH_BOOTSTRAP_TOKEN", BOOTSTRAP);
    Server::start(command, site.directory().join("server.log"))
}

/// The text of a new token of this role.
fn create(server: &Server, role: &str) -> String {
    let line = ["admin", "token", "create", role, "--role", role, "-q"];
    let made = talos(
        server.address,
        &[&line[..], &["--token", BOOTSTRAP]].concat(),
    );
    made.succeeded().trim_end().to_owned()
}

fn status<T, E>(answer: Result<T, Error<E>>) -> Option<u16> {
    match answer {
        Ok(_) => Some(200),
        Err(Error::ResponseError(refused)) => Some(refused.status.as_u16()),
        Err(_) => None,
    }
}

#[test]
fn the_rust_client_shows_its_bearer_token() {
    let site = Site::new(Driver::Epoll);
    let server = start(&site);
    let client = |token: Option<String>| Configuration {
        base_path: format!("http://{}", server.address),
        client: reqwest::Client::builder().no_proxy().build().unwrap(),
        bearer_access_token: token,
        ..Configuration::default()
    };
    let issue = || IssueApiKeyRequest {
        name: Some("n".to_owned()),
        actor_id: Some("a".to_owned()),
        ..IssueApiKeyRequest::new()
    };
    let verify = || VerifyApiKeyRequest {
        credential: Some("unknown".to_owned()),
        ..VerifyApiKeyRequest::new()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let outcomes = |token: Option<String>| {
        let client = client(token);
        let issued = runtime.block_on(api::admin_issue_api_key(&client, issue()));
        let verified = runtime.block_on(api::admin_verify_api_key(&client, verify(), None, None));
        (status(issued), status(verified))
    };
    assert_eq!(outcomes(None), (Some(401), Some(401)));
    assert_eq!(outcomes(Some("wrong".to_owned())), (Some(401), Some(401)));
    let reader = create(&server, "read");
    assert_eq!(outcomes(Some(reader)), (Some(403), Some(200)));
    let writer = create(&server, "write");
    assert_eq!(outcomes(Some(writer)), (Some(200), Some(200)));
    server.stop();
}

#[test]
fn the_python_client_shows_its_access_token() {
    let site = Site::new(Driver::Epoll);
    let server = start(&site);
    let url = format!("http://{}", server.address);
    let (reader, writer) = (create(&server, "read"), create(&server, "write"));
    let said = python::run("admin_token.py", &[&url, &reader, &writer]);
    assert_eq!(said, "the tokens open what they may");
    server.stop();
}
