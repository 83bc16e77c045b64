//! An upstream that speaks TLS.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use talos_test_kit::certificates::Authority;

use super::scripted::{self, Scripted};
use super::{assert_accepted, command, verify};
use crate::harness::site::Server;

/// A server with a certificate for `localhost`. The certificate of the authority that signed it is
/// written to `ca`.
fn start(ca: &Path) -> Scripted {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    fs::write(ca, authority.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = server.signed_by(&key, &authority).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    Scripted::start_over(
        move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            StreamOwned::new(connection, stream)
        },
        |_| scripted::json(200, r#"{"is_valid":true,"key_id":"k"}"#),
    )
}

#[test]
fn an_upstream_with_a_trusted_certificate_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    let upstream = start(&ca);
    let url = format!("https://localhost:{}", upstream.address.port());
    let command = command(&url, &["--upstream-ca", ca.to_str().unwrap()]);
    let proxy = Server::start(command, directory.path().join("proxy.log"));
    assert_accepted(&verify(proxy.address, "x", &[]), "MISS");
    assert_accepted(&verify(proxy.address, "x", &[]), "HIT");
}

/// An upstream that demands a certificate of the authority.
#[test]
fn a_certificate_is_shown_to_the_upstream() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (server, client) = (authority.certified("server"), authority.certified("client"));
    let ca = authority.certificate().display().to_string();
    let mut behind = command("http://127.0.0.1:1", &["--tls-client-ca", &ca]);
    behind.arg("--tls-cert").arg(&server.certificate);
    behind.arg("--tls-key").arg(&server.key);
    let behind = Server::start_unready(behind, directory.path().join("behind.log"));
    let url = format!("https://localhost:{}", behind.address.port());
    let mut with = command(&url, &["--upstream-ca", &ca]);
    with.arg("--upstream-cert").arg(&client.certificate);
    with.arg("--upstream-key").arg(&client.key);
    let with = Server::start_unready(with, directory.path().join("with.log"));
    let without = command(&url, &["--upstream-ca", &ca]);
    let without = Server::start_unready(without, directory.path().join("without.log"));
    // The upstream is a proxy, too. It logs that its own upstream is down when it is asked.
    let asks = |proxy: &Server| {
        proxy.connect().call("GET", "/version", &[], b"");
        let log = std::fs::read_to_string(&behind.log).unwrap();
        log.contains("gave no answer")
    };
    assert!(!asks(&without), "a stranger");
    assert!(asks(&with), "with a certificate");
}

#[test]
fn an_upstream_without_a_trusted_certificate_is_not_asked() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    let upstream = start(&ca);
    let port = upstream.address.port();
    for (url, arguments) in [
        // The proxy trusts no authority that signed this certificate.
        (format!("https://localhost:{port}"), vec![]),
        // The certificate is trusted, but for another name.
        (
            format!("https://127.0.0.1:{port}"),
            vec!["--upstream-ca", ca.to_str().unwrap()],
        ),
    ] {
        let log = directory.path().join("proxy.log");
        let proxy = Server::start_unready(command(&url, &arguments), log.clone());
        let answer = verify(proxy.address, "x", &[]);
        answer.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
        proxy.stop();
        assert!(fs::read_to_string(&log).unwrap().contains("certificate"));
    }
    assert!(upstream.received().is_empty());
}
