//! How many connections of one core come from each client address.
//!
//! Guarantees: an IPv6 network of 64 bits counts as one address, because one client can choose
//! among its addresses; counting a connection is one look-up, and reading a count is none; memory
//! is bounded by the number of connections. The hash of the map is seeded, so nobody can choose
//! addresses that collide.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use talos_config::TrustedProxies;
use talos_places::client_network;

/// The addresses that have connections.
#[derive(Debug)]
pub(crate) struct Addresses {
    counts: RefCell<HashMap<IpAddr, Rc<Count>>>,
    /// These speak for many clients, so their connections are not added up.
    proxies: RefCell<TrustedProxies>,
}

#[derive(Debug)]
struct Count {
    open: Cell<usize>,
    /// Connections that [`CountedAddress::take_rank`] has not ranked.
    unranked: Cell<usize>,
    is_proxy: bool,
}

/// The address of an open connection. Dropping it ends the counting of the connection.
#[derive(Debug)]
pub(crate) struct CountedAddress {
    network: IpAddr,
    count: Rc<Count>,
    addresses: Rc<Addresses>,
}

impl Addresses {
    /// No connections. Those of `proxies` will not be added up.
    pub(crate) fn new(proxies: TrustedProxies) -> Self {
        Self {
            counts: RefCell::default(),
            proxies: RefCell::new(proxies),
        }
    }

    /// Changes whose connections are not added up. Addresses that have connections count as before.
    pub(crate) fn set_proxies(&self, proxies: TrustedProxies) {
        self.proxies.replace(proxies);
    }

    /// Counts a connection from `address`.
    pub(crate) fn count(self: &Rc<Self>, address: IpAddr) -> CountedAddress {
        let network = client_network(address);
        let mut counts = self.counts.borrow_mut();
        let count = counts.entry(network).or_insert_with(|| {
            Rc::new(Count {
                open: Cell::new(0),
                unranked: Cell::new(0),
                is_proxy: self.proxies.borrow().contain(Some(address)),
            })
        });
        count.open.set(count.open.get() + 1);
        CountedAddress {
            network,
            count: Rc::clone(count),
            addresses: Rc::clone(self),
        }
    }

    /// The open connections from `address`; 0 for a proxy.
    pub(crate) fn opened_by(&self, address: IpAddr) -> usize {
        let counts = self.counts.borrow();
        let count = counts.get(&client_network(address));
        count
            .filter(|count| !count.is_proxy)
            .map_or(0, |count| count.open.get())
    }
}

impl CountedAddress {
    /// The open connections of the client; 1 for a proxy.
    pub(crate) fn share(&self) -> usize {
        if self.count.is_proxy {
            1
        } else {
            self.count.open.get()
        }
    }

    /// Begins to rank the connections of this address.
    pub(crate) fn begin_ranking(&self) {
        self.count.unranked.set(self.share());
    }

    /// The share that the client would have if those of its connections that were ranked before
    /// ended; at least 1.
    pub(crate) fn take_rank(&self) -> usize {
        let rank = self.count.unranked.get().max(1);
        self.count.unranked.set(rank - 1);
        rank
    }
}

impl Drop for CountedAddress {
    fn drop(&mut self) {
        let left = self.count.open.get().saturating_sub(1);
        self.count.open.set(left);
        if left == 0 {
            self.addresses.counts.borrow_mut().remove(&self.network);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_counted_and_forgotten() {
        let addresses = Rc::new(Addresses::new(TrustedProxies::default()));
        let open: Vec<_> = [
            "10.0.0.1",
            "::ffff:10.0.0.1",
            "2001:db8::1",
            "2001:db8::2:0:1",
        ]
        .map(|text| addresses.count(address(text)))
        .into();
        for (text, wanted) in [
            ("10.0.0.1", 2),
            ("10.0.0.2", 0),
            ("2001:db8::ffff", 2),
            ("2001:db8:0:1::1", 0),
        ] {
            assert_eq!(addresses.opened_by(address(text)), wanted, "{text}");
        }
        assert_eq!(open.iter().map(CountedAddress::share).max(), Some(2));
        drop(open);
        assert!(addresses.counts.borrow().is_empty());
    }

    #[test]
    fn proxies_are_not_added_up() {
        let proxies = TrustedProxies::parse(&["10.0.0.0/8".to_owned()]);
        let addresses = Rc::new(Addresses::new(proxies));
        let open = ["10.0.0.1", "10.0.0.1", "192.0.2.1", "192.0.2.1"]
            .map(|text| addresses.count(address(text)));
        assert_eq!(open.each_ref().map(CountedAddress::share), [1, 1, 2, 2]);
        assert_eq!(addresses.opened_by(address("10.0.0.1")), 0);
    }
}
