//! The order in which connections do the cryptography of their handshakes.
//!
//! A step of a handshake takes up to a few hundred microseconds with an ECDSA key and a millisecond
//! with an RSA key, a verification takes a few. If thousands of clients connect at once, their
//! handshakes must not run one after the other while verifications wait.
//!
//! Guarantee: between two steps of handshakes the core takes what the kernel has for it, and runs
//! every task that is ready.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, Write as _};
use std::os::unix::net;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use monoio::io::AsyncReadRent as _;
use monoio::net::UnixStream;

use crate::deadlines::Slot;

/// The turns of one core.
pub(crate) struct Turns {
    is_taken: Cell<bool>,
    /// In the order in which they came. Each waits for its client as well, so there are no more
    /// than connections.
    queue: RefCell<VecDeque<Rc<Waiting>>>,
    /// Taken by the one whose turn it is.
    pulse: Cell<Option<Pulse>>,
}

/// A byte that is sent to oneself. It comes with everything else that the kernel has for the core.
struct Pulse {
    reader: UnixStream,
    writer: net::UnixStream,
}

/// One that waits for its turn.
#[derive(Default)]
struct Waiting {
    is_next: Cell<bool>,
    has_left: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// The right to do one step. Passed on when it is dropped.
pub(crate) struct Turn<'t>(&'t Turns);

impl Turns {
    /// The turns of this thread's core.
    ///
    /// # Errors
    /// The error of the system when it has no descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            is_taken: Cell::new(false),
            queue: RefCell::default(),
            pulse: Cell::new(Some(Pulse::new()?)),
        })
    }

    /// Waits for a turn. `None` when the connection of `slot` is cut meanwhile.
    pub(crate) async fn take(&self, slot: &Slot) -> Option<Turn<'_>> {
        let turn = if self.is_taken.replace(true) {
            let waiting = Rc::new(Waiting::default());
            self.queue.borrow_mut().push_back(Rc::clone(&waiting));
            let place = Place {
                turns: self,
                waiting,
            };
            let is_mine = InQueue {
                slot,
                waiting: &place.waiting,
            }
            .await;
            slot.clear_waker();
            if !is_mine {
                return None;
            }
            place.into_turn()
        } else {
            Turn(self)
        };
        // One whose task ended took the pulse with it.
        let pulse = self.pulse.take().map_or_else(Pulse::new, Ok);
        if let Ok(mut pulse) = pulse {
            pulse.beat().await;
            self.pulse.set(Some(pulse));
        }
        Some(turn)
    }

    fn pass_on(&self) {
        let mut queue = self.queue.borrow_mut();
        while let Some(next) = queue.pop_front() {
            if next.has_left.get() {
                continue;
            }
            next.is_next.set(true);
            if let Some(waker) = next.waker.borrow_mut().take() {
                waker.wake();
            }
            return;
        }
        self.is_taken.set(false);
    }
}

impl Pulse {
    fn new() -> io::Result<Self> {
        let (reader, writer) = net::UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Self {
            reader: UnixStream::from_std(reader)?,
            writer,
        })
    }

    /// Waits until the core has taken what the kernel has for it.
    ///
    /// The read begins before the byte is there. Otherwise epoll's driver would not ask the kernel.
    async fn beat(&mut self) {
        let Self { reader, writer } = self;
        let mut read = pin!(reader.read(vec![0]));
        let at_once = poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await;
        // The buffer of a new socket pair has room for a byte.
        if at_once.is_pending() && writer.write(&[0]).is_ok() {
            let _ = read.await;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

/// A place in the queue. When it is dropped, the turn goes to those behind it.
struct Place<'t> {
    turns: &'t Turns,
    waiting: Rc<Waiting>,
}

impl<'t> Place<'t> {
    fn into_turn(self) -> Turn<'t> {
        self.waiting.is_next.set(false);
        Turn(self.turns)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.has_left.set(true);
        if self.waiting.is_next.get() {
            self.turns.pass_on();
        }
    }
}

/// Ready with `true` when it is the turn of `waiting`, with `false` when its connection is cut.
struct InQueue<'w> {
    slot: &'w Slot,
    waiting: &'w Waiting,
}

impl Future for InQueue<'_> {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        if self.slot.is_cut() {
            return Poll::Ready(false);
        }
        if self.waiting.is_next.get() {
            return Poll::Ready(true);
        }
        // The tick wakes the task through its slot, so that it sees a cut.
        self.slot.set_waker(context.waker());
        *self.waiting.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::time::Duration;

    use monoio::io::AsyncWriteRentExt as _;

    use super::*;
    use talos_config::TrustedProxies;

    use crate::deadlines::{CoarseMillis, Phase, Pressure};
    use crate::driver::WorkerRuntime;
    use crate::metrics::Timeouts;
    use crate::options::DriverChoice;
    use crate::registry::{Arrival, Registered, Registry};

    const HANDSHAKES: usize = 20;

    fn both_drivers(test: impl AsyncFn()) {
        for choice in [DriverChoice::IoUring, DriverChoice::Epoll] {
            let (mut runtime, _) = WorkerRuntime::build(choice).unwrap();
            runtime.block_on(test());
        }
    }

    /// The slot of a connection.
    struct Connected {
        slot: Registered,
        registry: Rc<Registry>,
        _socket: net::UnixStream,
    }

    fn connected() -> Connected {
        let (socket, _) = net::UnixStream::pair().unwrap();
        let registry = Rc::new(Registry::new(0, TrustedProxies::default()));
        let (start, never) = (CoarseMillis(0), CoarseMillis::NEVER);
        Connected {
            slot: registry.register(
                socket.as_raw_fd(),
                Arrival::default(),
                Phase::Handshake,
                start,
                never,
            ),
            registry,
            _socket: socket,
        }
    }

    #[test]
    fn between_two_steps_other_connections_are_served() {
        both_drivers(async || {
            let turns = Rc::new(Turns::new().unwrap());
            let order = Rc::new(RefCell::new(String::new()));
            let steps = (0..HANDSHAKES).map(|_| {
                let (turns, order) = (Rc::clone(&turns), Rc::clone(&order));
                monoio::spawn(async move {
                    let _turn = turns.take(&connected().slot).await;
                    order.borrow_mut().push('h');
                })
            });
            let steps: Vec<_> = steps.collect();
            // A byte that goes to and fro needs the kernel each time.
            let (near, far) = UnixStream::pair().unwrap();
            for (mut end, is_first) in [(near, true), (far, false)] {
                let order = Rc::clone(&order);
                monoio::spawn(async move {
                    if is_first {
                        end.write_all(vec![0]).await.0.unwrap();
                    }
                    while let (Ok(1), byte) = end.read(vec![0]).await {
                        order.borrow_mut().push('v');
                        end.write_all(byte).await.0.unwrap();
                    }
                });
            }
            for step in steps {
                step.await;
            }
            let order = order.borrow();
            let longest = order.split('v').map(str::len).max();
            assert!(longest <= Some(2), "{order}");
        });
    }

    #[test]
    fn one_that_leaves_or_is_cut_passes_its_turn_on() {
        both_drivers(async || {
            let turns = Rc::new(Turns::new().unwrap());
            let here = connected();
            let first = turns.take(&here.slot).await.unwrap();
            let spawn = |is_cut: bool| {
                let turns = Rc::clone(&turns);
                monoio::spawn(async move {
                    let own = connected();
                    if is_cut {
                        let timeouts = Timeouts::default();
                        own.registry.tick(CoarseMillis(0), Pressure::Cut, &timeouts);
                    }
                    turns.take(&own.slot).await.is_some()
                })
            };
            let cut = spawn(true);
            assert!(!cut.await);
            let waiting = spawn(false);
            // One whose task ends while it waits.
            let turns_of_lost = Rc::clone(&turns);
            let lost = async move {
                let own = connected();
                let mut take = std::pin::pin!(turns_of_lost.take(&own.slot));
                let once = std::future::poll_fn(|context| {
                    Poll::Ready(take.as_mut().poll(context).is_pending())
                });
                assert!(once.await);
            };
            lost.await;
            let last = spawn(false);
            monoio::time::sleep(Duration::from_millis(1)).await;
            drop(first);
            assert!(waiting.await && last.await);
            assert!(!turns.is_taken.get());
        });
    }
}
