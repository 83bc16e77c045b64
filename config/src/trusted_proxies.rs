//! `serve.http.trusted_proxies`: whose headers name the client's address.

use std::net::IpAddr;

use talos_model::cidr::Cidr;

/// The peers on the Unix socket.
const UNIX: &str = "unix";

/// The proxies in front of this server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    blocks: Vec<Cidr>,
    unix: bool,
}

impl TrustedProxies {
    /// Reads items that [`check`] has accepted. Other items are left out.
    #[must_use]
    pub fn parse(items: &[String]) -> Self {
        Self {
            blocks: items.iter().filter_map(|item| block(item)).collect(),
            unix: items.iter().any(|item| item == UNIX),
        }
    }

    /// Whether no proxy is named, so that every peer is believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty() && !self.unix
    }

    /// Whether `peer` is one of the proxies. `None` = a peer on the Unix socket.
    #[must_use]
    pub fn contain(&self, peer: Option<IpAddr>) -> bool {
        peer.map_or(self.unix, |address| {
            self.blocks.iter().any(|block| block.contains(address))
        })
    }
}

/// Checks one item.
pub(crate) fn check(text: &str) -> Result<String, String> {
    let fits = text == UNIX || block(text).is_some();
    fits.then(|| text.to_owned())
        .ok_or_else(|| "neither an address, a CIDR block nor unix".to_owned())
}

/// A block, or a single address.
pub(crate) fn block(text: &str) -> Option<Cidr> {
    let single = || {
        let address: IpAddr = text.parse().ok()?;
        Cidr::new(address, if address.is_ipv4() { 32 } else { 128 })
    };
    text.parse().ok().or_else(single)
}
