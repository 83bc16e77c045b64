//! The connections of the metrics listener. Anybody who reaches the port can open one, so they are
//! few, and none can keep a scraper or a health check out.
//!
//! Guarantees: a new connection always gets a place. If there is none, another connection is
//! evicted: one of the address that has the most of them, there one that has sent no request if
//! possible, and of those the oldest. Pages of metrics, which a client can read slowly, never take
//! all places: the rest is for health checks.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::limits::{METRICS_CONNECTIONS, METRICS_PAGES, METRICS_PER_ADDRESS};

/// The open connections.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By number; the oldest first.
    open: BTreeMap<u64, Connection>,
    next: u64,
}

#[derive(Debug)]
struct Connection {
    address: IpAddr,
    stage: Stage,
    evict: oneshot::Sender<()>,
}

/// What a connection has shown itself to be. Those that come first are evicted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Silent,
    Metrics,
    Health,
}

/// The place of a connection. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    number: u64,
}

impl Places {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a new connection from `address` a place, and evicts another one if necessary. The
    /// receiver gets a message when the connection is evicted.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> (Place, oneshot::Receiver<()>) {
        let address = owner(address);
        let mut state = self.lock();
        if state.count(address) >= METRICS_PER_ADDRESS {
            state.evict_one(|one| one.address == address);
        } else if state.open.len() >= METRICS_CONNECTIONS
            && let Some(busiest) = state.busiest()
        {
            state.evict_one(|one| one.address == busiest);
        }
        let (evict, evicted) = oneshot::channel();
        let number = state.next;
        state.next += 1;
        let connection = Connection {
            address,
            stage: Stage::Silent,
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

    fn evict_one(&mut self, among: impl Fn(&Connection) -> bool) {
        let candidates = self.open.iter().filter(|(_, one)| among(one));
        let victim = candidates.min_by_key(|(number, one)| (one.stage, **number));
        let number = victim.map(|(number, _)| *number);
        if let Some(one) = number.and_then(|number| self.open.remove(&number)) {
            // The connection may be ending by itself.
            let _ = one.evict.send(());
        }
    }
}

impl Place {
    fn enter(&self, stage: Stage) {
        let mut state = self.places.lock();
        let is_metrics = |one: &Connection| one.stage == Stage::Metrics;
        if stage == Stage::Metrics
            && state.open.values().filter(|one| is_metrics(one)).count() >= METRICS_PAGES
        {
            state.evict_one(is_metrics);
        }
        if let Some(one) = state.open.get_mut(&self.number) {
            one.stage = stage;
        }
    }

    /// The client has asked for the page of metrics.
    pub(crate) fn gets_metrics(&self) {
        self.enter(Stage::Metrics);
    }

    /// The client has asked for something short.
    pub(crate) fn gets_health(&self) {
        self.enter(Stage::Health);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().open.remove(&self.number);
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

    type Admitted = (Place, oneshot::Receiver<()>);

    fn is_evicted((_, evicted): &mut Admitted) -> bool {
        evicted.try_recv().is_ok()
    }

    fn evicted(all: &mut [Admitted]) -> usize {
        all.iter_mut().map(is_evicted).filter(|gone| *gone).count()
    }

    fn v4(last: usize) -> IpAddr {
        let [.., high, low] = last.to_be_bytes();
        [10, 0, high, low].into()
    }

    #[test]
    fn one_address_cannot_take_the_places_of_others() {
        let places = Arc::<Places>::default();
        let mut scraper = places.admit(v4(1));
        let mut flood: Vec<_> = (0..200).map(|_| places.admit(v4(2))).collect();
        assert_eq!(evicted(&mut flood), 200 - METRICS_PER_ADDRESS);
        let rest = METRICS_CONNECTIONS - METRICS_PER_ADDRESS - 1;
        let mut others: Vec<_> = (3..).take(rest).map(|one| places.admit(v4(one))).collect();
        assert_eq!(evicted(&mut others), 0);
        // The address with the most connections makes room for one more.
        let mut last = places.admit(v4(900));
        assert_eq!((evicted(&mut flood), evicted(&mut others)), (1, 0));
        assert!(!is_evicted(&mut scraper) && !is_evicted(&mut last));
        drop((scraper, flood, others, last));
        assert!(places.lock().open.is_empty());
    }

    #[test]
    fn who_has_sent_no_request_goes_first() {
        let places = Arc::<Places>::default();
        let mut asked = places.admit(v4(1));
        asked.0.gets_health();
        let mut silent: Vec<_> = (0..100).map(|_| places.admit(v4(1))).collect();
        assert!(!is_evicted(&mut asked));
        assert_eq!(evicted(&mut silent), 101 - METRICS_PER_ADDRESS);
    }

    #[test]
    fn slow_readers_of_metrics_leave_places_for_health() {
        let places = Arc::<Places>::default();
        let reads_slowly = |number| {
            let admitted = places.admit(v4(number));
            admitted.0.gets_metrics();
            admitted
        };
        let mut slow: Vec<_> = (0..300).map(reads_slowly).collect();
        assert_eq!(evicted(&mut slow), 300 - METRICS_PAGES);
        let free = METRICS_CONNECTIONS - METRICS_PAGES;
        let mut health: Vec<_> = (500..)
            .take(free)
            .map(|one| places.admit(v4(one)))
            .collect();
        for (place, _) in &health {
            place.gets_health();
        }
        assert_eq!((evicted(&mut slow), evicted(&mut health)), (0, 0));
    }
}
