//! One worker: its runtime, its state, and the tick that keeps its connections in time.
//!
//! Guarantees: everything here belongs to one thread, except the shutdown order and the metrics, which are atomics; a
//! worker ends only after its connections have, or a moment after the deadline of a drain.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use talos_api::control::ControlPlane;
use talos_api::fleet::Fleet;
use talos_api::route::Surface;
use talos_engine::Engine;
use talos_engine::clock;

use crate::cors::CrossOrigin;
use crate::deadlines::{CoarseMillis, Pressure, Registry};
use crate::limits;
use crate::listener::Listener;
use crate::metrics::CoreMetrics;
use crate::options::{ClientIpSource, Deadlines};
use crate::position::Preludes;
use crate::response::{RequestIds, date};

/// What all workers and the handles of a server share.
pub(crate) struct Shared {
    /// Answers verifications.
    pub engine: Arc<Engine>,
    /// The node's place among others.
    pub fleet: Arc<dyn Fleet>,
    /// Answers everything that is not hot.
    pub control: Arc<dyn ControlPlane>,
    /// How long connections may take.
    pub deadlines: Deadlines,
    /// Connections of one worker.
    pub connections_per_worker: usize,
    /// Large bodies of one worker, in bytes.
    pub large_bodies_bytes: usize,
    /// Whether requests to the health routes are logged.
    pub log_health_requests: bool,
    /// Where the client's address comes from.
    pub client_ip_source: ClientIpSource,
    /// Which routes there are.
    pub surface: Surface,
    /// What pages of other origins may read; `None` = nothing.
    pub cors: Option<CrossOrigin>,
    /// The order to stop.
    pub shutdown: ShutdownOrder,
}

/// Whether to stop, and by when. Orders only ever get stricter.
pub(crate) struct ShutdownOrder {
    start: Instant,
    /// Milliseconds after `start` at which everything is cut; the greatest value means no drain.
    cut_at: AtomicU64,
}

impl ShutdownOrder {
    /// No order yet.
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            cut_at: AtomicU64::new(u64::MAX),
        }
    }

    /// Drain from now on, and cut what is left after `within`.
    pub(crate) fn drain(&self, within: Duration) {
        let cut_at = self.now().plus(within).0.min(u64::MAX - 1);
        self.cut_at.fetch_min(cut_at, Ordering::Relaxed);
    }

    /// The time by this order's clock.
    fn now(&self) -> CoarseMillis {
        CoarseMillis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// When to cut; `None` without an order.
    fn cut_at(&self) -> Option<CoarseMillis> {
        Some(self.cut_at.load(Ordering::Relaxed))
            .filter(|at| *at != u64::MAX)
            .map(CoarseMillis)
    }
}

/// The state of one worker.
pub(crate) struct Core {
    /// What the workers share.
    pub shared: Arc<Shared>,
    /// What this worker counts.
    pub metrics: Arc<CoreMetrics>,
    /// What answers begin with; held only while it is copied.
    pub preludes: RefCell<Preludes>,
    /// Makes request ids.
    pub request_ids: RequestIds,
    /// The open connections.
    pub connections: Rc<Registry>,
    /// The second that answers show.
    second: Cell<i64>,
    now: Cell<CoarseMillis>,
    draining: Cell<bool>,
    /// Accept loops that have not ended.
    accepting: Cell<usize>,
    large_bodies: Cell<usize>,
}

/// Memory that a connection may use for a large body, given back on drop.
pub(crate) struct BodyClaim {
    core: Rc<Core>,
    bytes: usize,
}

impl Drop for BodyClaim {
    fn drop(&mut self) {
        let left = self.core.large_bodies.get().saturating_sub(self.bytes);
        self.core.large_bodies.set(left);
    }
}

impl Core {
    /// The state of a worker that counts in `metrics`.
    pub(crate) fn new(shared: Arc<Shared>, metrics: Arc<CoreMetrics>) -> Self {
        let second = clock::now().seconds();
        Self {
            metrics,
            preludes: RefCell::new(Preludes::new(date(second))),
            request_ids: RequestIds::new(),
            connections: Rc::default(),
            second: Cell::new(second),
            now: Cell::new(shared.shutdown.now()),
            draining: Cell::new(false),
            accepting: Cell::new(0),
            large_bodies: Cell::new(0),
            shared,
        }
    }

    /// The time as of the last tick, for deadlines.
    pub(crate) fn now(&self) -> CoarseMillis {
        self.now.get()
    }

    /// Whether the server is told to stop: no new connections, and every answer is its connection's last.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Whether no more connections are accepted for the moment.
    pub(crate) fn is_full(&self) -> bool {
        self.connections.len() >= self.shared.connections_per_worker
    }

    /// Sets memory aside for a body of `bytes`, unless the bodies of other connections leave too little. A small body
    /// fits the buffer that every connection may keep anyway, and takes nothing.
    pub(crate) fn claim_body(self: &Rc<Self>, bytes: usize) -> Option<BodyClaim> {
        let bytes = if bytes > limits::BUFFER_KEPT_BYTES {
            bytes
        } else {
            0
        };
        let claimed = self.large_bodies.get().saturating_add(bytes);
        (claimed <= self.shared.large_bodies_bytes).then(|| {
            self.large_bodies.set(claimed);
            BodyClaim {
                core: Rc::clone(self),
                bytes,
            }
        })
    }

    /// An accept loop has ended.
    pub(crate) fn accepting_ended(&self) {
        self.accepting.set(self.accepting.get().saturating_sub(1));
    }

    /// Looks at the clock, the order to stop and all connections.
    fn tick(&self, listeners: &[Rc<Listener>]) {
        let order = &self.shared.shutdown;
        let now = order.now();
        self.now.set(now);
        let second = clock::now().seconds();
        if self.second.replace(second) != second {
            self.preludes.borrow_mut().set_date(date(second));
        }
        let cut_at = order.cut_at();
        if cut_at.is_some() && !self.draining.replace(true) {
            for listener in listeners {
                listener.shut_down();
            }
        }
        let pressure = match cut_at {
            Some(cut_at) if now >= cut_at => Pressure::Cut,
            Some(_) => Pressure::Drain,
            None => Pressure::None,
        };
        self.connections.tick(now, pressure, &self.metrics.timeouts);
        self.metrics
            .connections_open
            .set(self.connections.len() as u64);
    }

    /// Whether there is nothing left to wait for.
    fn is_finished(&self) -> bool {
        if !self.is_draining() {
            return false;
        }
        if self.connections.len() == 0 && self.accepting.get() == 0 {
            return true;
        }
        let overdue = self
            .shared
            .shutdown
            .cut_at()
            .is_some_and(|at| self.now() >= at.plus(limits::CUT_GRACE));
        if overdue {
            tracing::error!(
                connections = self.connections.len(),
                "connections did not end when they were cut"
            );
        }
        overdue
    }
}

/// Serves `listeners` until the server is told to stop and the connections have ended.
pub(crate) async fn serve(core: Rc<Core>, listeners: Vec<Rc<Listener>>) {
    core.accepting.set(listeners.len());
    for listener in &listeners {
        monoio::spawn(Rc::clone(listener).accept_all(Rc::clone(&core)));
    }
    while !core.is_finished() {
        monoio::time::sleep(limits::TICK).await;
        core.tick(&listeners);
    }
}
