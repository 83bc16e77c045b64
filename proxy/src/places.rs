//! The places of clients' connections. Silent connections take none from those that are in use, and
//! leave some for new ones, such as those of health checks.

use std::sync::Arc;

use talos_places::{Bounds, Eviction};

use crate::limits;
use crate::settings::ConnectionLimits;

/// What a connection has shown itself to be. Those that come first are evicted first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It has not had an answer that shows a use.
    #[default]
    New,
    /// It has had an answer from the cache or the upstream that was no error.
    Answered,
    /// It gets the answer to a health check now.
    Health,
}

/// The open connections.
pub(crate) type Places = talos_places::Places<Stage>;
/// The place of a connection.
pub(crate) type Place = talos_places::Place<Stage>;

/// Places, all of them free.
pub(crate) fn places(connections: &ConnectionLimits) -> Arc<Places> {
    let new_kept = connections.all / limits::NEW_SHARE;
    Arc::new(Places::new(Bounds {
        all: connections.all,
        per_address: connections.per_address,
        eviction: Eviction::NewFirst { new_kept },
    }))
}
