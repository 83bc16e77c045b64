use super::*;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

#[test]
fn an_overdue_reader_sees_the_end_and_is_counted_once() {
    let (mut socket, _peer) = pair();
    let registry = Rc::new(Registry::new(0));
    let timeouts = Timeouts::default();
    let slot = registry.register(
        socket.as_raw_fd(),
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
    let registry = Rc::new(Registry::new(0));
    let timeouts = Timeouts::default();
    let phases = [Phase::Idle, Phase::Wait, Phase::Write];
    let slots: Vec<_> = sockets
        .iter()
        .zip(phases)
        .map(|((socket, _), phase)| {
            registry.register(
                socket.as_raw_fd(),
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
    let registry = Rc::new(Registry::new(0));
    let slot = registry.register(
        socket.as_raw_fd(),
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
    let registry = Rc::new(Registry::new(0));
    let register = || {
        registry.register(
            socket.as_raw_fd(),
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
    let registry = Rc::new(Registry::new(0));
    let slot = registry.register(
        socket.as_raw_fd(),
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
