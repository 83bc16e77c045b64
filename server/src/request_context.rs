//! What a verification needs to know besides its body.

use std::net::IpAddr;

use talos_model::clock::UnixMillis;
use talos_model::{CacheMode, TenantId};

use crate::client_address::client_address;
use crate::core::Core;
use crate::observe;
use crate::parser::Head;
use crate::throttle::Origin;

/// The circumstances of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestContext {
    /// The client's address; `None` = unknown.
    pub client_ip: Option<IpAddr>,
    /// The address of the connection's other end; `None` over a Unix socket.
    pub peer: Option<IpAddr>,
    /// Whether caches may be read and written.
    pub cache: CacheMode,
    /// The time of the request.
    pub now: UnixMillis,
}

impl RequestContext {
    /// The circumstances of the request with this head. `peer` is the address of the connection's
    /// other end.
    pub(crate) fn new(
        core: &Core,
        head: &Head<'_, '_>,
        peer: Option<IpAddr>,
        now: UnixMillis,
    ) -> Self {
        let shared = &core.shared;
        Self {
            client_ip: client_address(
                shared.client_ip_source,
                &shared.trusted_proxies,
                peer,
                head.fields,
            ),
            peer,
            cache: observe::cache_mode(head),
            now,
        }
    }

    /// The addresses of the client that sends the request.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            client: self.client_ip,
            peer: self.peer,
        }
    }

    /// The tenant of every request: the server has one tenant. This is the only place that sets it;
    /// the engine and the control plane take the tenant from the request.
    pub(crate) const TENANT: TenantId = TenantId::SINGLE;
}
