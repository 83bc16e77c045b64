//! The state of one worker, and what all workers share.
//!
//! A [`Core`] belongs to one thread. Only the shutdown order and the metrics are read or written by
//! other threads; both are atomics.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use talos_api::audit::AuditLog;
use talos_api::control::ControlPlane;
use talos_api::fleet::{Fleet, ForwardingKeys};
use talos_engine::Engine;
use talos_model::clock;

use crate::date::date;
use crate::deadlines::{CoarseMillis, Pressure};
use crate::failure_quota::FailureQuota;
use crate::handshake_turns::Turns;
use crate::head_cache::HeadCache;
use crate::limits;
use crate::live::{self, LiveOptions};
use crate::metrics::CoreMetrics;
use crate::options::Tenancy;
use crate::registry::Registry;
use crate::request_id::RequestIds;

/// State that all workers and the handles of a server share.
pub(crate) struct Shared {
    /// Answers verifications.
    pub engine: Arc<Engine>,
    /// The node's membership in a cluster.
    pub fleet: Arc<dyn Fleet>,
    /// Answers every request that is not hot.
    pub control: Arc<dyn ControlPlane>,
    /// The options that may change.
    pub live: live::Current,
    /// How requests are divided among tenants.
    pub tenancy: Tenancy,
    /// The keys by which other nodes vouch for the clients whose requests they forward; `None` on a
    /// server without other nodes.
    pub forwarding_keys: Option<ForwardingKeys>,
    /// Where refused requests and failed verifications are noted; `None` = nowhere.
    pub audit: Option<Arc<dyn AuditLog>>,
    /// Counts the lines of the log for credentials that were refused.
    pub failure_quota: FailureQuota,
    /// The order to stop.
    pub shutdown: ShutdownOrder,
}

/// Whether to stop, and by when. A later order can only shorten the time.
pub(crate) struct ShutdownOrder {
    start: Instant,
    /// Milliseconds after `start` at which all connections are cut; `u64::MAX` = no order yet.
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

    /// Starts to drain, and cuts the connections that are left after `within`.
    pub(crate) fn drain(&self, within: Duration) {
        let cut_at = self.now().plus(within).0.min(u64::MAX - 1);
        self.cut_at.fetch_min(cut_at, Ordering::Relaxed);
    }

    /// The time since the server started.
    fn now(&self) -> CoarseMillis {
        CoarseMillis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// When to cut all connections; `None` without an order.
    fn cut_at(&self) -> Option<CoarseMillis> {
        Some(self.cut_at.load(Ordering::Relaxed))
            .filter(|at| *at != u64::MAX)
            .map(CoarseMillis)
    }
}

/// The state of one worker.
pub(crate) struct Core {
    /// State that the workers share.
    pub shared: Arc<Shared>,
    /// The options that may change, as this worker last looked.
    live: RefCell<Rc<LiveOptions>>,
    live_version: Cell<u64>,
    /// This worker's counters.
    pub metrics: Arc<CoreMetrics>,
    /// The bytes that answers begin with. Borrowed only while they are copied.
    pub heads: RefCell<HeadCache>,
    /// Makes request ids.
    pub request_ids: RequestIds,
    /// The order in which connections do the cryptography of their handshakes.
    pub handshakes: Turns,
    /// The open connections.
    pub connections: Rc<Registry>,
    /// The second that the `Date` field shows.
    second: Cell<i64>,
    now: Cell<CoarseMillis>,
    draining: Cell<bool>,
    /// Accept loops that have not ended.
    accept_loops: Cell<usize>,
}

impl Core {
    /// The state of a worker that counts in `metrics`. Made on the worker's own runtime.
    ///
    /// # Errors
    /// The error of the system when it has no descriptors.
    pub(crate) fn new(shared: Arc<Shared>, metrics: Arc<CoreMetrics>) -> io::Result<Self> {
        let second = clock::now().seconds();
        let live_version = shared.live.version();
        let live = shared.live.get();
        Ok(Self {
            metrics,
            heads: RefCell::new(HeadCache::new(date(second))),
            request_ids: RequestIds::new(),
            connections: Rc::new(Registry::new(
                live.memory_bytes,
                live.trusted_proxies.clone(),
            )),
            second: Cell::new(second),
            now: Cell::new(shared.shutdown.now()),
            draining: Cell::new(false),
            accept_loops: Cell::new(0),
            handshakes: Turns::new()?,
            live: RefCell::new(Rc::new(live)),
            live_version: Cell::new(live_version),
            shared,
        })
    }

    /// The options that may change. They stay as they are while the result is kept.
    #[inline]
    pub(crate) fn live(&self) -> Rc<LiveOptions> {
        Rc::clone(&self.live.borrow())
    }

    /// Takes over options that have changed.
    pub(crate) fn follow_options(&self) {
        let version = self.shared.live.version();
        if self.live_version.replace(version) == version {
            return;
        }
        let live = self.shared.live.get();
        self.connections.set_memory(live.memory_bytes);
        self.connections.set_proxies(live.trusted_proxies.clone());
        *self.live.borrow_mut() = Rc::new(live);
    }

    /// The time of the last tick, for deadlines.
    pub(crate) fn now(&self) -> CoarseMillis {
        self.now.get()
    }

    /// Whether the server is told to stop. The worker then accepts no connection, and every answer
    /// is the last one of its connection.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Whether the worker has as many connections as it may have.
    pub(crate) fn is_full(&self) -> bool {
        self.connections.regular() >= self.live().connections_per_worker
    }

    /// Whether `peer` may have another connection.
    pub(crate) fn admits(&self, peer: Option<IpAddr>) -> bool {
        self.connections.opened_by(peer) < self.live().connections_per_address
    }

    /// Whether a connection that asks for the server's health may be accepted beyond the bound.
    /// Otherwise ends one that has asked nothing.
    pub(crate) fn has_reserved_place(&self) -> bool {
        if self.connections.reserved() < self.live().health_connections {
            return true;
        }
        if self.connections.make_reserved_place(self.now()) {
            self.metrics.connections_displaced.increment();
        }
        false
    }

    /// Ends some connections that wait for their clients, because new ones have no place. Returns
    /// false when there are none.
    pub(crate) fn make_places(&self) -> bool {
        let most = self.live().connections_per_worker / limits::PLACES_SHARE + 1;
        let ended = self.connections.make_places(most, self.now());
        for _ in 0..ended {
            self.metrics.connections_displaced.increment();
        }
        ended > 0
    }

    /// Sets how many accept loops run. [`Self::is_finished`] waits for them.
    pub(crate) fn set_accept_loops(&self, count: usize) {
        self.accept_loops.set(count);
    }

    /// Notes that an accept loop has ended.
    pub(crate) fn accept_loop_ended(&self) {
        self.accept_loops
            .set(self.accept_loops.get().saturating_sub(1));
    }

    /// Reads the clocks, and changes the date of answers when a second has passed.
    pub(crate) fn update_clocks(&self) {
        self.now.set(self.shared.shutdown.now());
        let second = clock::now().seconds();
        if self.second.replace(second) != second {
            self.heads.borrow_mut().set_date(date(second));
        }
    }

    /// Looks for the order to stop. Returns `true` once: on the first call after the order was
    /// given.
    pub(crate) fn starts_draining(&self) -> bool {
        self.shared.shutdown.cut_at().is_some() && !self.draining.replace(true)
    }

    /// Ends the connections that are overdue, and those that a drain ends.
    pub(crate) fn tick_connections(&self) {
        let now = self.now();
        let cut_at = self.shared.shutdown.cut_at();
        let pressure = match cut_at.filter(|_| self.is_draining()) {
            Some(cut_at) if now >= cut_at => Pressure::Cut,
            Some(_) => Pressure::Drain,
            None => Pressure::None,
        };
        self.connections.tick(now, pressure, &self.metrics.timeouts);
        self.metrics
            .connections_open
            .set(self.connections.len() as u64);
        self.metrics
            .memory_bytes
            .set(self.connections.memory().held() as u64);
    }

    /// Whether the worker may end: it drains, and its connections and accept loops have ended or
    /// are overdue.
    pub(crate) fn is_finished(&self) -> bool {
        if !self.is_draining() {
            return false;
        }
        if self.connections.len() == 0 && self.accept_loops.get() == 0 {
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
