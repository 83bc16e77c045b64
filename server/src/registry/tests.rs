use super::*;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

fn registry() -> Rc<Registry> {
    Rc::new(Registry::new(0, TrustedProxies::default()))
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

#[test]
fn an_overdue_reader_sees_the_end_and_is_counted_once() {
    let (mut socket, _peer) = pair();
    let registry = registry();
    let timeouts = Timeouts::default();
    let slot = registry.register(
        socket.as_raw_fd(),
        Arrival::default(),
        Phase::Head,
        CoarseMillis(0),
        CoarseMillis(100),
    );
    registry.tick(CoarseMillis(99), Pressure::None, &timeouts);
    assert!(!slot.is_read_closed());
    registry.tick(CoarseMillis(100), Pressure::None, &timeouts);
    registry.tick(CoarseMillis(101), Pressure::None, &timeouts);
    assert!(slot.is_read_closed() && !slot.is_cut());
    assert_eq!((timeouts.head.get(), timeouts.idle.get()), (1, 0));
    assert_eq!(socket.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_drain_ends_the_idle_and_a_cut_ends_all() {
    let sockets = [pair(), pair(), pair()];
    let registry = registry();
    let timeouts = Timeouts::default();
    let phases = [Phase::Idle, Phase::Wait, Phase::Write];
    let slots: Vec<_> = sockets
        .iter()
        .zip(phases)
        .map(|((socket, _), phase)| {
            registry.register(
                socket.as_raw_fd(),
                Arrival::default(),
                phase,
                CoarseMillis(0),
                CoarseMillis::NEVER,
            )
        })
        .collect();
    registry.tick(CoarseMillis(1), Pressure::Drain, &timeouts);
    assert_eq!(
        slots
            .iter()
            .map(|slot| slot.is_read_closed())
            .collect::<Vec<_>>(),
        [true, false, false]
    );
    assert!(slots.iter().all(|slot| !slot.is_cut()));
    registry.tick(CoarseMillis(2), Pressure::Cut, &timeouts);
    assert!(slots.iter().all(|slot| slot.is_cut()));
    assert_eq!(timeouts.idle.get(), 0, "a drain is not a timeout");
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn who_waits_for_another_thread_is_woken_by_every_tick() {
    let (socket, _peer) = pair();
    let registry = registry();
    let slot = registry.register(
        socket.as_raw_fd(),
        Arrival::default(),
        Phase::Wait,
        CoarseMillis(0),
        CoarseMillis::NEVER,
    );
    let wakes = Arc::new(Wakes::default());
    let tick = || {
        registry.tick(CoarseMillis(1), Pressure::None, &Timeouts::default());
        wakes.0.load(Ordering::Relaxed)
    };
    assert_eq!(tick(), 0);
    slot.set_waker(&Arc::clone(&wakes).into());
    assert_eq!((tick(), tick()), (1, 2));
    slot.clear_waker();
    assert_eq!(tick(), 2);
}

#[test]
fn places_are_given_up_in_any_order() {
    let (socket, _peer) = pair();
    let registry = registry();
    let register = || {
        registry.register(
            socket.as_raw_fd(),
            Arrival::default(),
            Phase::Idle,
            CoarseMillis(0),
            CoarseMillis::NEVER,
        )
    };
    let mut places: Vec<_> = std::iter::repeat_with(register).take(4).collect();
    for at in [1, 2, 0] {
        drop(places.swap_remove(at));
        places.push(register());
        assert_eq!(registry.len(), 4);
    }
    for left in (0..4).rev() {
        drop(places.swap_remove(left / 2));
        assert_eq!(registry.len(), left);
    }
    let last = register();
    registry.tick(CoarseMillis(1), Pressure::Drain, &Timeouts::default());
    assert!(last.is_read_closed());
    drop(last);
    assert_eq!(registry.len(), 0);
}

#[test]
fn who_hangs_up_while_it_waits_is_cut_after_a_while() {
    let (socket, peer) = pair();
    let registry = registry();
    let slot = registry.register(
        socket.as_raw_fd(),
        Arrival::default(),
        Phase::Wait,
        CoarseMillis(0),
        CoarseMillis::NEVER,
    );
    let tick = |ms| {
        registry.tick(CoarseMillis(ms), Pressure::None, &Timeouts::default());
        slot.is_cut()
    };
    assert!(!tick(1) && !tick(1_000_000));
    drop(peer);
    let patience = u64::try_from(limits::HUNG_UP.as_millis()).unwrap();
    assert!(!tick(2_000_000) && !tick(1_999_999 + patience));
    assert!(tick(2_000_000 + patience));
}

/// Registers connections from these addresses; the oldest first.
fn opened(registry: &Rc<Registry>, socket: &TcpStream, peers: &[&str]) -> Vec<Registered> {
    let arrivals = peers.iter().enumerate();
    arrivals
        .map(|(at, peer)| {
            let arrival = Arrival {
                peer: peer.parse().ok(),
                ..Arrival::default()
            };
            let now = CoarseMillis(at as u64);
            let fd = socket.as_raw_fd();
            registry.register(fd, arrival, Phase::Idle, now, CoarseMillis::NEVER)
        })
        .collect()
}

fn cut(slots: &[Registered]) -> Vec<usize> {
    let cut = slots.iter().enumerate().filter(|(_, slot)| slot.is_cut());
    cut.map(|(at, _)| at).collect()
}

#[test]
fn the_address_that_has_most_loses_first() {
    let (socket, _peer) = pair();
    let (greedy, modest) = ("192.0.2.1", "192.0.2.2");
    let now = CoarseMillis(1_000_000);
    let registry = registry();
    let slots = opened(
        &registry,
        &socket,
        &[modest, greedy, greedy, modest, greedy, greedy],
    );
    // The greedy one has 4, then 3, and then as many as the other: now the oldest of all goes.
    assert_eq!(registry.make_places(2, now), 2);
    assert_eq!(cut(&slots), [1, 2]);
    assert_eq!(registry.make_places(3, now), 3);
    assert_eq!(cut(&slots).len(), 5);

    // Connections that had an answer end in this order too, one at a time.
    let registry = self::registry();
    let slots = opened(&registry, &socket, &[modest, greedy, greedy]);
    for slot in &slots {
        slot.set_proven();
    }
    assert_eq!(registry.make_places(9, now), 1);
    let closed: Vec<bool> = slots.iter().map(|slot| slot.is_read_closed()).collect();
    assert_eq!(closed, [false, true, false]);
}

#[test]
fn who_came_a_little_earlier_does_not_pay_for_the_one_that_has_most() {
    let (socket, _peer) = pair();
    let registry = registry();
    // They came within 3 ms.
    let peers = ["192.0.2.2", "192.0.2.1", "192.0.2.1", "192.0.2.1"];
    let slots = opened(&registry, &socket, &peers);
    let patience = u64::try_from(limits::STRANGER.as_millis()).unwrap();
    assert_eq!(registry.make_places(1, CoarseMillis(patience)), 0);
    assert_eq!(registry.make_places(1, CoarseMillis(patience + 1)), 1);
    assert_eq!(cut(&slots), [1]);
    // A body that makes progress keeps nobody from giving way.
    for slot in &slots[2..] {
        slot.enter(Phase::Body, CoarseMillis(patience), CoarseMillis::NEVER);
    }
    assert_eq!(registry.make_places(1, CoarseMillis(patience + 2)), 1);
    assert_eq!(cut(&slots), [0, 1]);
}

#[test]
fn networks_count_as_one_address_and_proxies_as_many() {
    let (socket, _peer) = pair();
    let now = CoarseMillis(1_000_000);
    let one = ["192.0.2.1", "2001:db8::1", "2001:db8::2"];
    let registry = registry();
    let slots = opened(&registry, &socket, &one);
    assert_eq!(registry.make_places(1, now), 1);
    assert_eq!(cut(&slots), [1]);

    let proxies = TrustedProxies::parse(&["10.0.0.1".to_owned()]);
    let registry = Rc::new(Registry::new(0, proxies));
    let peers = ["192.0.2.1", "192.0.2.1", "10.0.0.1", "10.0.0.1", "10.0.0.1"];
    let slots = opened(&registry, &socket, &peers);
    assert_eq!(registry.make_places(1, now), 1);
    assert_eq!(cut(&slots), [0]);
}

#[test]
fn reserved_places_are_apart() {
    let (socket, _peer) = pair();
    let registry = registry();
    let register = |place, now| {
        let arrival = Arrival {
            place,
            ..Arrival::default()
        };
        let fd = socket.as_raw_fd();
        registry.register(
            fd,
            arrival,
            Phase::Idle,
            CoarseMillis(now),
            CoarseMillis::NEVER,
        )
    };
    let regular = register(Place::Regular, 0);
    let reserved = [register(Place::Reserved, 0), register(Place::Reserved, 1)];
    assert_eq!((registry.regular(), registry.reserved()), (1, 2));
    let tick = u64::try_from(limits::TICK.as_millis()).unwrap();
    assert!(!registry.make_reserved_place(CoarseMillis(tick - 1)));
    assert!(registry.make_reserved_place(CoarseMillis(tick)));
    assert!(reserved[0].is_cut() && !reserved[1].is_cut() && !regular.is_cut());
    let [first, second] = reserved;
    drop(first);
    second.leave_reserve();
    assert_eq!((registry.regular(), registry.reserved()), (2, 0));
    drop(second);
    assert_eq!((registry.regular(), registry.reserved()), (1, 0));
}
