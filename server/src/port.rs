//! What the connections of one listener may do.

use std::sync::Arc;

use talos_api::route::Surface;
use talos_tls::ServerTls;

/// What a listener serves, and under which names. All connections that it accepted share it.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    /// Which routes it has.
    pub surface: Surface,
    /// Which of the listeners of the options it is.
    pub listener: usize,
    /// TLS of TCP connections. Those of the Unix socket have none.
    pub tls: Option<Arc<ServerTls>>,
}
