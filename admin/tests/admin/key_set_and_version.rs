//! What anybody may read: the public signing keys and the version.

use serde_json::json;

use crate::harness::Harness;

#[test]
fn the_key_set_is_at_both_paths() {
    let harness = Harness::new();
    let keys = json!([{"alg": "EdDSA", "use": "sig", "kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]);
    for path in [
        "/v2alpha1/derivedKeys/jwks.json",
        "/v2alpha1/admin/derivedKeys/jwks.json",
    ] {
        let response = harness.call("GET", path, "");
        assert_eq!(response.status, 200);
        assert_eq!(response.header("Content-Type"), Some("application/json"));
        assert_eq!(response.body, json!({"keys": keys, "jwks": {"keys": keys}}));
    }
}

#[test]
fn the_version_is_told() {
    let response = Harness::new().call("GET", "/version", "");
    assert_eq!(
        (response.status, response.body),
        (
            200,
            json!({"version": "1.2.3", "config": {"generation": 1, "hash": "00", "restart_required": []}})
        )
    );
}

#[test]
fn a_configuration_that_cannot_be_used_is_named() {
    let response = Harness::new().call("POST", "/v2alpha1/admin/config:reload", "");
    let message = response.error(409, "FAILED_PRECONDITION", "FAILED_PRECONDITION");
    assert!(message.contains("talos.yaml:1:1"), "{message}");
}
