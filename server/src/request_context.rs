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
    /// The tenant of the request.
    pub tenant: TenantId,
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
    /// The circumstances of the request of `tenant` with this head. `peer` is the address of the
    /// connection's other end.
    pub(crate) fn new(
        core: &Core,
        head: &Head<'_, '_>,
        tenant: TenantId,
        peer: Option<IpAddr>,
        now: UnixMillis,
    ) -> Self {
        let live = core.live();
        Self {
            tenant,
            client_ip: client_address(
                live.client_ip_source,
                &live.trusted_proxies,
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
}
