//! Why a node does not serve another one.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::position::{Epoch, Sequence};

/// A refusal, as the node that is refused is told.
///
/// What is told before the handshake is through is a hint and no more: anybody could have said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No version of the protocol is spoken by both; for the operator.
    #[error("this node speaks versions {min} to {max} of the replication protocol")]
    Version {
        /// The oldest that the refusing node speaks.
        min: u16,
        /// The newest.
        max: u16,
    },
    /// The nodes belong to different clusters; for the operator.
    #[error("this node belongs to another cluster")]
    Cluster,
    /// The proof is wrong: another secret, or an old handshake that is played again; for the operator.
    #[error("the shared secret could not be proven")]
    Proof,
    /// A node that has called itself; for the operator.
    #[error("this is the same node")]
    SameNode,
    /// The handshake is not one; for the operator.
    #[error("not a handshake of this protocol")]
    Handshake,
    /// Only a primary feeds; another node may be asked.
    #[error("this node is not the primary")]
    NotPrimary,
    /// The node that was asked is the primary of an epoch that has passed.
    #[error("this node's newest epoch is {}, older than the one asked from", epoch.0)]
    Older {
        /// Its epoch.
        epoch: Epoch,
    },
    /// The replica holds changes that the primary does not have; an operator decides whether to throw them away.
    #[error("changes after {} are not in the primary's history", fork.0)]
    Diverged {
        /// The last sequence that both have.
        fork: Sequence,
    },
    /// As many replicas, or full copies, as are allowed; try again later.
    #[error("too many replicas or full copies at a time")]
    Busy,
}

/// How many refusals there are.
const KINDS: usize = 9;

impl Refusal {
    /// A name for metrics and logs.
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

    /// All kinds, with numbers of no meaning.
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

/// Counts refusals by kind, from any thread.
#[derive(Debug, Default)]
pub struct Refusals {
    counts: [AtomicU64; KINDS],
}

impl Refusals {
    /// Counts one.
    pub fn note(&self, refusal: Refusal) {
        let kinds = Refusal::ALL.iter().zip(&self.counts);
        for (_, count) in kinds.filter(|(kind, _)| kind.label() == refusal.label()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every kind with its count.
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
