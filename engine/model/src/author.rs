//! The author of a change.

use std::net::IpAddr;

use crate::access::{Principal, Proof};

/// The author of a change: the principal of the request that made it, or the holder of the key. The
/// log keeps it with the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The name of the principal; [`Self::HOLDER`] for the holder of the key.
    pub name: String,
    /// How the author proved who it is.
    pub proof: Proof,
    /// The address of the client; `None` where it is unknown, as over a Unix socket.
    pub address: Option<IpAddr>,
}

impl Author {
    /// The name of the holder of a key.
    pub const HOLDER: &'static str = "self";

    /// The holder of the key that the request concerns.
    #[must_use]
    pub fn holder(address: Option<IpAddr>) -> Self {
        Self {
            name: Self::HOLDER.to_owned(),
            proof: Proof::Credential,
            address,
        }
    }

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
