//! Whether traffic may be sent to a node, on the listener of the metrics.

use std::sync::Arc;

use serde_json::json;
use talos_admin::{AdminService, AdminSettings, MetricsListener};
use talos_api::error::ApiError;
use talos_api::fleet::{
    Acknowledgement, Alone, Divergence, Fleet, FleetRefusal, FleetStatus, Later, NotEverywhere,
    Reach, Rejoined, Writes,
};
use talos_api::page_token::PageTokenKeys;
use talos_engine::{Position, Secret};
use talos_test_kit::http::{Answer, Connection};

use crate::harness::Harness;

/// A node whose place among the others is not one to send traffic to.
struct FarBehind(Alone);

impl Fleet for FarBehind {
    fn ready(&self) -> Result<(), ApiError> {
        Err(ApiError::service_unavailable("far behind"))
    }

    fn reach(&self, position: Position) -> Reach {
        self.0.reach(position)
    }

    fn writes(&self) -> Result<Writes, ApiError> {
        self.0.writes()
    }

    fn acknowledge(
        &self,
        position: Position,
        whom: Acknowledgement,
    ) -> Later<Result<(), NotEverywhere>> {
        self.0.acknowledge(position, whom)
    }

    fn status(&self) -> FleetStatus {
        self.0.status()
    }

    fn promote(&self) -> Later<Result<FleetStatus, FleetRefusal>> {
        self.0.promote()
    }

    fn diverged(&self, limit: usize) -> Later<Result<Divergence, FleetRefusal>> {
        self.0.diverged(limit)
    }

    fn rejoin(&self) -> Later<Result<Rejoined, FleetRefusal>> {
        self.0.rejoin()
    }
}

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
    let alone = || Alone(Arc::clone(&harness.engine));
    let ready = ask(&harness, Arc::new(alone()), "/health/ready");
    assert_eq!(ready.status, 200, "{ready:?}");
    let behind = || Arc::new(FarBehind(alone()));
    let unready = ask(&harness, behind(), "/health/ready");
    assert_eq!(unready.status, 503, "{unready:?}");
    assert!(unready.text().contains("far behind"), "{unready:?}");
    let alive = ask(&harness, behind(), "/health/alive");
    assert_eq!(alive.status, 200, "{alive:?}");
}
