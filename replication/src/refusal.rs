//! Reasons why a node refuses another one.

use std::sync::atomic::{AtomicU64, Ordering};

use talos_model::{Epoch, Sequence};

/// A refusal, as it is sent to the refused node.
///
/// A refusal during the handshake is only a hint: it is not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The nodes have no protocol version in common; for the operator.
    #[error("this node speaks versions {min} to {max} of the replication protocol")]
    Version {
        /// The oldest version of the refusing node.
        min: u16,
        /// Its newest version.
        max: u16,
    },
    /// The nodes belong to different clusters; for the operator.
    #[error("this node belongs to another cluster")]
    Cluster,
    /// The proof is wrong: another secret, or a replayed handshake; for the operator.
    #[error("the shared secret could not be proven")]
    Proof,
    /// A node has connected to itself; for the operator.
    #[error("this is the same node")]
    SameNode,
    /// The bytes are not a handshake; for the operator.
    #[error("not a handshake of this protocol")]
    Handshake,
    /// Only a primary feeds replicas; ask another node.
    #[error("this node is not the primary")]
    NotPrimary,
    /// The asked node is the primary of an older epoch.
    #[error("this node's newest epoch is {}, older than the one asked from", epoch.0)]
    Older {
        /// Its epoch.
        epoch: Epoch,
    },
    /// The replica holds changes that the primary does not have; an operator decides whether to
    /// drop them.
    #[error("changes after {} are not in the primary's history", fork.0)]
    Diverged {
        /// The last sequence that both nodes have.
        fork: Sequence,
    },
    /// The limit of replicas or full copies is reached; try again later.
    #[error("too many replicas or full copies at a time")]
    Busy,
}

/// The number of kinds of refusals.
const KINDS: usize = 9;

impl Refusal {
    /// The name in metrics and logs.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Version { .. } => "version",
            Self::Cluster => "cluster",
            Self::Proof => "proof",
            Self::SameNode => "same_node",
            Self::Handshake => "handshake",
            Self::NotPrimary => "not_primary",
            Self::Older { .. } => "older_epoch",
            Self::Diverged { .. } => "diverged",
            Self::Busy => "busy",
        }
    }

    /// All kinds; their numbers are unused.
    const ALL: [Self; KINDS] = [
        Self::Version { min: 0, max: 0 },
        Self::Cluster,
        Self::Proof,
        Self::SameNode,
        Self::Handshake,
        Self::NotPrimary,
        Self::Older { epoch: Epoch(0) },
        Self::Diverged { fork: Sequence(0) },
        Self::Busy,
    ];
}

/// Counts refusals by kind. Thread safe.
#[derive(Debug, Default)]
pub struct Refusals {
    counts: [AtomicU64; KINDS],
}

impl Refusals {
    /// Counts one refusal.
    pub fn note(&self, refusal: Refusal) {
        let kinds = Refusal::ALL.iter().zip(&self.counts);
        for (_, count) in kinds.filter(|(kind, _)| kind.label() == refusal.label()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All kinds with their counts.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refusal::ALL
            .iter()
            .zip(&self.counts)
            .map(|(kind, count)| (kind.label(), count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_for_itself() {
        let refusals = Refusals::default();
        refusals.note(Refusal::Proof);
        refusals.note(Refusal::Older { epoch: Epoch(7) });
        refusals.note(Refusal::Older { epoch: Epoch(8) });
        let of = |label| {
            refusals
                .counts()
                .find(|(kind, _)| *kind == label)
                .unwrap()
                .1
        };
        assert_eq!((of("proof"), of("older_epoch"), of("busy")), (1, 2, 0));
        assert_eq!(refusals.counts().map(|(_, count)| count).sum::<u64>(), 3);
    }
}
