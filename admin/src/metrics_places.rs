//! The places of the metrics listener's connections. Pages of metrics, which a client can read
//! slowly, never take all of them: the rest is for health checks.

use std::sync::Arc;

use talos_places::{Bounds, Eviction};

use crate::limits::{METRICS_CONNECTIONS, METRICS_PAGES, METRICS_PER_ADDRESS};

/// What a connection has shown itself to be. Those that come first are evicted first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It has sent no request.
    #[default]
    Silent,
    /// It has asked for the page of metrics.
    Metrics,
    /// It has asked for something short.
    Health,
}

/// The open connections.
pub(crate) type Places = talos_places::Places<Stage>;
/// The place of a connection.
pub(crate) type Place = talos_places::Place<Stage>;

/// Places, all of them free.
pub(crate) fn places() -> Arc<Places> {
    Arc::new(Places::new(Bounds {
        all: METRICS_CONNECTIONS,
        per_address: METRICS_PER_ADDRESS,
        eviction: Eviction::BusiestAddress,
    }))
}

/// The client has asked for the page of metrics.
pub(crate) fn gets_metrics(place: &Place) {
    place.enter_bounded(Stage::Metrics, METRICS_PAGES);
}

/// The client has asked for something short.
pub(crate) fn gets_health(place: &Place) {
    place.enter(Stage::Health);
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn slow_readers_of_metrics_leave_places_for_health() {
        let places = places();
        let v4 = |last: u16| -> IpAddr {
            let [high, low] = last.to_be_bytes();
            [10, 0, high, low].into()
        };
        let mut slow: Vec<_> = (0..300).map(|one| places.admit(v4(one))).collect();
        for (place, _) in &slow {
            gets_metrics(place);
        }
        let free = METRICS_CONNECTIONS - METRICS_PAGES;
        let mut health: Vec<_> = (500..)
            .take(free)
            .map(|one| places.admit(v4(one)))
            .collect();
        for (place, _) in &health {
            gets_health(place);
        }
        let mut stay = slow
            .iter_mut()
            .filter_map(|(_, evicted)| evicted.try_recv().err());
        assert_eq!(stay.by_ref().count(), METRICS_PAGES);
        assert!(
            health
                .iter_mut()
                .all(|(_, evicted)| evicted.try_recv().is_err())
        );
    }
}
