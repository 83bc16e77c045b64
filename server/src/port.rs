//! What the connections of one listener may do.

use std::sync::Arc;

use talos_api::route::Surface;
use talos_tls::ServerTls;

use crate::admin_hosts::AdminHosts;

/// What a listener serves, and under which names. All connections that it accepted share it.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    /// Which routes it has.
    pub surface: Surface,
    /// The host names under which the routes of administrators are served.
    pub admin_hosts: AdminHosts,
    /// TLS of TCP connections. Those of the Unix socket have none.
    pub tls: Option<Arc<ServerTls>>,
}
