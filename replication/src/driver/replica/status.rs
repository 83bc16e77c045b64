//! The status of a replica.

use talos_model::{Difference, Epoch, EpochHistory, Position};

use crate::driver::clock::now_ms;
use crate::follow::{Follower, Stop};
use crate::ids::NodeId;
use crate::sink::Progress;

/// What a replica is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not connected: connecting, or pausing before it.
    Disconnected,
    /// Connected; its request is not answered yet.
    Asking,
    /// Receiving a full copy.
    Copying,
    /// Receiving changes.
    Following,
    /// Stopped until an operator decides; see [`ReplicaStatus::stop`].
    Stopped,
}

impl Stage {
    /// The name in logs and API answers.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Disconnected => "apart",
            Self::Asking => "asking",
            Self::Copying => "copying",
            Self::Following => "following",
            Self::Stopped => "stopped",
        }
    }
}

/// The status of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// What it is doing.
    pub stage: Stage,
    /// The epochs that it knows.
    pub history: EpochHistory,
    /// The last change that it shows; `None` in the middle of a full copy.
    pub position: Option<Position>,
    /// The primary that it is connected to.
    pub primary: Option<NodeId>,
    /// How many changes it lacks, as far as the primary has announced them.
    pub behind_changes: u64,
    /// How far the wall clock of the primary is ahead of the one here, in milliseconds; `None`
    /// without a connection. The time that a heartbeat takes to arrive counts as an offset.
    pub clock_offset_ms: Option<i64>,
    /// Connections that the primary has welcomed.
    pub connections: u64,
    /// Why the last connection, or attempt to connect, has ended.
    pub last_end: Option<String>,
    /// Why it has stopped following.
    pub stop: Option<Stop>,
    /// How the credentials that it accepts differ from those that its primary accepts, or the one
    /// that it was connected to last.
    pub differences: Vec<Difference>,
    pub(super) freshness: Freshness,
}

/// Up to when a replica is up to date, by the monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Freshness {
    /// The replica has everything that its primary had at this time.
    pub(super) as_of_ms: Option<u64>,
    /// Until this time it may answer as up to date.
    pub(super) until_ms: Option<u64>,
}

impl Freshness {
    pub(super) fn of(follow: &Follower, max_staleness_ms: u64) -> Self {
        let now_ms = now_ms();
        let staleness_ms = follow.lag().staleness_ms(now_ms);
        let as_of_ms = staleness_ms.map(|staleness| now_ms.saturating_sub(staleness));
        // The status is not updated while nothing happens, so it holds the end of the freshness
        // instead of a flag.
        let until_ms = as_of_ms
            .filter(|_| follow.is_fresh(now_ms))
            .map(|as_of| as_of.saturating_add(max_staleness_ms));
        Self { as_of_ms, until_ms }
    }
}

impl ReplicaStatus {
    /// The status of a replica that has not started.
    pub(super) fn new(follow: &Follower) -> Self {
        let durable_state = follow.durable_state();
        Self {
            stage: Stage::Disconnected,
            history: durable_state.history.clone(),
            position: position(&durable_state.progress),
            primary: None,
            behind_changes: 0,
            clock_offset_ms: None,
            connections: 0,
            last_end: None,
            stop: None,
            differences: Vec::new(),
            freshness: Freshness::default(),
        }
    }

    /// The differences by which it refuses credentials that its primary accepts.
    pub fn refusing(&self) -> impl Iterator<Item = &Difference> {
        let differences = self.differences.iter();
        differences.filter(|difference| difference.refuses_here())
    }

    /// The newest epoch that it knows.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.history.newest()
    }

    /// Until when it may answer as up to date with its primary, by
    /// [`crate::driver::clock::now_ms`].
    #[must_use]
    pub fn fresh_until_ms(&self) -> Option<u64> {
        self.freshness.until_ms
    }

    /// Whether it may answer now as up to date with its primary.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.freshness
            .until_ms
            .is_some_and(|until| now_ms() <= until)
    }

    /// For how many milliseconds the primary may have had changes that are missing here; `None` if
    /// no primary was reached since the start or since the last full copy.
    #[must_use]
    pub fn staleness_ms(&self) -> Option<u64> {
        self.freshness
            .as_of_ms
            .map(|as_of| now_ms().saturating_sub(as_of))
    }

    /// Whether it shows the change at this position.
    #[must_use]
    pub fn reaches(&self, position: Position) -> bool {
        self.position
            .is_some_and(|committed| self.history.reaches(committed.sequence, position))
    }
}

/// The last change that may be shown.
pub(super) fn position(progress: &Progress) -> Option<Position> {
    match progress {
        Progress::At(position) => Some(*position),
        Progress::Copying(_) => None,
    }
}
