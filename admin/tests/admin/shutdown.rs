//! A stop answers what was accepted and refuses the rest.

use serde_json::json;
use talos_api::control::{ControlRequest, Overloaded};
use talos_api::route::{Endpoint, PathKeyId};
use talos_model::TenantId;

use crate::harness::{Harness, ISSUED_KEYS};

#[test]
fn accepted_requests_are_answered_and_later_ones_refused() {
    let mut harness = Harness::new();
    let body = json!({"name": "n", "actor_id": "a"}).to_string();
    let waiting: Vec<_> = (0..64)
        .map(|_| harness.begin("POST", ISSUED_KEYS, &body))
        .collect();
    harness.stop_admin();
    for answer in waiting {
        assert_eq!(answer.recv().expect("an answer").status, 201);
    }
    let request = ControlRequest {
        endpoint: Endpoint::Version,
        method: "GET",
        template: "/version",
        key_id: PathKeyId::NONE,
        tenant: TenantId::SINGLE,
        tenant_of_host: None,
        path: "/version".to_owned(),
        query: String::new(),
        host: "localhost".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        request_id: "r".to_owned(),
        client_ip: None,
        principal: None,
        sealed_body: None,
    };
    let refused = harness.control.submit(
        request,
        Box::new(|_| unreachable!("nobody answers any more")),
    );
    assert_eq!(refused, Err(Overloaded));
}
