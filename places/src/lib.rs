//! A bounded number of places for the connections of strangers, who must not keep each other out.
//!
//! Guarantees: a new connection always gets a place. If there is none, another connection is
//! evicted: one of the address that has the most of them, there one of the lowest rank, and of
//! those the oldest. So a connection is evicted only by others from its own address, or by as many
//! addresses as there are places. An IPv6 network of 64 bits counts as one address.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// How many places there are.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For all connections together.
    pub all: usize,
    /// For the connections from one address.
    pub per_address: usize,
}

/// The open connections. `R` ranks them by what they have shown themselves to be: lower ranks are
/// evicted first, and a new connection has the default rank.
#[derive(Debug)]
pub struct Places<R> {
    bounds: Bounds,
    state: Mutex<State<R>>,
}

#[derive(Debug)]
struct State<R> {
    /// By number; the oldest first.
    open: BTreeMap<u64, Connection<R>>,
    next: u64,
}

#[derive(Debug)]
struct Connection<R> {
    address: IpAddr,
    rank: R,
    evict: oneshot::Sender<()>,
}

/// The place of a connection. Dropping it frees the place.
#[derive(Debug)]
pub struct Place<R: Copy + Ord + Default> {
    places: Arc<Places<R>>,
    number: u64,
}

/// Resolves with `Ok` when the connection is evicted, and with an error when its place is freed.
pub type Evicted = oneshot::Receiver<()>;

impl<R: Copy + Ord + Default> Places<R> {
    /// Places, all of them free.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let state = State {
            open: BTreeMap::new(),
            next: 0,
        };
        Self {
            bounds,
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of taken places.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.lock().open.len()
    }

    /// Gives a new connection from `address` a place, and evicts another one if necessary.
    #[must_use]
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> (Place<R>, Evicted) {
        let address = client_network(address);
        let mut state = self.lock();
        if state.count(address) >= self.bounds.per_address {
            state.evict_one(|one| one.address == address);
        } else if state.open.len() >= self.bounds.all
            && let Some(busiest) = state.busiest()
        {
            state.evict_one(|one| one.address == busiest);
        }
        let (evict, evicted) = oneshot::channel();
        let number = state.next;
        state.next += 1;
        let connection = Connection {
            address,
            rank: R::default(),
            evict,
        };
        state.open.insert(number, connection);
        let place = Place {
            places: Arc::clone(self),
            number,
        };
        (place, evicted)
    }
}

impl<R: Copy + Ord> State<R> {
    fn count(&self, address: IpAddr) -> usize {
        let open = self.open.values();
        open.filter(|one| one.address == address).count()
    }

    /// The address with the most connections; of several, that of the oldest connection.
    fn busiest(&self) -> Option<IpAddr> {
        let addresses = self.open.values().map(|one| one.address).rev();
        addresses.max_by_key(|address| self.count(*address))
    }

    fn evict_one(&mut self, among: impl Fn(&Connection<R>) -> bool) {
        let candidates = self.open.iter().filter(|(_, one)| among(one));
        let victim = candidates.min_by_key(|(number, one)| (one.rank, **number));
        let number = victim.map(|(number, _)| *number);
        if let Some(one) = number.and_then(|number| self.open.remove(&number)) {
            // The connection may be ending by itself.
            let _ = one.evict.send(());
        }
    }
}

impl<R: Copy + Ord + Default> Place<R> {
    /// Gives the connection another rank.
    pub fn enter(&self, rank: R) {
        if let Some(one) = self.places.lock().open.get_mut(&self.number) {
            one.rank = rank;
        }
    }

    /// Gives the connection a rank that at most `most` connections may have. If as many have it,
    /// the oldest of them is evicted.
    pub fn enter_bounded(&self, rank: R, most: usize) {
        let mut state = self.places.lock();
        let has_rank = |one: &Connection<R>| one.rank == rank;
        let is_in = state.open.get(&self.number).is_some_and(has_rank);
        if !is_in && state.open.values().filter(|one| has_rank(one)).count() >= most {
            state.evict_one(has_rank);
        }
        if let Some(one) = state.open.get_mut(&self.number) {
            one.rank = rank;
        }
    }
}

impl<R: Copy + Ord + Default> Drop for Place<R> {
    fn drop(&mut self) {
        self.places.lock().open.remove(&self.number);
    }
}

/// The addresses that one client can choose from: an IPv4 address, or the first address of an IPv6
/// network of 64 bits. An IPv4-mapped IPv6 address counts as its IPv4 address.
#[must_use]
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests;
