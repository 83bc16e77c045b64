//! The control plane as a service with a runtime of its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use talos_api::control::ControlPlane;
use talos_engine::Engine;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::dispatch::{self, Context};
use crate::queue::{self, Bounds, Entrance};
use crate::{jwks, limits, version};

/// What the configuration says about the control plane.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// The life, in milliseconds, of a key that is issued without one; `None` = it lives until it is revoked.
    pub default_ttl_ms: Option<u64>,
    /// The public signing keys as an RFC 7517 set: an object whose `keys` is an array of keys.
    pub jwks: serde_json::Value,
    /// The version that the server says it has.
    pub version: &'static str,
}

/// The running control plane.
pub struct AdminService {
    entrance: Arc<Entrance>,
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    run: JoinHandle<()>,
    panics: Arc<AtomicU64>,
}

impl AdminService {
    /// Starts the threads. Requests can be submitted from then on.
    ///
    /// # Errors
    /// `InvalidInput` when the key set is not one or holds a private key; otherwise what the system said when it was
    /// asked for threads.
    pub fn start(engine: Arc<Engine>, settings: AdminSettings) -> io::Result<Self> {
        let jwks = jwks::render(settings.jwks)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let context = Arc::new(Context {
            engine,
            default_ttl_ms: settings.default_ttl_ms,
            jwks,
            version: version::render(settings.version),
        });
        let cores = std::thread::available_parallelism()?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(limits::WORKER_THREADS.min(cores.get()))
            .thread_name("talos-admin")
            .enable_time()
            .build()?;
        let panics = Arc::new(AtomicU64::new(0));
        let bounds = Bounds {
            waiting: limits::QUEUE_REQUESTS,
            bytes: limits::QUEUE_BYTES,
            running: limits::RUNNING_REQUESTS,
        };
        let (entrance, exit) = queue::new(bounds, Arc::clone(&panics));
        let (stop, stopped) = oneshot::channel();
        let handler = move |request| dispatch::dispatch(Arc::clone(&context), request);
        let run = runtime.spawn(exit.run(handler, stopped));
        Ok(Self {
            entrance: Arc::new(entrance),
            runtime,
            stop,
            run,
            panics,
        })
    }

    /// The entrance for the data plane. After [`Self::shutdown`] it refuses everything.
    #[must_use]
    pub fn control_plane(&self) -> Arc<dyn ControlPlane> {
        Arc::<Entrance>::clone(&self.entrance)
    }

    /// How many requests ended in a panic and were answered with 500.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Refuses new requests, answers those accepted, and ends the threads. What has no answer after ten seconds is
    /// dropped, which the data plane answers with 500. Must not be called from an async context.
    pub fn shutdown(self) {
        // The receiver is gone only when the queue has ended already.
        let _ = self.stop.send(());
        let ended = self
            .runtime
            .block_on(async { tokio::time::timeout(limits::SHUTDOWN_WAIT, self.run).await });
        if ended.is_err() {
            tracing::warn!(
                "control plane requests were still running when the time to stop them was over"
            );
        }
        self.runtime.shutdown_background();
    }
}
