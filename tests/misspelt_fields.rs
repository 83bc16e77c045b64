//! A misspelt restriction is an error: it neither lifts a restriction nor widens a revocation.

use serde_json::json;
use talos_test_kit::keys::{ISSUE, Issued, assert_refused, assert_valid};

use crate::harness::site::Site;

const REVOKE_WHERE: &str = "/v2alpha1/admin/apiKeys:revokeWhere";

both_drivers! {
    fn a_misspelt_restriction_lifts_none(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let restriction = json!({"allowed_cidrs": ["192.0.2.0/24"]});
        let body = json!({"name": "n", "actor_id": "a", "ip_restriction": restriction});
        let key = Issued::from(&connection.post(ISSUE, &body));
        assert_refused(&connection.verify(&key.secret), "IP_NOT_ALLOWED");
        let path = format!("{ISSUE}/{}", key.key_id);
        for (query, body) in [
            ("", json!({"ip_restriction": {"allowed_cidr": ["198.51.100.0/24"]}})),
            ("?update_mask=ip_restriction", json!({"ip_restrictions": {"allowed_cidrs": ["198.51.100.0/24"]}})),
            ("?update_mask=ip_restriction", json!({"issued_api_keys": {"ip_restriction": restriction}})),
        ] {
            let path = format!("{path}{query}");
            let answer = connection.call("PATCH", &path, &[], body.to_string().as_bytes());
            assert_eq!(answer.status, 400, "{answer:?}");
            assert!(answer.json()["error"]["message"].as_str().unwrap().contains("did you mean"));
            assert_refused(&connection.verify(&key.secret), "IP_NOT_ALLOWED");
        }
        let camel = json!({"issuedApiKey": {"ipRestriction": {"allowedCidrs": ["127.0.0.0/8"]}}});
        let answer = connection.call("PATCH", &path, &[], camel.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_valid(&connection.verify(&key.secret), &key.key_id);
        server.stop();
    }

    fn a_condition_that_is_not_set_revokes_nothing(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let body = json!({"name": "n", "actor_id": "a", "scopes": ["x"]});
        let key = Issued::from(&connection.post(ISSUE, &body));
        for body in [
            json!({"actor_id": null, "scope": "x"}),
            json!({"actorId": null, "scope": "x"}),
            json!({"actor": "b", "scope": "x"}),
            json!({"scope": "x", "dry_run": null}),
            json!({"scope": "x", "dryrun": true}),
        ] {
            let answer = connection.post(REVOKE_WHERE, &body);
            assert_eq!(answer.status, 400, "{body}: {answer:?}");
            assert_valid(&connection.verify(&key.secret), &key.key_id);
        }
        server.stop();
    }
}
