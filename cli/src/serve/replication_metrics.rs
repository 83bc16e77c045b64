//! Replication metrics.

use talos_engine::Engine;
use talos_metrics::Exposition;
use talos_node::{Node, NodeStatus};
use talos_replication::driver::primary::PrimaryStatus;
use talos_replication::driver::replica::ReplicaStatus;

use super::wall_clock::WallClock;

/// Writes the position of the change log and, on a node of several, its replication status.
pub(super) fn expose(
    page: &mut Exposition,
    engine: &Engine,
    node: Option<&Node>,
    clock: &WallClock,
) {
    let position = engine.committed();
    page.gauge("talos_replication_epoch", "The epoch of the last change.")
        .sample(&[], position.epoch.0);
    page.gauge(
        "talos_replication_sequence",
        "The sequence of the last change that verifications see.",
    )
    .sample(&[], position.sequence.0);
    let Some(node) = node else { return };
    page.gauge(
        "talos_replication_ready",
        "1 when traffic may be sent to this node.",
    )
    .sample(&[], u64::from(node.is_ready() && !clock.is_behind()));
    match node.status() {
        NodeStatus::Primary {
            status, refusals, ..
        } => primary(page, &status, &refusals),
        NodeStatus::Replica { status, .. } => replica(page, &status),
        NodeStatus::Changing => {}
    }
}

fn primary(page: &mut Exposition, status: &PrimaryStatus, refusals: &[(&'static str, u64)]) {
    let mut family = page.counter(
        "talos_replication_refusals_total",
        "Nodes that were refused, by reason.",
    );
    for (reason, count) in refusals {
        family.sample(&[("reason", reason)], *count);
    }
    page.gauge("talos_replication_replicas", "Replicas that are connected.")
        .sample(&[], status.replicas.len() as u64);
    let mut changes = page.gauge(
        "talos_replication_replica_lag_changes",
        "Changes that a replica lacks.",
    );
    for replica in &status.replicas {
        let node = replica.node.to_string();
        changes.sample(&[("node", &node)], replica.behind_changes);
    }
    let mut times = page.gauge(
        "talos_replication_replica_lag_milliseconds",
        "For how long the oldest change that a replica lacks has been durable here.",
    );
    for replica in &status.replicas {
        let node = replica.node.to_string();
        times.sample(&[("node", &node)], replica.behind_ms);
    }
    let mut differences = page.gauge(
        "talos_replication_replica_differences",
        "Settings by which a replica accepts other credentials than this primary.",
    );
    for replica in &status.replicas {
        let node = replica.node.to_string();
        differences.sample(&[("node", &node)], replica.differences.len() as u64);
    }
}

fn replica(page: &mut Exposition, status: &ReplicaStatus) {
    page.gauge(
        "talos_replication_lag_changes",
        "Changes that this replica lacks, as far as the primary has said.",
    )
    .sample(&[], status.behind_changes);
    if let Some(staleness) = status.staleness_ms() {
        page.gauge(
            "talos_replication_staleness_milliseconds",
            "How long ago this replica had all that its primary had.",
        )
        .sample(&[], staleness);
    }
    if let Some(offset_ms) = status.clock_offset_ms {
        page.gauge(
            "talos_replication_clock_offset_milliseconds",
            "How far the clock of the primary is ahead of the one here.",
        )
        .signed(&[], offset_ms);
    }
    page.gauge(
        "talos_replication_differences",
        "Settings by which this replica accepts other credentials than its primary.",
    )
    .sample(&[], status.differences.len() as u64);
    page.counter(
        "talos_replication_connections_total",
        "Connections to a primary that have led to something.",
    )
    .sample(&[], status.connections);
}
