//! The metrics of a server as one of several.

use talos_admin::metrics::{Exposition, Kind};
use talos_engine::Engine;
use talos_node::{Node, NodeStatus};
use talos_replication::driver::primary::PrimaryStatus;
use talos_replication::driver::replica::ReplicaStatus;

/// Writes how far the change log has come, and of a node where it stands.
pub(super) fn expose(page: &mut Exposition, engine: &Engine, node: Option<&Node>) {
    let head = engine.head();
    page.family(
        "talos_replication_epoch",
        Kind::Gauge,
        "The epoch of the last change.",
    )
    .sample(&[], head.epoch.0);
    page.family(
        "talos_replication_sequence",
        Kind::Gauge,
        "The sequence of the last change that verifications see.",
    )
    .sample(&[], head.sequence.0);
    let Some(node) = node else { return };
    page.family(
        "talos_replication_ready",
        Kind::Gauge,
        "1 when traffic may be sent to this node.",
    )
    .sample(&[], u64::from(node.is_ready()));
    match node.status() {
        NodeStatus::Primary {
            status, refusals, ..
        } => primary(page, &status, &refusals),
        NodeStatus::Replica { status, .. } => replica(page, &status),
        NodeStatus::Changing => {}
    }
}

fn primary(page: &mut Exposition, status: &PrimaryStatus, refusals: &[(&'static str, u64)]) {
    let mut family = page.family(
        "talos_replication_refusals_total",
        Kind::Counter,
        "Nodes that were refused, by reason.",
    );
    for (reason, count) in refusals {
        family.sample(&[("reason", reason)], *count);
    }
    page.family(
        "talos_replication_replicas",
        Kind::Gauge,
        "Replicas that are connected.",
    )
    .sample(&[], status.replicas.len() as u64);
    let mut changes = page.family(
        "talos_replication_replica_lag_changes",
        Kind::Gauge,
        "Changes that a replica lacks.",
    );
    for replica in &status.replicas {
        let node = replica.node.to_string();
        changes.sample(&[("node", &node)], replica.behind_changes);
    }
    let mut times = page.family(
        "talos_replication_replica_lag_milliseconds",
        Kind::Gauge,
        "For how long the oldest change that a replica lacks has been durable here.",
    );
    for replica in &status.replicas {
        let node = replica.node.to_string();
        times.sample(&[("node", &node)], replica.behind_ms);
    }
}

fn replica(page: &mut Exposition, status: &ReplicaStatus) {
    page.family(
        "talos_replication_lag_changes",
        Kind::Gauge,
        "Changes that this replica lacks, as far as the primary has said.",
    )
    .sample(&[], status.behind_changes);
    if let Some(staleness) = status.staleness_ms() {
        page.family(
            "talos_replication_staleness_milliseconds",
            Kind::Gauge,
            "How long ago this replica had all that its primary had.",
        )
        .sample(&[], staleness);
    }
    page.family(
        "talos_replication_connections_total",
        Kind::Counter,
        "Connections to a primary that have led to something.",
    )
    .sample(&[], status.connections);
}
