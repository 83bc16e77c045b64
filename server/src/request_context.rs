//! What a verification needs to know besides its body.

use std::net::IpAddr;

use talos_model::clock::UnixMillis;
use talos_model::{CacheMode, TenantId};

/// The circumstances of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestContext {
    /// The client's address; `None` = unknown.
    pub client_ip: Option<IpAddr>,
    /// Whether caches may be read and written.
    pub cache: CacheMode,
    /// The time of the request.
    pub now: UnixMillis,
}

impl RequestContext {
    /// The tenant of every request: the server has one tenant. This is the only place that sets it;
    /// the engine and the control plane take the tenant from the request.
    pub(crate) const TENANT: TenantId = TenantId::SINGLE;
}
