//! Replicas follow, whatever the network does.

use std::sync::Arc;
use std::sync::mpsc;

use talos_model::{Epoch, EpochId};

use super::faulty_proxy::FaultyProxy;
use super::node::{Node, PATIENCE, until};
use crate::driver::primary::{FedReplica, FedState};
use crate::driver::replica::{ReplicaStatus, Stage};
use crate::limits::HANDSHAKES;
use crate::message::LastUsed;
use crate::simulation::store::{Key, Op};
use crate::sink::SinkError;

#[tokio::test]
async fn a_replica_shows_what_its_primary_has_written() {
    let (primary, node) = (Node::new(1), Node::new(2));
    primary.issue(0..20);
    let serving = primary.serve().await;
    let mut replica = node.follow(serving.address);
    let last = primary.write(Op::Revoke, 7);
    replica.reaches(last).await;
    assert_eq!(node.store().state.keys[&7], Key::Revoked);
    assert!(node.equals(&primary));

    let status = replica.shows(ReplicaStatus::is_fresh).await;
    assert_eq!(status.primary, Some(primary.id()));
    assert_eq!((status.stage, status.behind_changes), (Stage::Following, 0));
    assert!(status.staleness_ms().is_some());
    let shown = serving
        .shows(|status| {
            let has_all = |replica: &FedReplica| {
                replica.durable == Some(last) && replica.state == FedState::Following
            };
            status.position == last && status.replicas.iter().any(has_all)
        })
        .await;
    assert_eq!(shown.replicas.len(), 1);
    assert_eq!(shown.replicas[0].node, node.id());
    assert_eq!(shown.replicas[0].behind_changes, 0);
    assert_eq!(shown.replicas[0].behind_ms, 0);

    replica.leave().await;
    serving.shows(|status| status.replicas.is_empty()).await;
}

#[tokio::test]
async fn a_line_that_breaks_in_the_midst_of_frames_loses_and_repeats_nothing() {
    let (primary, node) = (Node::new(1), Node::new(2));
    let last = primary.issue(0..400);
    let serving = primary.serve().await;
    // In the handshake, in the welcome, and at odd places among the changes.
    let cuts = [30, 150, 301, 400, 777, 1501, 2003, 4001, 6007];
    let proxy = FaultyProxy::new(serving.address, &cuts, 13).await;
    let mut replica = node.follow(proxy.address);
    replica.reaches(last).await;
    assert!(
        proxy.made_all_cuts(),
        "the line was cut as often as it was to be"
    );
    assert_eq!(proxy.connections(), cuts.len() + 1);
    assert!(node.equals(&primary));
    assert_eq!(node.store().state.log, primary.store().state.log);
    assert_eq!(node.store().generation, 0, "nothing was copied anew");
}

#[tokio::test]
async fn a_severed_line_is_told_on_both_sides_and_made_anew() {
    let (primary, node) = (Node::new(1), Node::new(2));
    let serving = primary.serve().await;
    let proxy = FaultyProxy::new(serving.address, &[], 1 << 16).await;
    let mut replica = node.follow(proxy.address);
    replica.shows(ReplicaStatus::is_fresh).await;
    for round in 0..3 {
        proxy.cut_all();
        let last = primary.issue(round * 10..round * 10 + 10);
        replica.reaches(last).await;
        let connections = u64::from(round) + 2;
        let status = replica.shows(|status| status.connections >= connections);
        assert!(status.await.last_end.is_some());
    }
    assert!(node.equals(&primary));
}

#[tokio::test]
async fn a_primary_that_is_started_again_is_found_again() {
    let (primary, node) = (Node::new(1), Node::new(2));
    primary.issue(0..10);
    let serving = primary.serve().await;
    let address = serving.address.to_string();
    let mut replica = node.follow(serving.address);
    replica.shows(ReplicaStatus::is_fresh).await;
    serving.end().await;
    replica
        .shows(|status| status.stage == Stage::Disconnected)
        .await;
    until(|| !replica.handle.status().borrow().is_fresh()).await;
    let last = primary.issue(10..20);
    let settings = primary.primary_settings();
    let serving = primary.serve_at(&address, settings).await;
    replica.reaches(last).await;
    replica.shows(ReplicaStatus::is_fresh).await;
    assert!(node.equals(&primary));
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_replicas_follow_at_once() {
    let primary = Node::new(100);
    primary.issue(0..50);
    let serving = primary.serve().await;
    // More than the limit of handshakes: permits are returned.
    let count = u8::try_from(HANDSHAKES).unwrap() + 4;
    let nodes: Vec<_> = (0..count).map(Node::new).collect();
    let mut replicas: Vec<_> = nodes
        .iter()
        .map(|node| node.follow(serving.address))
        .collect();
    let last = primary.issue(50..100);
    for (node, replica) in nodes.iter().zip(&mut replicas) {
        replica.reaches(last).await;
        assert!(node.equals(&primary));
    }
    let shown = serving
        .shows(|status| {
            let done = status
                .replicas
                .iter()
                .filter(|one| one.durable == Some(last));
            done.count() == nodes.len()
        })
        .await;
    assert!(shown.replicas.is_sorted_by_key(|one| one.node));
}

#[tokio::test]
async fn storage_that_waits_keeps_nobody_else_waiting() {
    let primary = Node::new(1);
    let serving = primary.serve().await;
    let (open, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let mut slow = Node::new(2);
    slow.before_apply = Arc::new(move || {
        let opened = gate.lock().unwrap().recv_timeout(PATIENCE);
        opened.map_err(|_| SinkError("kept waiting".to_owned()))
    });
    let fast = Node::new(3);
    let mut slow_one = slow.follow(serving.address);
    let mut fast_one = fast.follow(serving.address);
    slow_one.shows(ReplicaStatus::is_fresh).await;
    let last = primary.issue(0..1);
    fast_one.reaches(last).await;
    assert!(!slow_one.handle.status().borrow().reaches(last));
    open.send(()).unwrap();
    slow_one.reaches(last).await;
}

#[tokio::test]
async fn storage_that_fails_stops_the_replica() {
    let primary = Node::new(1);
    let last = primary.issue(0..1);
    let serving = primary.serve().await;
    let mut node = Node::new(2);
    node.before_apply = Arc::new(|| Err(SinkError("broken".to_owned())));
    let mut replica = node.follow(serving.address);
    let status = replica.shows(|status| status.stop.is_some()).await;
    assert!(!status.reaches(last));
    let ended = tokio::time::timeout(PATIENCE, replica.task).await;
    let error = ended.unwrap().unwrap().err();
    assert_eq!(error, Some(SinkError("broken".to_owned())));
    assert!(replica.handle.leave().await.is_err());
}

#[tokio::test]
async fn a_replica_that_left_can_be_promoted_and_be_followed() {
    let (first, second, third) = (Node::new(1), Node::new(2), Node::new(3));
    first.issue(0..10);
    let serving = first.serve().await;
    let mut replica = second.follow(serving.address);
    let mut other = third.follow(serving.address);
    let last = first.issue(10..20);
    replica.reaches(last).await;
    other.reaches(last).await;
    let left = replica.leave().await;
    other.leave().await;

    let epoch = Epoch(2);
    let history = left.durable_state.history;
    let history = history
        .promoted(epoch, EpochId([9; 16]), last.sequence)
        .unwrap();
    second.store().state.durable.history = history;
    let new_last = second.issue(20..30);
    assert_eq!(new_last.epoch, epoch);
    let new_serving = second.serve().await;
    let mut other = third.follow(new_serving.address);
    let status = other.reaches(new_last).await;
    assert_eq!(status.epoch(), epoch);
    assert!(third.equals(&second));
    other.leave().await;

    // A replica that knows the new epoch refuses the old primary and tells it.
    let mut other = third.follow(serving.address);
    other.shows(|status| status.last_end.is_some()).await;
    let shown = serving.shows(|status| status.replaced_by.is_some()).await;
    assert_eq!(shown.replaced_by, Some(epoch));
    assert_eq!(*first.replaced.borrow(), Some(epoch));
    assert!(third.equals(&second));
}

#[tokio::test]
async fn uses_of_keys_are_told_to_the_primary() {
    let (primary, node) = (Node::new(1), Node::new(2));
    let serving = primary.serve().await;
    let mut replica = node.follow(serving.address);
    replica.shows(ReplicaStatus::is_fresh).await;
    let last_used = vec![LastUsed {
        key: vec![1, 2, 3],
        time_ms: 77,
    }];
    replica.handle.report_last_used(last_used.clone()).unwrap();
    until(|| *primary.used.borrow() == last_used).await;
}

#[tokio::test]
async fn a_replica_compares_its_clock_with_that_of_its_primary() {
    let (primary, node) = (Node::new(1), Node::new(2));
    let serving = primary.serve().await;
    let mut replica = node.follow(serving.address);
    let status = replica.shows(ReplicaStatus::is_fresh).await;
    // Both nodes have the clock of this machine.
    let offset_ms = status.clock_offset_ms.expect("a heartbeat has come");
    assert!(offset_ms.abs() < 30_000, "{offset_ms}");
    serving.end().await;
    let status = replica.shows(|status| status.primary.is_none()).await;
    assert_eq!(status.clock_offset_ms, None);
}
