//! Whether traffic may be sent to a node, on the listener of the metrics.

use std::sync::Arc;

use serde_json::json;
use talos_admin::{AdminService, AdminSettings, MetricsListener};
use talos_api::error::ApiError;
use talos_api::fleet::Fleet;
use talos_api::page_token::PageTokenKeys;
use talos_model::Secret;
use talos_test_kit::http::{Answer, Connection};

use crate::fleet::SingleNode;
use crate::harness::Harness;

/// What a node of this fleet answers to `GET path` on the listener of its metrics.
fn ask(harness: &Harness, fleet: Arc<dyn Fleet>, path: &str) -> Answer {
    let settings = AdminSettings {
        page_tokens: PageTokenKeys::new(&Secret::new("for page tokens".to_owned()), &[]),
        default_ttl_ms: None,
        jwks: json!({"keys": []}),
        version: "1.2.3",
    };
    let engine = Arc::clone(&harness.engine);
    let mut admin = AdminService::start(engine, fleet, settings).expect("a service");
    let loopback = "127.0.0.1:0".parse().expect("an address");
    let listener = MetricsListener::bind(loopback).expect("a listener");
    let address = listener.address();
    admin
        .serve_metrics(listener, Box::new(|_| {}))
        .expect("a listener that is watched");
    let answer = Connection::open(address).call("GET", path, &[], b"");
    admin.shutdown();
    answer
}

#[test]
fn a_node_far_behind_is_alive_and_not_ready() {
    let harness = Harness::new();
    let ready = ask(&harness, Arc::new(SingleNode::new()), "/health/ready");
    assert_eq!(ready.status, 200, "{ready:?}");
    let behind = || {
        Arc::new(SingleNode {
            ready: Err(ApiError::service_unavailable("far behind")),
            ..SingleNode::new()
        })
    };
    let unready = ask(&harness, behind(), "/health/ready");
    assert_eq!(unready.status, 503, "{unready:?}");
    assert!(unready.text().contains("far behind"), "{unready:?}");
    let alive = ask(&harness, behind(), "/health/alive");
    assert_eq!(alive.status, 200, "{alive:?}");
}
