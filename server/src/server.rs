//! Starts a server, tells it to drain, and waits for its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use talos_api::control::ControlPlane;
use talos_api::fleet::Fleet;
use talos_engine::Engine;

use crate::core::{Shared, ShutdownOrder};
use crate::driver::Driver;
use crate::error::ServerError;
use crate::failure_quota::FailureQuota;
use crate::limits;
use crate::live;
use crate::metrics::{CoreMetrics, ServerMetrics};
use crate::options::ServerOptions;
use crate::pinning::cores_for;
use crate::socket_file::SocketFile;
use crate::sockets::{Addresses, BoundListeners};
use crate::worker::Worker;

/// A running server.
pub struct Server {
    addresses: Addresses,
    driver: Driver,
    metrics: Arc<ServerMetrics>,
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Removed after the workers have ended.
    _socket_file: Option<SocketFile>,
}

/// Tells a server to stop. Can be cloned and sent to another thread.
#[derive(Clone)]
pub struct ServerHandle {
    shared: Arc<Shared>,
}

impl ServerHandle {
    /// Stops accepting, closes idle connections, lets running requests finish with `Connection:
    /// close`, and cuts the connections that are left after `within`. Returns at once. A second
    /// call can only shorten the time.
    pub fn drain(&self, within: Duration) {
        self.shared.shutdown.drain(within);
    }

    /// Takes over those of `options` that may change while the server runs. Each worker follows
    /// within [`limits::TICK`]. The listeners must be those that the server was started with; their
    /// addresses, surfaces and TLS do not change.
    pub fn reload(&self, options: &ServerOptions) {
        self.shared.live.replace(options);
    }
}

impl Server {
    /// Binds `options.address` once per worker and starts the workers. When this returns, the
    /// server accepts connections.
    ///
    /// # Errors
    /// [`ServerError`] when the address cannot be listened on, the requested driver does not work
    /// here, or a thread cannot be started. Then no worker is left running.
    pub fn bind(
        options: ServerOptions,
        engine: Arc<Engine>,
        fleet: Arc<dyn Fleet>,
        control: Arc<dyn ControlPlane>,
    ) -> Result<Self, ServerError> {
        let live = live::Current::new(&options);
        let ServerOptions {
            listeners,
            socket,
            workers: count,
            driver: choice,
            tenancy,
            forwarding_keys,
            audit,
            ..
        } = options;
        if !(1..=limits::WORKERS).contains(&count) {
            return Err(ServerError::Workers {
                asked: count,
                most: limits::WORKERS,
            });
        }
        let bound = BoundListeners::bind(listeners, socket, count)?;
        let metrics = Arc::new(ServerMetrics::new(count));
        let shared = Arc::new(Shared {
            engine,
            fleet,
            control,
            live,
            tenancy,
            forwarding_keys,
            audit,
            failure_quota: FailureQuota::new(),
            shutdown: ShutdownOrder::new(),
        });
        // An error below drops the server, which stops the workers that already run.
        let mut server = Self {
            addresses: bound.addresses,
            driver: Driver::IoUringDeferred,
            metrics,
            shared,
            workers: Vec::new(),
            _socket_file: bound.socket_file,
        };
        let (started, starts) = channel();
        let mut pins = cores_for(count).into_iter();
        let metrics = Arc::clone(&server.metrics);
        let workers = bound.of_workers.into_iter().zip(&metrics.cores);
        for (index, (sockets, metrics)) in workers.enumerate() {
            let worker = Worker {
                pin: pins.next(),
                sockets,
                choice,
                shared: Arc::clone(&server.shared),
                metrics: Arc::clone(metrics),
                started: started.clone(),
            };
            let thread = thread::Builder::new()
                .name(format!("talos-core-{index}"))
                .spawn(|| worker.run())
                .map_err(ServerError::Thread)?;
            server.workers.push(thread);
        }
        drop(started);
        for _ in 0..count {
            let driver = starts.recv().map_err(|_| ServerError::Panicked)??;
            server.driver = server.driver.max(driver);
        }
        Ok(server)
    }

    /// The bound address of the first listener, with the port that the system chose if the options
    /// said 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses.first
    }

    /// The bound addresses of the other listeners, in the order of the options.
    #[must_use]
    pub fn other_addrs(&self) -> &[SocketAddr] {
        &self.addresses.others
    }

    /// The slowest driver that any worker uses.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// The counters of the server. They stay readable after its end.
    #[must_use]
    pub fn metrics(&self) -> Arc<ServerMetrics> {
        Arc::clone(&self.metrics)
    }

    /// A handle that can stop the server.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Waits until the server has stopped and logs the totals of its counters. It stops only after
    /// a [`ServerHandle::drain`].
    ///
    /// # Errors
    /// [`ServerError::Panicked`] when a worker ended by a panic.
    pub fn join(mut self) -> Result<(), ServerError> {
        let results: Vec<_> = self.workers.drain(..).map(JoinHandle::join).collect();
        let sum = |counter: fn(&CoreMetrics) -> u64| self.metrics.sum(counter);
        tracing::info!(
            requests = sum(|core| core.requests.total()),
            verifications =
                sum(|core| core.requests.verify.total() + core.requests.verify_bearer.total()),
            connections = sum(|core| core.connections.get()),
            accept_errors = sum(|core| core.accept_errors.get()),
            timeouts = sum(|core| {
                let timeouts = &core.timeouts;
                timeouts.idle.get()
                    + timeouts.head.get()
                    + timeouts.body.get()
                    + timeouts.write.get()
            }),
            overloads = sum(|core| core.overloads.get()),
            panics = sum(|core| core.panics.get()),
            "server stopped"
        );
        results
            .into_iter()
            .collect::<Result<(), _>>()
            .map_err(|_| ServerError::Panicked)
    }
}

impl Drop for Server {
    /// Cuts all connections and waits for the workers.
    fn drop(&mut self) {
        self.shared.shutdown.drain(Duration::ZERO);
        for worker in self.workers.drain(..) {
            // The worker has logged its panic.
            let _ = worker.join();
        }
    }
}
