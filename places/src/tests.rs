use super::*;

const BOUNDS: Bounds = Bounds {
    all: 64,
    per_address: 16,
};
type Admitted = (Place<u8>, Evicted);

fn places() -> Arc<Places<u8>> {
    Arc::new(Places::new(BOUNDS))
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
