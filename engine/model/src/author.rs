//! The author of a change.

use std::net::IpAddr;

use crate::access::{Principal, Proof};

/// The principal of the request that made a change. The log keeps it with the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The name of the principal.
    pub name: String,
    /// How the principal proved who it is.
    pub proof: Proof,
    /// The address of the client; `None` where it is unknown, as over a Unix socket.
    pub address: Option<IpAddr>,
}

impl Author {
    /// The author of what `principal` does from `address`.
    #[must_use]
    pub fn new(principal: &Principal, address: Option<IpAddr>) -> Self {
        Self {
            name: principal.name.clone(),
            proof: principal.proof,
            address,
        }
    }
}
