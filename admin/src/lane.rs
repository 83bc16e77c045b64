//! The shares of the control plane. Each kind of request has its own queue and its own handlers,
//! so that requests of one kind cannot take the places of another.
//!
//! Changes may wait for replicas, so many of them can run for a long time. Administrators can
//! still list keys then. Anybody may send self-revocations, so their share is small.

use talos_api::route::Endpoint;

use crate::bounds::Bounds;
use crate::limits;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// An administrator's request that may change keys.
    Changes,
    /// All other requests of administrators.
    Reads,
    /// Documents that are ready: the signing keys, the version, the `OpenAPI` document.
    Documents,
    /// Self-revocations.
    SelfRevocations,
}

impl Lane {
    /// The lane of a request.
    pub(crate) fn of(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::SelfRevoke => Self::SelfRevocations,
            Endpoint::Jwks | Endpoint::Version | Endpoint::OpenApi => Self::Documents,
            _ if endpoint.changes_data() => Self::Changes,
            _ => Self::Reads,
        }
    }
}

/// One value for each lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PerLane<T> {
    pub(crate) changes: T,
    pub(crate) reads: T,
    pub(crate) documents: T,
    pub(crate) self_revocations: T,
}

impl<T> PerLane<T> {
    /// The value of `lane`.
    pub(crate) fn of(&self, lane: Lane) -> &T {
        match lane {
            Lane::Changes => &self.changes,
            Lane::Reads => &self.reads,
            Lane::Documents => &self.documents,
            Lane::SelfRevocations => &self.self_revocations,
        }
    }

    /// Converts all values.
    pub(crate) fn map<U>(self, mut convert: impl FnMut(T) -> U) -> PerLane<U> {
        PerLane {
            changes: convert(self.changes),
            reads: convert(self.reads),
            documents: convert(self.documents),
            self_revocations: convert(self.self_revocations),
        }
    }

    /// All values, in a fixed order.
    pub(crate) fn into_values(self) -> [T; 4] {
        [
            self.changes,
            self.reads,
            self.documents,
            self.self_revocations,
        ]
    }
}

/// The capacities of the control plane.
pub(crate) const BOUNDS: PerLane<Bounds> = PerLane {
    changes: limits::CHANGES,
    reads: limits::READS,
    documents: limits::DOCUMENTS,
    self_revocations: limits::SELF_REVOCATIONS,
};

impl<T, U> PerLane<(T, U)> {
    /// The first and the second values.
    pub(crate) fn unzip(self) -> (PerLane<T>, PerLane<U>) {
        let Self {
            changes,
            reads,
            documents,
            self_revocations,
        } = self;
        let first = PerLane {
            changes: changes.0,
            reads: reads.0,
            documents: documents.0,
            self_revocations: self_revocations.0,
        };
        let second = PerLane {
            changes: changes.1,
            reads: reads.1,
            documents: documents.1,
            self_revocations: self_revocations.1,
        };
        (first, second)
    }
}
