//! Writes that wait for replicas.

use std::time::Duration;

use super::faulty_proxy::FaultyProxy;
use super::node::{Node, PATIENCE};
use crate::acks::Wait;
use crate::driver::ack_waiters::NotReplicated;
use crate::driver::replica::ReplicaStatus;
use crate::simulation::store::Op;

#[tokio::test]
async fn a_write_that_waits_is_with_the_replicas_when_it_is_acknowledged() {
    let primary = Node::new(1);
    let serving = primary.serve().await;
    let nodes = [Node::new(2), Node::new(3)];
    let mut replicas = nodes.each_ref().map(|node| node.follow(serving.address));
    for replica in &mut replicas {
        replica.shows(ReplicaStatus::is_fresh).await;
    }
    for key in 0..50 {
        let position = primary.write(Op::Issue, key);
        let wait = if key % 2 == 0 {
            Wait::Count(2)
        } else {
            Wait::AllFresh(2)
        };
        let waiting = serving.handle.wait(position, wait, PATIENCE).unwrap();
        assert_eq!(waiting.outcome().await, Ok(()));
        for (node, replica) in nodes.iter().zip(&replicas) {
            assert!(node.store().state.keys.contains_key(&key));
            assert!(replica.handle.status().borrow().reaches(position));
        }
    }
}

#[tokio::test]
async fn a_write_that_no_replica_gets_is_not_acknowledged() {
    let primary = Node::new(1);
    let serving = primary.serve().await;
    let position = primary.issue(0..1);
    let at_most = Duration::from_millis(50);
    let waiting = serving
        .handle
        .wait(position, Wait::Count(1), at_most)
        .unwrap();
    assert_eq!(waiting.outcome().await, Err(NotReplicated::TimedOut));
    let waiting = serving
        .handle
        .wait(position, Wait::Count(0), at_most)
        .unwrap();
    assert_eq!(waiting.outcome().await, Ok(()));

    let waiting = serving
        .handle
        .wait(position, Wait::Count(1), PATIENCE)
        .unwrap();
    let handle = serving.handle.clone();
    serving.end().await;
    assert_eq!(waiting.outcome().await, Err(NotReplicated::Stopped));
    let late = handle.wait(position, Wait::Count(0), PATIENCE);
    assert_eq!(late.err(), Some(NotReplicated::Stopped));
}

#[tokio::test]
async fn a_replica_that_was_cut_off_is_waited_for_until_it_knows_that_it_is_stale() {
    let (primary, node) = (Node::new(1), Node::new(2));
    let serving = primary.serve().await;
    let proxy = FaultyProxy::new(serving.address, &[], 1 << 16).await;
    let mut replica = node.follow(proxy.address);
    replica.shows(ReplicaStatus::is_fresh).await;
    // A listener that never answers.
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_target(nowhere.local_addr().unwrap());
    proxy.cut_all();
    serving.shows(|status| status.replicas.is_empty()).await;
    let position = primary.issue(0..1);
    let waiting = serving
        .handle
        .wait(position, Wait::AllFresh(0), PATIENCE)
        .unwrap();
    assert_eq!(waiting.outcome().await, Ok(()));
    let status = replica.handle.status();
    assert!(!status.borrow().reaches(position));
    assert!(
        !status.borrow().is_fresh(),
        "it does not answer as if it knew"
    );
}
