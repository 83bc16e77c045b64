//! A bounded number of places for the connections of strangers, who must not keep each other out.
//!
//! Guarantees: a new connection always gets a place. If there is none, another connection is
//! evicted; [`Eviction`] says which. An IPv6 network of 64 bits counts as one address. Every
//! operation takes time logarithmic in the number of places.

#![forbid(unsafe_code)]

mod by_address;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::by_address::ByAddress;

/// How many places there are.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For all connections together.
    pub all: usize,
    /// For the connections from one address. An address that exceeds it loses a connection of its
    /// own: one of the lowest rank, and of those the oldest.
    pub per_address: usize,
    /// Which connection is evicted when all places are taken.
    pub eviction: Eviction,
}

/// Which connection is evicted when all places are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eviction {
    /// One of the address that has the most connections, there one of the lowest rank, and of those
    /// the oldest. So a connection is evicted only by others from its own address, or by as many
    /// addresses as there are places.
    BusiestAddress,
    /// A new one, which still has the default rank, if there are more than `new_kept` of them; else
    /// another one. Of those it is one of the address that has the most of them, there one of the
    /// lowest rank, and of those the oldest. So connections that never do anything cannot evict
    /// those that have shown a use, and a new connection is evicted only by others from its own
    /// address, or by as many newer ones as `new_kept`.
    NewFirst {
        /// How many places new connections keep, whatever the others do.
        new_kept: usize,
    },
}

/// The open connections. `R` ranks them by what they have shown themselves to be: lower ranks are
/// evicted first, and a new connection has the default rank, which must be the lowest.
#[derive(Debug)]
pub struct Places<R> {
    bounds: Bounds,
    state: Mutex<State<R>>,
}

/// The rank of a connection and its number. A lower number is older.
type Key<R> = (R, u64);

#[derive(Debug)]
struct State<R> {
    /// By number.
    open: BTreeMap<u64, Connection<R>>,
    all: ByAddress<Key<R>>,
    /// The connections of each rank.
    ranks: BTreeMap<R, ByAddress<Key<R>>>,
    /// The connections that do not have the default rank.
    proven: ByAddress<Key<R>>,
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
            all: ByAddress::default(),
            ranks: BTreeMap::new(),
            proven: ByAddress::default(),
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
        let victim = if state.all.count(address) >= self.bounds.per_address {
            state.all.lowest(address)
        } else if state.open.len() >= self.bounds.all {
            state.victim(self.bounds.eviction)
        } else {
            None
        };
        state.evict(victim);
        let (evict, evicted) = oneshot::channel();
        let number = state.next;
        state.next += 1;
        let connection = Connection {
            address,
            rank: R::default(),
            evict,
        };
        state.insert(number, connection);
        let place = Place {
            places: Arc::clone(self),
            number,
        };
        (place, evicted)
    }
}

impl<R: Copy + Ord + Default> State<R> {
    /// The connection to evict when all places are taken.
    fn victim(&self, eviction: Eviction) -> Option<Key<R>> {
        let new = self.ranks.get(&R::default());
        match eviction {
            Eviction::BusiestAddress => self.all.lowest_of_busiest(),
            Eviction::NewFirst { new_kept } => new
                .filter(|new| new.len() > new_kept || self.proven.len() == 0)
                .unwrap_or(&self.proven)
                .lowest_of_busiest(),
        }
    }

    fn evict(&mut self, victim: Option<Key<R>>) {
        if let Some(connection) = victim.and_then(|(_, number)| self.remove(number)) {
            // The connection may be ending by itself.
            let _ = connection.evict.send(());
        }
    }

    fn insert(&mut self, number: u64, connection: Connection<R>) {
        let (address, rank) = (connection.address, connection.rank);
        let key = (rank, number);
        self.all.insert(address, key);
        self.ranks.entry(rank).or_default().insert(address, key);
        if rank != R::default() {
            self.proven.insert(address, key);
        }
        self.open.insert(number, connection);
    }

    fn remove(&mut self, number: u64) -> Option<Connection<R>> {
        let connection = self.open.remove(&number)?;
        let (address, rank) = (connection.address, connection.rank);
        let key = (rank, number);
        self.all.remove(address, key);
        if let Some(same) = self.ranks.get_mut(&rank) {
            same.remove(address, key);
        }
        if rank != R::default() {
            self.proven.remove(address, key);
        }
        Some(connection)
    }

    fn rank(&mut self, number: u64, rank: R) {
        if let Some(connection) = self.remove(number) {
            self.insert(number, Connection { rank, ..connection });
        }
    }
}

impl<R: Copy + Ord + Default> Place<R> {
    /// Gives the connection another rank.
    pub fn enter(&self, rank: R) {
        self.places.lock().rank(self.number, rank);
    }

    /// Gives the connection a rank that at most `most` connections may have. If as many have it,
    /// one of them is evicted: one of the address that has the most of them, and there the oldest.
    pub fn enter_bounded(&self, rank: R, most: usize) {
        let mut state = self.places.lock();
        let same = state.ranks.get(&rank).filter(|same| same.len() >= most);
        let victim = same.and_then(ByAddress::lowest_of_busiest);
        let open = state.open.get(&self.number);
        if open.is_some_and(|connection| connection.rank != rank) {
            state.evict(victim);
        }
        state.rank(self.number, rank);
    }
}

impl<R: Copy + Ord + Default> Drop for Place<R> {
    fn drop(&mut self) {
        self.places.lock().remove(self.number);
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
