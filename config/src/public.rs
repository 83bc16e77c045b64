//! `serve.public`: a second listener of the API, for clients that are no administrators.

use std::net::{IpAddr, SocketAddr};

use crate::listener_tls::ListenerTls;

/// `serve.public`: a second listener of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicListener {
    /// The address of the interface.
    pub host: IpAddr,
    /// The TCP port; 0 = the system picks one, `None` = there is no such listener.
    pub port: Option<u16>,
    /// Which routes it has.
    pub surface: PublicSurface,
    /// TLS of this listener.
    pub tls: ListenerTls,
}

/// Which routes the second listener has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicSurface {
    /// Those of `talos serve data`.
    Data,
    /// Those of `talos serve public`.
    Public,
}

impl PublicListener {
    /// Where to listen; `None` = nowhere.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.port.map(|port| SocketAddr::new(self.host, port))
    }
}
