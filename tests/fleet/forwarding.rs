//! How a replica passes requests on: over TLS, or without secrets.

use std::process::Command;

use serde_json::json;
use talos_test_kit::certificates::Authority;
use talos_test_kit::keys::ISSUE;

use super::node::{Node, Place, key_of};
use crate::harness::TALOS;
use crate::harness::site::{Server, without_talos_variables};

/// A server that speaks TLS in front of a primary, and demands certificates of `authority`.
fn over_tls(place: &Place, primary: &Node, authority: &Authority) -> Server {
    let own = authority.certified("primary");
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command.args([
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &primary.url(),
    ]);
    command.arg("--tls-cert").arg(&own.certificate);
    command.arg("--tls-key").arg(&own.key);
    command.arg("--tls-client-ca").arg(authority.certificate());
    Server::start_unready(command, place.path().join("proxy.log"))
}

#[test]
fn a_primary_with_a_private_authority_is_asked_over_tls() {
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary.be_primary().start_ready();
    let authority = Authority::new();
    let tls = over_tls(&place, &primary, &authority);
    let url = format!("https://localhost:{}", tls.address.port());
    let own = authority.certified("replica");
    replica
        .follow(&primary)
        .set("REPLICATION_PRIMARY_URL", &url)
        .set("REPLICATION_FORWARD_CA", authority.certificate().display())
        .set("REPLICATION_FORWARD_CERT", own.certificate.display())
        .set("REPLICATION_FORWARD_KEY", own.key.display())
        .start_ready();
    let issued = replica.try_issue("over TLS").expect(201);
    assert!(primary.accepts(&key_of(&issued)));
    // A primary that cannot be trusted, or that does not trust this node, gets no request.
    let other = Authority::new();
    let distrusting = ("REPLICATION_FORWARD_CA", other.certificate());
    let distrusted = other.certified("replica");
    for changes in [
        vec![distrusting],
        vec![
            ("REPLICATION_FORWARD_CA", authority.certificate()),
            ("REPLICATION_FORWARD_CERT", distrusted.certificate),
            ("REPLICATION_FORWARD_KEY", distrusted.key),
        ],
    ] {
        replica.stop();
        for (name, file) in changes {
            replica.set(name, file.display());
        }
        replica.start();
        replica.await_ready();
        let refused = replica.try_issue("not trusted");
        assert!([502, 503].contains(&refused.status), "{refused:?}");
    }
    assert_eq!(primary.status()["position"], replica.status()["position"]);
}

#[test]
fn no_secret_leaves_a_replica_in_plain_http() {
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary.be_primary().start_ready();
    let key = primary.issue("one");
    // The address of the primary as a number: it is found, but not taken for this machine.
    let address: std::net::Ipv4Addr = primary.host().parse().unwrap();
    let url = format!("http://{}:4420", address.to_bits());
    replica
        .follow(&primary)
        .set("REPLICATION_PRIMARY_URL", &url)
        .start_ready();
    let log = replica.log();
    assert!(log.contains("replication.forward.allow_plain"), "{log}");
    let import = json!({"name": "n", "actor_id": "a", "raw_key": "some-imported-key"});
    let secrets = [
        (ISSUE, json!({"name": "n", "actor_id": "a"})),
        ("/v2alpha1/admin/importedApiKeys", import),
        (
            "/v2alpha1/apiKeys:selfRevoke",
            json!({"credential": key.secret}),
        ),
    ];
    for (path, body) in &secrets {
        let refused = replica.ask("POST", path, body).expect(503);
        assert!(refused.message().contains("plain HTTP"), "{refused:?}");
    }
    assert!(primary.accepts(&key), "nothing was changed");
    // A revocation by id has no secret, and must work.
    replica.revoke(&key);
    assert!(!primary.accepts(&key));
    replica.stop();
    replica.set("REPLICATION_FORWARD_ALLOW_PLAIN", true).start();
    replica.await_ready();
    let issued = replica.try_issue("allowed").expect(201);
    assert!(primary.accepts(&key_of(&issued)));
}
