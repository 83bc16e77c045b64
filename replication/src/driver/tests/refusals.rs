//! Connections that are refused.

use std::net::SocketAddr;
use std::time::Duration;

use talos_model::cidr::Cidr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::faulty_proxy::FaultyProxy;
use super::node::{Node, PATIENCE, until};
use crate::driver::replica::ReplicaStatus;
use crate::limits::HANDSHAKES;

#[tokio::test]
async fn a_wrong_secret_is_refused_and_counted() {
    let (primary, stranger) = (Node::new(1), Node::new(2).with_secrets([8, 8]));
    let last = primary.issue(0..5);
    let serving = primary.serve().await;
    let mut refused = stranger.follow(serving.address);
    let status = refused.shows(|status| status.last_end.is_some()).await;
    assert_eq!(
        status.last_end.as_deref(),
        Some("refused by the other node: the shared secret could not be proven")
    );
    until(|| serving.refused("proof") >= 2).await;
    assert!(!refused.handle.status().borrow().reaches(last));
    assert_eq!(
        stranger.store().committed(),
        Some(talos_model::Position::START)
    );

    let mut welcome = Node::new(3).follow(serving.address);
    welcome.reaches(last).await;
}

#[tokio::test]
async fn a_secret_can_be_replaced_node_by_node() {
    let primary = Node::new(1).with_secrets([7, 8]);
    let last = primary.issue(0..5);
    let serving = primary.serve().await;
    for (number, secrets) in [(2, [7, 7]), (3, [8, 7])] {
        let node = Node::new(number).with_secrets(secrets);
        let mut replica = node.follow(serving.address);
        replica.reaches(last).await;
    }
    assert_eq!(serving.refused("proof"), 0);
}

#[tokio::test]
async fn a_node_does_not_follow_itself() {
    let node = Node::new(1);
    let serving = node.serve().await;
    let mut replica = node.follow(serving.address);
    replica.shows(|status| status.last_end.is_some()).await;
    assert!(serving.refused("same_node") >= 1);
}

#[tokio::test]
async fn strangers_who_say_nothing_do_not_keep_replicas_out() {
    let primary = Node::new(1);
    let last = primary.issue(0..5);
    let serving = primary.serve().await;
    let mut silent = Vec::new();
    for _ in 0..HANDSHAKES {
        silent.push(TcpStream::connect(serving.address).await.unwrap());
    }
    let mut replica = Node::new(2).follow(serving.address);
    replica.reaches(last).await;
    for stream in &mut silent {
        let mut bytes = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
        let ended = ended.unwrap().unwrap_or_default();
        assert_eq!(ended, 0, "they are let go without a word");
    }
}

/// Keeps silent connections from `host` open, each replaced when it is closed.
fn besiege(primary: SocketAddr, host: [u8; 4], connections: usize) -> JoinSet<()> {
    let mut siege = JoinSet::new();
    for _ in 0..connections {
        siege.spawn(async move {
            loop {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(SocketAddr::from((host, 0))).unwrap();
                if let Ok(mut stream) = socket.connect(primary).await {
                    let _ = stream.read(&mut [0]).await;
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
    }
    siege
}

#[tokio::test]
async fn strangers_who_come_back_do_not_keep_replicas_out() {
    let primary = Node::new(1);
    let last = primary.issue(0..5);
    let serving = primary.serve().await;
    let mut siege = besiege(serving.address, [127, 0, 0, 2], 8 * HANDSHAKES);
    // They have taken every place that they can get.
    sleep(Duration::from_millis(200)).await;
    let mut replica = Node::new(2).follow(serving.address);
    replica.reaches(last).await;
    // Neither do they keep one out that comes back.
    replica.leave().await;
    let mut replica = Node::new(3).follow(serving.address);
    replica.reaches(last).await;
    siege.shutdown().await;
}

#[tokio::test]
async fn only_allowed_addresses_are_answered() {
    let primary = Node::new(1);
    let last = primary.issue(0..5);
    let mut settings = primary.primary_settings();
    settings.allowed = vec![Cidr::new([127, 0, 0, 1].into(), 32).unwrap()];
    let serving = primary.serve_at("127.0.0.1:0", settings).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
    let mut stranger = socket.connect(serving.address).await.unwrap();
    let mut bytes = Vec::new();
    let ended = timeout(PATIENCE, stream_end(&mut stranger, &mut bytes)).await;
    assert_eq!((ended.unwrap(), bytes.len()), ((), 0));
    let mut replica = Node::new(2).follow(serving.address);
    replica.reaches(last).await;
}

/// Reads until the connection ends, by an error or not.
async fn stream_end(stream: &mut TcpStream, bytes: &mut Vec<u8>) {
    let _ = stream.read_to_end(bytes).await;
}

#[tokio::test]
async fn noise_is_refused() {
    let serving = Node::new(1).serve().await;
    let mut stream = TcpStream::connect(serving.address).await.unwrap();
    stream.write_all(&[0xff; 100]).await.unwrap();
    let mut bytes = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    assert!(ended.unwrap().is_ok());
    assert_eq!(bytes, b"");
}

#[tokio::test]
async fn a_replica_that_calls_again_takes_its_own_place() {
    let (primary, node) = (Node::new(1), Node::new(2));
    let serving = primary.serve().await;
    let mut first = node.follow(serving.address);
    first.shows(ReplicaStatus::is_fresh).await;
    let before = serving.shows(|status| !status.replicas.is_empty()).await;
    // The second connection comes from another address, while the first is still open.
    let proxy = FaultyProxy::new(serving.address, &[], 1 << 16).await;
    let mut second = node.follow(proxy.address);
    second.shows(|status| status.connections > 0).await;
    first.shows(|status| status.last_end.is_some()).await;
    let after = serving.shows(|status| {
        status.replicas.len() == 1 && status.replicas[0].address != before.replicas[0].address
    });
    after.await;
}
