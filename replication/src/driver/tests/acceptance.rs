//! Nodes compare which credentials they accept.

use talos_model::{Acceptance, AcceptedSetting};
use tokio::sync::watch;

use super::node::Node;
use crate::driver::primary::PrimaryStatus;
use crate::driver::replica::ReplicaStatus;

fn accepting(secrets: &[&str]) -> Acceptance {
    let secrets = secrets.iter().map(|&secret| secret.to_owned()).collect();
    Acceptance(vec![AcceptedSetting::new("secrets.hmac", secrets)])
}

fn texts(status: &ReplicaStatus) -> Vec<String> {
    status.differences.iter().map(ToString::to_string).collect()
}

fn texts_of_first(status: &PrimaryStatus) -> Vec<String> {
    let first = status.replicas.first();
    let differences = first.map(|replica| &replica.differences);
    differences.map_or_else(Vec::new, |all| {
        all.iter().map(ToString::to_string).collect()
    })
}

#[tokio::test]
async fn both_sides_see_how_they_differ() {
    let (primary, node) = (Node::new(1), Node::new(2));
    let mut settings = primary.primary_settings();
    settings.acceptance = watch::channel(accepting(&["new", "old"])).1;
    let serving = primary.serve_at("127.0.0.1:0", settings).await;
    for (secrets, at_replica, at_primary, refuses) in [
        (&["new", "old"][..], &[][..], &[][..], false),
        (
            &["old"],
            &["secrets.hmac: new is accepted there and not here"],
            &["secrets.hmac: new is accepted here and not there"],
            true,
        ),
        (
            &["new", "old", "older"],
            &["secrets.hmac: older is accepted here and not there"],
            &["secrets.hmac: older is accepted there and not here"],
            false,
        ),
    ] {
        let mut settings = node.replica_settings(serving.address);
        settings.acceptance = watch::channel(accepting(secrets)).1;
        let mut replica = node.follow_with(settings);
        let status = replica.shows(ReplicaStatus::is_fresh).await;
        assert_eq!(texts(&status), at_replica);
        assert_eq!(status.refusing().count(), usize::from(refuses));
        serving
            .shows(|status| status.replicas.len() == 1 && texts_of_first(status) == at_primary)
            .await;
        replica.leave().await;
        serving.shows(|status| status.replicas.is_empty()).await;
    }
}

#[tokio::test]
async fn a_change_is_compared_at_once_and_differences_stay_without_a_connection() {
    let (primary, node) = (Node::new(1), Node::new(2));
    let (of_primary, received) = watch::channel(accepting(&["old"]));
    let mut settings = primary.primary_settings();
    settings.acceptance = received;
    let serving = primary.serve_at("127.0.0.1:0", settings).await;
    let (of_replica, received) = watch::channel(accepting(&["old"]));
    let mut settings = node.replica_settings(serving.address);
    settings.acceptance = received;
    let mut replica = node.follow_with(settings);
    let status = replica.shows(ReplicaStatus::is_fresh).await;
    assert_eq!(texts(&status), [""; 0]);
    of_primary.send_replace(accepting(&["new", "old"]));
    replica.shows(|status| status.refusing().count() == 1).await;
    serving
        .shows(|status| {
            texts_of_first(status) == ["secrets.hmac: new is accepted here and not there"]
        })
        .await;
    of_replica.send_replace(accepting(&["new", "old"]));
    replica.shows(|status| status.differences.is_empty()).await;
    serving
        .shows(|status| status.replicas.len() == 1 && texts_of_first(status).is_empty())
        .await;
    of_primary.send_replace(accepting(&["new"]));
    replica.shows(|status| status.differences.len() == 1).await;
    of_replica.send_replace(accepting(&["old"]));
    replica.shows(|status| status.refusing().count() == 1).await;
    serving.handle.stop();
    let status = replica.shows(|status| status.last_end.is_some()).await;
    assert_eq!(status.refusing().count(), 1);
    replica.leave().await;
}
