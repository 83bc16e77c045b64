//! `talos jwk`: the server accepts generated keys.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::harness::Driver;
use crate::harness::cli::talos;
use crate::harness::site::{Server, Site};

#[test]
fn a_generated_key_is_published_without_its_secret() {
    let mut site = Site::new(Driver::Epoll);
    let file = site.directory().join("keys.json");
    let path = file.to_str().unwrap();
    let plain = site.start();
    let generate = ["jwk", "generate", "eddsa", "--jwks", "-o", path];
    assert_eq!(talos(plain.address, &generate).succeeded(), "");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let set: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let again = talos(plain.address, &generate);
    again.assert_one_line_and_code_1(&[path]);
    assert_eq!(
        serde_json::from_str::<Value>(&fs::read_to_string(&file).unwrap()).unwrap(),
        set
    );
    plain.stop();

    let mut command = site.command();
    command.env(
        "TALOS_CREDENTIALS_DERIVED_TOKENS_JWT_SIGNING_KEYS_URLS",
        format!("file://{path}"),
    );
    let server = Server::start(command, site.directory().join("signing.log"));
    let published = talos(server.address, &["jwk", "get"]).json();
    let (key, mut public) = (&set["keys"][0], published["keys"][0].clone());
    assert_eq!((&public["kid"], &public["x"]), (&key["kid"], &key["x"]));
    assert!(public["d"].is_null() && !key["d"].is_null());
    public["d"] = key["d"].clone();
    assert_eq!(&public, key);
    server.stop();
}

#[test]
fn a_server_takes_a_generated_rsa_key() {
    let site = Site::new(Driver::Epoll);
    let file = site.directory().join("rsa.json");
    let path = file.to_str().unwrap();
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let generate = [
        "jwk", "generate", "rsa", "--jwks", "--kid", "mine", "-o", path,
    ];
    assert_eq!(talos(nowhere, &generate).succeeded(), "");
    let mut command = site.command();
    command.env(
        "TALOS_CREDENTIALS_DERIVED_TOKENS_JWT_SIGNING_KEYS_URLS",
        format!("file://{path}"),
    );
    let server = Server::start(command, site.directory().join("rsa.log"));
    let published = talos(server.address, &["jwk", "get"]).json();
    let key = published["keys"][0].as_object().unwrap();
    let names: Vec<_> = key.keys().map(String::as_str).collect();
    assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use"]);
    assert_eq!(
        (&key["kid"], &key["alg"]),
        (&"mine".into(), &"RS256".into())
    );
    server.stop();
}

#[test]
fn every_algorithm_and_flag() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let generate =
        |arguments: &[&str]| talos(server.address, &[&["jwk", "generate"], arguments].concat());
    for (arguments, algorithm, key_type) in [
        (vec!["eddsa"], "EdDSA", "OKP"),
        (vec!["ecdsa", "--curve", "P-256"], "ES256", "EC"),
        (vec!["ecdsa", "--curve", "P-384"], "ES384", "EC"),
        (vec!["ecdsa", "--curve", "P-521"], "ES512", "EC"),
        (vec!["rsa"], "RS256", "RSA"),
        (
            vec!["rsa", "--bits", "2048", "--alg", "PS256"],
            "PS256",
            "RSA",
        ),
        (vec!["hmac"], "HS512", "oct"),
        (vec!["hmac", "--bits", "256"], "HS256", "oct"),
    ] {
        let named = [arguments.as_slice(), &["--kid", "mine", "--use", "enc"]].concat();
        let key = generate(&named).json();
        for (name, value) in [
            ("alg", algorithm),
            ("kty", key_type),
            ("kid", "mine"),
            ("use", "enc"),
        ] {
            assert_eq!(key[name], value, "{arguments:?}");
        }
        let public = generate(&[arguments.as_slice(), &["--public-only"]].concat());
        if key_type == "oct" {
            assert_eq!((public.code, public.stdout.as_str()), (Some(2), ""));
        } else {
            let public = public.json();
            let number = if key_type == "RSA" { "n" } else { "x" };
            assert!(
                public["d"].is_null() && public[number].is_string(),
                "{public}"
            );
        }
    }
    server.stop();
}
