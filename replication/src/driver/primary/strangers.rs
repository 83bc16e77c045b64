//! The connections that have not proven to be replicas. Anybody can open one, so they are few, and
//! none can keep a replica out.
//!
//! Guarantees: a new connection always gets a place. If there is none, another unproven connection
//! is evicted: one of the address that has the most of them, there one that has sent no greeting if
//! possible, and of those the oldest. So a replica is evicted only by other connections from its
//! own address, or by as many addresses as there are places.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::limits::{HANDSHAKES, HANDSHAKES_PER_ADDRESS};

/// The unproven connections of a primary.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By number; the oldest first.
    open: BTreeMap<u64, Stranger>,
    next: u64,
}

#[derive(Debug)]
struct Stranger {
    address: IpAddr,
    has_greeted: bool,
    evict: oneshot::Sender<()>,
}

/// The place of an unproven connection. Dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    strangers: Arc<Strangers>,
    number: u64,
}

/// Resolves with `Ok` when the connection is evicted, and with an error when its place is freed.
pub(super) type Evicted = oneshot::Receiver<()>;

impl Strangers {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a new connection from `address` a place, and evicts another one if necessary.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> (Place, Evicted) {
        let address = owner(address);
        let mut state = self.lock();
        if state.count(address) >= HANDSHAKES_PER_ADDRESS {
            state.evict_one_of(address);
        } else if state.open.len() >= HANDSHAKES
            && let Some(busiest) = state.busiest()
        {
            state.evict_one_of(busiest);
        }
        let (evict, evicted) = oneshot::channel();
        let number = state.next;
        state.next += 1;
        let stranger = Stranger {
            address,
            has_greeted: false,
            evict,
        };
        state.open.insert(number, stranger);
        let place = Place {
            strangers: Arc::clone(self),
            number,
        };
        (place, evicted)
    }
}

impl State {
    fn count(&self, address: IpAddr) -> usize {
        let open = self.open.values();
        open.filter(|one| one.address == address).count()
    }

    /// The address with the most connections; of several, that of the oldest connection.
    fn busiest(&self) -> Option<IpAddr> {
        let addresses = self.open.values().map(|one| one.address).rev();
        addresses.max_by_key(|address| self.count(*address))
    }

    fn evict_one_of(&mut self, address: IpAddr) {
        let of_address = self.open.iter().filter(|(_, one)| one.address == address);
        let victim = of_address.min_by_key(|(number, one)| (one.has_greeted, **number));
        let number = victim.map(|(number, _)| *number);
        if let Some(one) = number.and_then(|number| self.open.remove(&number)) {
            // The connection may be ending by itself.
            let _ = one.evict.send(());
        }
    }
}

impl Place {
    /// The connection has sent a valid greeting.
    pub(super) fn has_greeted(&self) {
        if let Some(one) = self.strangers.lock().open.get_mut(&self.number) {
            one.has_greeted = true;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.strangers.lock().open.remove(&self.number);
    }
}

/// What one client can choose an address from: an IPv4 address, or an IPv6 network of 64 bits.
fn owner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_evicted((_, evicted): &mut (Place, Evicted)) -> bool {
        evicted.try_recv().is_ok()
    }

    fn v4(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn one_address_cannot_take_the_places_of_others() {
        let strangers = Arc::<Strangers>::default();
        let mut replica = strangers.admit(v4(1));
        let mut first = strangers.admit(v4(2));
        let mut more: Vec<_> = (0..3 * HANDSHAKES)
            .map(|_| strangers.admit(v4(2)))
            .collect();
        assert!(is_evicted(&mut first) && !is_evicted(&mut replica));
        let stay = more
            .iter_mut()
            .filter_map(|one| (!is_evicted(one)).then_some(()));
        assert_eq!(stay.count(), HANDSHAKES_PER_ADDRESS);
        // All other places are free for others.
        let mut others: Vec<_> = (3..)
            .take(HANDSHAKES / 2)
            .map(v4)
            .map(|one| strangers.admit(one))
            .collect();
        assert!(!others.iter_mut().any(is_evicted));
    }

    #[test]
    fn whoever_has_greeted_stays_longer() {
        let strangers = Arc::<Strangers>::default();
        let mut replica = strangers.admit(v4(1));
        replica.0.has_greeted();
        let mut silent: Vec<_> = (0..100).map(|_| strangers.admit(v4(1))).collect();
        assert!(!is_evicted(&mut replica));
        assert!(is_evicted(&mut silent[0]) && !is_evicted(&mut silent[99]));
    }

    #[test]
    fn the_address_with_the_most_loses_one_when_all_places_are_taken() {
        let strangers = Arc::<Strangers>::default();
        let mut replica = strangers.admit(v4(0));
        let addresses = (2..).map(|pair: u8| v4(pair / 2)).take(HANDSHAKES - 1);
        let mut all: Vec<_> = addresses.map(|one| strangers.admit(one)).collect();
        let mut next = strangers.admit(v4(200));
        assert!(!is_evicted(&mut replica) && !is_evicted(&mut next));
        assert_eq!(
            all.iter_mut()
                .filter_map(|one| is_evicted(one).then_some(()))
                .count(),
            1
        );
        drop(all);
        assert_eq!(strangers.lock().open.len(), 2);
    }

    #[test]
    fn a_network_of_addresses_is_one_client() {
        let strangers = Arc::<Strangers>::default();
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        let places: Vec<_> = (0..100)
            .map(|host| strangers.admit(address(&format!("2001:db8::{host:x}"))))
            .collect();
        assert_eq!(strangers.lock().open.len(), HANDSHAKES_PER_ADDRESS);
        assert_eq!(owner(address("::ffff:10.0.0.1")), v4(1));
        drop(places);
    }
}
