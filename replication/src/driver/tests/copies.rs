//! Full copies.

use talos_model::Sequence;

use super::faulty_proxy::FaultyProxy;
use super::node::Node;
use crate::driver::replica::Stage;
use crate::follow::Stop;
use crate::simulation::store::{KeyName, Op};

/// A primary whose log was trimmed at its beginning.
fn forgetful(keys: KeyName) -> Node {
    let primary = Node::new(1);
    primary.issue(0..keys);
    let mut store = primary.store();
    while store.state.log_after == 0 {
        store.trim();
    }
    drop(store);
    primary
}

#[tokio::test]
async fn a_replica_that_is_too_far_behind_gets_a_copy_and_then_the_changes() {
    let primary = forgetful(300);
    let serving = primary.serve().await;
    let node = Node::new(2);
    let mut replica = node.follow(serving.address);
    let last = primary.write(Op::Revoke, 3);
    replica.reaches(last).await;
    assert!(node.equals(&primary));
    assert_eq!(node.store().generation, 1);
}

#[tokio::test]
async fn a_copy_goes_on_where_it_was_cut() {
    let primary = forgetful(600);
    let serving = primary.serve().await;
    let node = Node::new(2);
    let proxy = FaultyProxy::new(serving.address, &[3001, 5003, 7001], 1024).await;
    let mut replica = node.follow(proxy.address);
    let seen_copying = replica.shows(|status| status.stage == Stage::Copying).await;
    assert_eq!(
        seen_copying.position, None,
        "nothing is shown before it is complete"
    );
    assert!(!seen_copying.is_fresh());
    let last = primary.issue(600..610);
    replica.reaches(last).await;
    assert!(proxy.made_all_cuts());
    assert!(node.equals(&primary));
    assert_eq!(node.store().generation, 1, "it was begun once");
}

#[tokio::test]
async fn a_throttled_copy_arrives() {
    let primary = forgetful(40);
    let mut settings = primary.primary_settings();
    // A row has three bytes: every chunk has to wait.
    settings.copy_bytes_per_s = 400;
    let serving = primary.serve_at("127.0.0.1:0", settings).await;
    let node = Node::new(2);
    let mut replica = node.follow(serving.address);
    let last = primary.issue(40..41);
    replica.reaches(last).await;
    assert!(node.equals(&primary));
}

#[tokio::test]
async fn a_replica_that_has_diverged_stops_until_it_is_ordered_to_begin_anew() {
    let (primary, node) = (Node::new(1), Node::new(2));
    let last = primary.issue(0..20);
    node.issue(100..105);
    let held = node.store().state.clone();
    let serving = primary.serve().await;
    let mut replica = node.follow(serving.address);
    let status = replica.shows(|status| status.stop.is_some()).await;
    assert_eq!(status.stage, Stage::Stopped);
    let stop = Stop::Diverged {
        fork: Sequence(0),
        held: Sequence(5),
    };
    assert_eq!(status.stop, Some(stop));
    assert_eq!(node.store().state, held, "nothing was thrown away");
    assert_eq!(serving.refused("diverged"), 1);

    replica.handle.resync().await.unwrap();
    replica.reaches(last).await;
    replica.shows(|status| status.stop.is_none()).await;
    assert!(node.equals(&primary));
}
