use super::*;

const BOUNDS: Bounds = Bounds {
    all: 64,
    per_address: 16,
    eviction: Eviction::BusiestAddress,
};
type Admitted = (Place<u8>, Evicted);

fn places() -> Arc<Places<u8>> {
    Arc::new(Places::new(BOUNDS))
}

fn new_first() -> Arc<Places<u8>> {
    Arc::new(Places::new(Bounds {
        per_address: BOUNDS.all,
        eviction: Eviction::NewFirst { new_kept: 8 },
        ..BOUNDS
    }))
}

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
    let places = places();
    let mut first = places.admit(v4(1));
    let mut flood: Vec<_> = (0..200).map(|_| places.admit(v4(2))).collect();
    assert_eq!(evicted(&mut flood), 200 - BOUNDS.per_address);
    let rest = BOUNDS.all - BOUNDS.per_address - 1;
    let mut others: Vec<_> = (3..).take(rest).map(|one| places.admit(v4(one))).collect();
    assert_eq!(evicted(&mut others), 0);
    // The address with the most connections makes room for one more.
    let mut last = places.admit(v4(900));
    assert_eq!((evicted(&mut flood), evicted(&mut others)), (1, 0));
    assert!(!is_evicted(&mut first) && !is_evicted(&mut last));
    drop((first, flood, others, last));
    assert_eq!(places.taken(), 0);
}

#[test]
fn of_one_address_the_lowest_rank_goes_first_and_then_the_oldest() {
    let places = places();
    let mut proven = places.admit(v4(1));
    proven.0.enter(1);
    let mut silent: Vec<_> = (0..100).map(|_| places.admit(v4(1))).collect();
    assert!(!is_evicted(&mut proven));
    assert!(is_evicted(&mut silent[0]) && !is_evicted(&mut silent[99]));
}

#[test]
fn a_bounded_rank_leaves_places_for_others() {
    let places = places();
    let slow = |number| {
        let admitted = places.admit(v4(number));
        admitted.0.enter_bounded(1, 48);
        admitted
    };
    let mut slow: Vec<_> = (0..300).map(slow).collect();
    assert_eq!(evicted(&mut slow), 300 - 48);
    // Entering the rank again evicts nobody.
    slow[299].0.enter_bounded(1, 48);
    let mut others: Vec<_> = (500..).take(16).map(|one| places.admit(v4(one))).collect();
    assert_eq!((evicted(&mut slow), evicted(&mut others)), (0, 0));
}

#[test]
fn a_network_of_addresses_is_one_client() {
    let places = places();
    let address = |text: &str| -> IpAddr { text.parse().unwrap() };
    let all: Vec<_> = (0..100)
        .map(|host| places.admit(address(&format!("2001:db8::{host:x}"))))
        .collect();
    assert_eq!(places.taken(), BOUNDS.per_address);
    assert_eq!(client_network(address("::ffff:10.0.0.1")), v4(1));
    drop(all);
}

#[test]
fn silent_connections_do_not_evict_proven_ones_of_a_busier_address() {
    let places = new_first();
    let prove = |(place, evicted): Admitted| {
        place.enter(1);
        (place, evicted)
    };
    let mut gateway: Vec<_> = (0..50).map(|_| prove(places.admit(v4(1)))).collect();
    let mut silent: Vec<_> = (0..900).map(|one| places.admit(v4(2 + one % 9))).collect();
    assert_eq!((evicted(&mut gateway), places.taken()), (0, BOUNDS.all));
    assert_eq!(evicted(&mut silent), 900 - (BOUNDS.all - 50));
}

#[test]
fn new_connections_keep_places_whatever_proven_ones_take() {
    let places = new_first();
    let prove = |one| {
        let admitted = places.admit(v4(one));
        admitted.0.enter(1);
        admitted
    };
    let mut proven: Vec<_> = (0..400).map(prove).collect();
    assert_eq!(evicted(&mut proven), 400 - BOUNDS.all);
    // A new connection outlives eight newer ones, although all others are proven.
    let mut new = places.admit(v4(1000));
    let mut newer: Vec<_> = (1001..1009).map(|one| places.admit(v4(one))).collect();
    assert!(!is_evicted(&mut new) && evicted(&mut newer) == 0);
    assert_eq!(evicted(&mut proven), 9);
    let _one_more = places.admit(v4(1009));
    assert!(is_evicted(&mut new));
}

#[test]
fn a_bounded_rank_is_shared_fairly() {
    let places = new_first();
    let slow = |address| {
        let admitted = places.admit(v4(address));
        admitted.0.enter_bounded(1, 4);
        admitted
    };
    let mut first = slow(1);
    let mut many: Vec<_> = (0..20).map(|_| slow(2)).collect();
    assert_eq!((is_evicted(&mut first), evicted(&mut many)), (false, 17));
}

/// The indices agree with a plain list, whatever happens in whatever order.
#[test]
fn the_indices_agree_with_a_list() {
    let places = new_first();
    let mut open: Vec<(usize, Admitted)> = Vec::new();
    let mut random = 1_u64;
    let mut next = |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(random >> 33).unwrap() % below
    };
    for _ in 0..20_000 {
        match next(4) {
            0 if !open.is_empty() => drop(open.swap_remove(next(open.len()))),
            1 if !open.is_empty() => {
                let rank = u8::try_from(next(3)).unwrap();
                open[next(open.len())].1.0.enter(rank);
            }
            2 if !open.is_empty() => open[next(open.len())].1.0.enter_bounded(2, 5),
            _ => {
                let address = next(12);
                open.push((address, places.admit(v4(address))));
            }
        }
        open.retain_mut(|(_, admitted)| !is_evicted(admitted));
        let state = places.lock();
        assert_eq!(
            (state.open.len(), state.all.len()),
            (open.len(), open.len())
        );
        assert!(open.len() <= BOUNDS.all);
        for address in 0..12 {
            let expected = open.iter().filter(|(one, _)| *one == address).count();
            assert_eq!(state.all.count(v4(address)), expected);
        }
        let ranks = state.ranks.values().map(ByAddress::len);
        assert_eq!(ranks.sum::<usize>(), open.len());
        let proven = state.open.values().filter(|one| one.rank != 0).count();
        assert_eq!(state.proven.len(), proven);
        let busiest = state.all.lowest_of_busiest();
        let most = (0..12).map(|one| state.all.count(v4(one))).max();
        let found = busiest.and_then(|(_, number)| state.open.get(&number));
        assert_eq!(
            found.map(|one| state.all.count(one.address)),
            most.filter(|_| found.is_some())
        );
    }
}
