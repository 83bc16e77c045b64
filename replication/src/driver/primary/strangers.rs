//! The places of connections that have not proven to be replicas. Anybody can open one, so they are
//! few, and none can keep a replica out: a replica's connection is evicted only by others from its
//! own address, or by as many addresses as there are places.

use std::sync::Arc;

use talos_places::{Bounds, Eviction, Place, Places};

use crate::limits::{HANDSHAKES, HANDSHAKES_PER_ADDRESS};

/// What an unproven connection has sent. Those that come first are evicted first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    /// Nothing that is valid.
    #[default]
    Silent,
    /// A valid greeting.
    Greeted,
}

/// The unproven connections of a primary.
pub(super) type Strangers = Places<Progress>;
/// The place of an unproven connection.
pub(super) type StrangerPlace = Place<Progress>;

/// Places, all of them free.
pub(super) fn strangers() -> Arc<Strangers> {
    Arc::new(Strangers::new(Bounds {
        all: HANDSHAKES,
        per_address: HANDSHAKES_PER_ADDRESS,
        eviction: Eviction::BusiestAddress,
    }))
}

/// The connection has sent a valid greeting.
pub(super) fn has_greeted(place: &StrangerPlace) {
    place.enter(Progress::Greeted);
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn is_evicted((_, evicted): &mut (StrangerPlace, talos_places::Evicted)) -> bool {
        evicted.try_recv().is_ok()
    }

    fn v4(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn one_address_cannot_take_the_places_of_others() {
        let strangers = strangers();
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
    fn a_replica_that_has_greeted_stays_longer() {
        let strangers = strangers();
        let mut replica = strangers.admit(v4(1));
        has_greeted(&replica.0);
        let mut silent: Vec<_> = (0..100).map(|_| strangers.admit(v4(1))).collect();
        assert!(!is_evicted(&mut replica));
        assert!(is_evicted(&mut silent[0]) && !is_evicted(&mut silent[99]));
    }

    #[test]
    fn the_address_with_the_most_loses_one_when_all_places_are_taken() {
        let strangers = strangers();
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
        assert_eq!(strangers.taken(), 2);
    }
}
