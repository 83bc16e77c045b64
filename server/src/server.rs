//! A running server: started, told to drain, waited for.

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, iter};

use talos_api::control::ControlPlane;
use talos_api::fleet::Fleet;
use talos_engine::Engine;

use crate::core::{Core, Shared, ShutdownOrder, serve};
use crate::cors::CrossOrigin;
use crate::driver::{Driver, WorkerRuntime};
use crate::error::ServerError;
use crate::limits;
use crate::listener::{self, Listener};
use crate::metrics::{CoreMetrics, ServerMetrics};
use crate::options::{DriverChoice, ServerOptions};
use crate::pinning::{cores_for, pin_current_thread};
use crate::slice::ask_for_short_slices;
use crate::socket_file::SocketFile;

/// A running server.
pub struct Server {
    address: SocketAddr,
    driver: Driver,
    metrics: Arc<ServerMetrics>,
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Removed after the workers have ended.
    _socket_file: Option<SocketFile>,
}

/// Tells a server to stop; can be cloned and sent to where the signal is caught.
#[derive(Clone)]
pub struct ServerHandle {
    shared: Arc<Shared>,
}

impl ServerHandle {
    /// Stops accepting, closes idle connections, lets running requests finish with `Connection: close`, and cuts what is
    /// left after `within`. Returns at once. A second call can only shorten the time.
    pub fn drain(&self, within: Duration) {
        self.shared.shutdown.drain(within);
    }
}

impl Server {
    /// Binds `options.address` once per worker and starts the workers. When it returns, connections are accepted.
    ///
    /// # Errors
    /// [`ServerError`] when the address cannot be listened on, the driver asked for does not work here, or a thread
    /// cannot be started; then nothing is left running.
    pub fn bind(
        options: ServerOptions,
        engine: Arc<Engine>,
        fleet: Arc<dyn Fleet>,
        control: Arc<dyn ControlPlane>,
    ) -> Result<Self, ServerError> {
        let ServerOptions {
            address: asked,
            socket,
            cors,
            workers: count,
            driver: choice,
            deadlines,
            connections_per_worker,
            large_bodies_bytes,
            log_health_requests,
            client_ip_source,
            surface,
        } = options;
        if !(1..=limits::WORKERS).contains(&count) {
            return Err(ServerError::Workers {
                asked: count,
                most: limits::WORKERS,
            });
        }
        let (listeners, address) =
            listener::bind(asked, count).map_err(|source| ServerError::Listen {
                address: asked,
                source,
            })?;
        let socket = socket.map(|path| {
            SocketFile::bind(&path).map_err(|source| ServerError::Socket { path, source })
        });
        let (socket_file, socket) = socket.transpose()?.unzip();
        let metrics = Arc::new(ServerMetrics::new(count));
        let shared = Arc::new(Shared {
            engine,
            fleet,
            control,
            deadlines,
            connections_per_worker,
            large_bodies_bytes,
            log_health_requests,
            client_ip_source,
            surface,
            cors: CrossOrigin::new(&cors),
            shutdown: ShutdownOrder::new(),
        });
        // A failure below drops the server, which stops the workers that already run.
        let mut server = Self {
            address,
            driver: Driver::IoUringDeferred,
            metrics,
            shared,
            workers: Vec::new(),
            _socket_file: socket_file,
        };
        let (started, starts) = channel();
        let mut pins = cores_for(count).into_iter();
        let metrics = Arc::clone(&server.metrics);
        for ((index, listener), metrics) in listeners.into_iter().enumerate().zip(&metrics.cores) {
            let worker = Worker {
                pin: pins.next(),
                listener,
                // All accept at one and the same socket.
                socket: socket
                    .as_ref()
                    .map(UnixListener::try_clone)
                    .transpose()
                    .map_err(ServerError::Thread)?,
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

    /// The address as bound, with the port that the system chose if it was to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The slowest driver that any worker runs.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// What the server counts; stays readable after its end.
    #[must_use]
    pub fn metrics(&self) -> Arc<ServerMetrics> {
        Arc::clone(&self.metrics)
    }

    /// A handle to stop the server by.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Waits until the server has stopped, which takes a [`ServerHandle::drain`], and logs what it has done.
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
            // A panic of the worker has been logged where it happened.
            let _ = worker.join();
        }
    }
}

struct Worker {
    pin: Option<usize>,
    listener: std::net::TcpListener,
    socket: Option<UnixListener>,
    choice: DriverChoice,
    shared: Arc<Shared>,
    metrics: Arc<CoreMetrics>,
    started: Sender<Result<Driver, ServerError>>,
}

impl Worker {
    fn run(self) {
        if let Some(core) = self.pin
            && let Err(error) = pin_current_thread(core)
        {
            tracing::warn!(core, %error, "cannot pin a worker to its core");
        }
        if let Err(error) = ask_for_short_slices() {
            tracing::debug!(%error, "a worker runs in slices of the usual length");
        }
        let (mut runtime, driver) = match WorkerRuntime::build(self.choice) {
            Ok(built) => built,
            Err(error) => {
                let _ = self.started.send(Err(error));
                return;
            }
        };
        let shared = Arc::clone(&self.shared);
        let ended = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let tcp = Listener::tcp(self.listener, driver);
                let unix = self.socket.map(|socket| Listener::unix(socket, driver));
                let listeners: io::Result<Vec<_>> = iter::once(tcp)
                    .chain(unix)
                    .map(|listener| listener.map(Rc::new))
                    .collect();
                let listeners = match listeners {
                    Ok(listeners) => listeners,
                    Err(error) => {
                        let _ = self.started.send(Err(ServerError::Thread(error)));
                        return;
                    }
                };
                // Nobody waits for the message when another worker has failed to start.
                let _ = self.started.send(Ok(driver));
                serve(Rc::new(Core::new(self.shared, self.metrics)), listeners).await;
            });
        }));
        if let Err(panic) = ended {
            // A server that has lost a core would leave the connections that the kernel sends there without an answer.
            tracing::error!("a worker panicked; stopping the server");
            shared.shutdown.drain(Duration::ZERO);
            std::panic::resume_unwind(panic);
        }
    }
}
