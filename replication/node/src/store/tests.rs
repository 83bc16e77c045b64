//! Feed and follower between two real databases, without a network.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use talos_engine::{Engine, Options};
use talos_model::{Epoch, IssueKey, KeyId, Mode, RevocationReason, Sequence};
use talos_replication::feed::{Feed, FeedAction, Moment};
use talos_replication::follow::{FollowAction, Follower, Stop};
use talos_replication::message::Message;
use talos_replication::sink::{ChangeSink as _, Progress};
use talos_replication::source::{ChangeSource as _, CopyOpening};
use talos_replication::throttle::Throttle;
use talos_test_kit::engine::{new_key, revocation, run};

use super::*;

fn options(path: &Path, shards: u16) -> Options {
    Options {
        shards: Some(shards),
        ..talos_test_kit::engine::options(path)
    }
}

fn issue(engine: &Engine, metadata_bytes: usize) -> KeyId {
    let key = IssueKey {
        metadata: format!("{{\"a\":\"{}\"}}", "x".repeat(metadata_bytes)),
        ..new_key("a")
    };
    talos_test_kit::engine::issue(engine, key).0.key_id
}

fn revoke(engine: &Engine, key_id: KeyId) {
    run(engine, revocation(key_id, RevocationReason::KeyCompromise)).unwrap();
}

/// Two nodes, and what the primary keeps across connections.
struct Nodes {
    primary: Arc<Engine>,
    replica: Arc<Engine>,
    source: EngineSource,
    follow: Follower,
    now_ms: u64,
    _scratch: tempfile::TempDir,
}

impl Nodes {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let primary = Engine::open(options(&scratch.path().join("primary"), 4)).unwrap();
        let replica = options(&scratch.path().join("replica"), 1);
        let replica = Engine::open_as(replica, Mode::Replica).unwrap();
        Self {
            source: EngineSource::new(Arc::clone(&primary)),
            follow: follow(&replica),
            primary,
            replica,
            now_ms: 0,
            _scratch: scratch,
        }
    }

    /// Creates the follower anew, as a restart does.
    fn restart(&mut self) {
        self.follow = follow(&self.replica);
    }

    fn assert_equal(&self) {
        let [one, other] = [&self.primary, &self.replica].map(|node| node.state_hash().unwrap());
        assert_eq!(one, other);
    }

    /// Runs a connection that breaks after this many messages of the primary, or ends when neither
    /// side sends more.
    fn connect(&mut self, messages: usize) {
        self.now_ms += 1_000;
        let committed = self.primary.committed();
        let throttle = Throttle::new(1 << 40);
        let history = self.primary.standing().epochs;
        let mut connection = Connection {
            feed: Feed::new(history, committed, throttle, self.now_ms),
            to_primary: VecDeque::new(),
            to_replica: VecDeque::new(),
            is_open: true,
        };
        let actions = self.follow.on_connected(self.now_ms);
        self.replica_does(&mut connection, actions);
        let mut said = 0;
        while connection.is_open && said < messages {
            self.now_ms += 1;
            if let Some(message) = connection.to_primary.pop_front() {
                let moment = Moment {
                    now_ms: self.now_ms,
                    wall_ms: 0,
                    committed: self.primary.committed(),
                };
                let actions = connection.feed.on_message(moment, message);
                self.primary_does(&mut connection, actions);
            } else if let Some(message) = connection.to_replica.pop_front() {
                said += 1;
                let actions = self.follow.on_message(self.now_ms, message);
                self.replica_does(&mut connection, actions);
            } else {
                let actions = connection.feed.on_room(self.now_ms);
                if actions.is_empty() {
                    break;
                }
                self.primary_does(&mut connection, actions);
            }
        }
        self.follow.on_disconnected();
    }

    fn primary_does(&mut self, connection: &mut Connection, actions: Vec<FeedAction>) {
        for action in actions {
            match action {
                FeedAction::Send(message) => connection.to_replica.push_back(message),
                FeedAction::Work(work) => {
                    if let Some(done) = work.perform(&mut self.source) {
                        let actions = connection.feed.on_done(self.now_ms, done);
                        self.primary_does(connection, actions);
                    }
                }
                // The connection closes after everything is sent, so messages in flight still
                // arrive.
                FeedAction::Close(_)
                | FeedAction::Joined { .. }
                | FeedAction::Acknowledged(_)
                | FeedAction::LastUsed(_)
                | FeedAction::Replaced(_) => {}
            }
        }
    }

    fn replica_does(&mut self, connection: &mut Connection, actions: Vec<FollowAction>) {
        for action in actions {
            match action {
                FollowAction::Send(message) => connection.to_primary.push_back(message),
                FollowAction::Work(work) => {
                    let mut sink = EngineSink::new(Arc::clone(&self.replica)).unwrap();
                    let done = work.perform(&mut sink);
                    let actions = self.follow.on_done(self.now_ms, done);
                    self.replica_does(connection, actions);
                }
                FollowAction::Close(_) => connection.is_open = false,
            }
        }
    }
}

struct Connection {
    feed: Feed,
    to_primary: VecDeque<Message>,
    to_replica: VecDeque<Message>,
    is_open: bool,
}

fn follow(replica: &Arc<Engine>) -> Follower {
    let sink = EngineSink::new(Arc::clone(replica)).unwrap();
    Follower::new(sink.durable_state().unwrap(), 10_000)
}

const NO_END: usize = usize::MAX;

#[test]
fn a_replica_follows_over_connections_and_restarts() {
    let mut nodes = Nodes::new();
    let key_id = issue(&nodes.primary, 10);
    nodes.connect(NO_END);
    nodes.assert_equal();
    revoke(&nodes.primary, key_id);
    for _ in 0..3 {
        issue(&nodes.primary, 10);
    }
    nodes.restart();
    nodes.connect(NO_END);
    nodes.assert_equal();
    assert_eq!(nodes.replica.committed(), nodes.primary.committed());
    assert_eq!(
        nodes.replica.standing().epochs,
        nodes.primary.standing().epochs
    );
    assert!(nodes.follow.stop().is_none());
}

#[test]
fn a_copy_goes_on_where_its_connection_broke() {
    let mut nodes = Nodes::new();
    for _ in 0..12 {
        issue(&nodes.primary, 60_000);
    }
    nodes.follow.resync();
    let mut breaks = 0;
    nodes.connect(2);
    let begun = nodes.replica.standing().copying.expect("a copy has begun");
    while let Some(place) = nodes.replica.standing().copying {
        assert_eq!(place.name, begun.name, "the same copy goes on");
        issue(&nodes.primary, 10);
        nodes.restart();
        nodes.connect(2);
        breaks += 1;
    }
    assert!(breaks > 1);
    assert_eq!(nodes.replica.committed(), begun.position);
    nodes.restart();
    nodes.connect(NO_END);
    nodes.assert_equal();
}

#[test]
fn a_promoted_node_is_followed_and_a_diverged_one_stops() {
    let mut nodes = Nodes::new();
    issue(&nodes.primary, 10);
    nodes.connect(NO_END);
    issue(&nodes.primary, 10);
    nodes.replica.promote(None).unwrap();
    issue(&nodes.replica, 10);
    assert!(EngineSink::new(Arc::clone(&nodes.replica)).is_err());

    // The other way around: the old primary returns as a replica.
    std::mem::swap(&mut nodes.primary, &mut nodes.replica);
    nodes.source = EngineSource::new(Arc::clone(&nodes.primary));
    nodes.replica.step_down().unwrap();
    nodes.restart();
    nodes.connect(NO_END);
    let diverged = Stop::Diverged {
        fork: Sequence(1),
        held: Sequence(2),
    };
    assert_eq!(nodes.follow.stop(), Some(&diverged));
    nodes.restart();
    nodes.follow.resync();
    nodes.connect(NO_END);
    nodes.assert_equal();
    assert_eq!(nodes.replica.committed().epoch, Epoch(2));
}

#[test]
fn copies_are_few_until_one_is_closed() {
    let mut nodes = Nodes::new();
    let mut opened = Vec::new();
    while let CopyOpening::Open(copy, _) = nodes.source.open_copy(None).unwrap() {
        opened.push(copy);
        assert!(opened.len() < 100);
    }
    assert!(opened.len() > 1);
    let again = nodes.source.open_copy(Some(opened[0])).unwrap();
    assert!(matches!(again, CopyOpening::Open(copy, _) if copy == opened[0]));
    nodes.source.close_copy(opened[1]);
    let other = nodes.source.open_copy(Some(opened[1])).unwrap();
    assert!(matches!(other, CopyOpening::Open(copy, _) if copy != opened[1]));
}

#[test]
fn a_follower_begins_with_what_is_durable() {
    let nodes = Nodes::new();
    let mut sink = EngineSink::new(Arc::clone(&nodes.replica)).unwrap();
    let durable_state = sink.durable_state().unwrap();
    assert_eq!(durable_state.progress, Progress::At(Position::START));
    assert_eq!(durable_state.last, None);
    sink.adopt(&nodes.primary.standing().epochs).unwrap();
    let adopted = sink.durable_state().unwrap().history;
    assert_eq!(adopted, nodes.primary.standing().epochs);
}
