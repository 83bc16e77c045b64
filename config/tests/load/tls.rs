//! TLS of the listeners.

use std::path::Path;

use super::{complaint, load};

#[test]
fn each_listener_has_its_own_files() {
    let yaml = "serve: {http: {tls: {cert: c.pem, key: k.pem, client_ca: ca.pem}}}";
    let variables = [
        ("TALOS_SERVE_METRICS_TLS_CERT", "m.pem"),
        ("TALOS_SERVE_METRICS_TLS_KEY", "m.key"),
        ("TALOS_SERVE_PUBLIC_TLS_CERT", "p.pem"),
        ("TALOS_SERVE_PUBLIC_TLS_KEY", "p.key"),
    ];
    let serve = load(yaml, &variables).expect("settings").0.serve;
    let (http, metrics) = (&serve.http.tls, &serve.metrics_tls);
    assert_eq!(http.own(), Some((Path::new("c.pem"), Path::new("k.pem"))));
    assert_eq!(http.client_ca.as_deref(), Some(Path::new("ca.pem")));
    assert!(!http.client_ca_optional);
    assert_eq!(
        metrics.own(),
        Some((Path::new("m.pem"), Path::new("m.key")))
    );
    assert_eq!(metrics.client_ca, None);
    let public = &serve.public.tls;
    assert_eq!(public.own(), Some((Path::new("p.pem"), Path::new("p.key"))));

    let plain = load("", &[]).expect("settings").0.serve;
    assert!(!plain.http.tls.is_on() && !plain.metrics_tls.is_on());
    assert!(!plain.public.tls.is_on());
}

#[test]
fn files_that_are_missing_beside_others_are_named() {
    for (yaml, says) in [
        (
            "serve: {http: {tls: {cert: c.pem}}}",
            "serve.http.tls.key: missing beside serve.http.tls.cert",
        ),
        (
            "serve: {http: {tls: {key: k.pem}}}",
            "serve.http.tls.cert: missing beside serve.http.tls.key",
        ),
        (
            "serve: {http: {tls: {client_ca: ca.pem}}}",
            "serve.http.tls.cert: missing beside serve.http.tls.client_ca",
        ),
        (
            "serve: {metrics: {tls: {cert: c.pem, key: k.pem, client_ca_optional: true}}}",
            "serve.metrics.tls.client_ca: missing beside serve.metrics.tls.client_ca_optional",
        ),
        (
            "serve: {public: {tls: {key: k.pem}}}",
            "serve.public.tls.cert: missing beside serve.public.tls.key",
        ),
    ] {
        let line = complaint(yaml, &[]);
        assert!(line.starts_with(says), "{yaml}: {line}");
    }
}
