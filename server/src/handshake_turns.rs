//! Who may do the cryptography of a handshake.
//!
//! A step of a handshake takes up to a few hundred microseconds with an ECDSA key and a millisecond
//! with an RSA key, a verification takes a few. If thousands of clients connect at once, their
//! handshakes must not run one after the other while verifications wait.
//!
//! Guarantee: between two steps of handshakes the core takes what the kernel has for it, and runs
//! every task that is ready.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use monoio::net::UnixStream;

use crate::deadlines::Slot;

/// The turns of one core.
pub(crate) struct Turns {
    is_taken: Cell<bool>,
    /// In the order in which they came. Each waits for its client as well, so there are no more
    /// than connections.
    queue: RefCell<VecDeque<Rc<Waiting>>>,
    /// Always writable. A wait for that passes through the kernel, and so does everything that the
    /// kernel has for the core.
    kernel: UnixStream,
    _other_end: UnixStream,
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
        let (kernel, other_end) = UnixStream::pair()?;
        Ok(Self {
            is_taken: Cell::new(false),
            queue: RefCell::default(),
            kernel,
            _other_end: other_end,
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
        // An error of the poll would only mean that there was no pause.
        let _ = self.kernel.writable(true).await;
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
