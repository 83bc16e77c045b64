//! The control plane as a service with a runtime of its own.

use std::io;
use std::sync::Arc;

use talos_api::control::ControlPlane;
use talos_api::fleet::Fleet;
use talos_api::page_token::PageTokenKeys;
use talos_api::{openapi, version};
use talos_engine::Engine;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::context::Context;
use crate::dispatch;
use crate::forward::Forwarder;
use crate::metrics::ControlMetrics;
use crate::metrics_listener::{self, Expose, MetricsListener, Pages};
use crate::news::News;
use crate::queue::{self, Bounds, Entrance};
use crate::{jwks, limits};

/// What the configuration says about the control plane.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// The life, in milliseconds, of a key that is issued without one; `None` = it lives until it is revoked.
    pub default_ttl_ms: Option<u64>,
    /// What seals the page tokens of lists.
    pub page_tokens: PageTokenKeys,
    /// The public signing keys as an RFC 7517 set: an object whose `keys` is an array of keys.
    pub jwks: serde_json::Value,
    /// The version that the server says it has.
    pub version: &'static str,
}

/// The running control plane.
pub struct AdminService {
    entrance: Arc<Entrance>,
    runtime: Runtime,
    engine: Arc<Engine>,
    fleet: Arc<dyn Fleet>,
    queue: Running,
    metrics_listener: Option<Running>,
    metrics: Arc<ControlMetrics>,
}

/// A task that ends on request.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// Asks the task to end, and waits until it has, for as long as a stop may take. Tells whether it has.
    async fn end(self) -> bool {
        // The receiver is gone only when the task has ended already.
        let _ = self.stop.send(());
        tokio::time::timeout(limits::SHUTDOWN_WAIT, self.task)
            .await
            .is_ok()
    }
}

impl AdminService {
    /// Starts the threads. Requests can be submitted from then on.
    ///
    /// # Errors
    /// `InvalidInput` when the key set is not one or holds a private key; otherwise what the system said when it was
    /// asked for threads.
    pub fn start(
        engine: Arc<Engine>,
        fleet: Arc<dyn Fleet>,
        settings: AdminSettings,
    ) -> io::Result<Self> {
        let jwks = jwks::render(settings.jwks)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let metrics = Arc::new(ControlMetrics::default());
        let news = News::of(&engine)
            .ok_or_else(|| io::Error::other("too many watch the engine for new changes"))?;
        let context = Arc::new(Context {
            engine: Arc::clone(&engine),
            fleet: Arc::clone(&fleet),
            forwarder: Forwarder::new()?,
            metrics: Arc::clone(&metrics),
            default_ttl_ms: settings.default_ttl_ms,
            page_tokens: settings.page_tokens,
            news,
            change_streams: Arc::new(Semaphore::new(limits::CHANGE_STREAMS)),
            jwks,
            release: settings.version,
            version: version::render_response(settings.version),
            openapi: openapi::render(settings.version),
        });
        let cores = std::thread::available_parallelism()?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(limits::WORKER_THREADS.min(cores.get()))
            .thread_name("talos-admin")
            .enable_io()
            .enable_time()
            .build()?;
        let bounds = Bounds {
            waiting: limits::QUEUE_REQUESTS,
            bytes: limits::QUEUE_BYTES,
            running: limits::RUNNING_REQUESTS,
        };
        let (entrance, exit) = queue::new(bounds, Arc::clone(&metrics), runtime.handle().clone());
        let (stop, stopped) = oneshot::channel();
        let handler = move |request| dispatch::dispatch(Arc::clone(&context), request);
        let task = runtime.spawn(exit.run(handler, stopped));
        Ok(Self {
            entrance: Arc::new(entrance),
            runtime,
            engine,
            fleet,
            queue: Running { stop, task },
            metrics_listener: None,
            metrics,
        })
    }

    /// The entrance for the data plane. After [`Self::shutdown`] it refuses everything.
    #[must_use]
    pub fn control_plane(&self) -> Arc<dyn ControlPlane> {
        Arc::<Entrance>::clone(&self.entrance)
    }

    /// What the control plane counts; stays readable after its end.
    #[must_use]
    pub fn metrics(&self) -> Arc<ControlMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Lets `listener` answer health and metrics, which `expose` writes, until [`Self::shutdown`]. Called once.
    ///
    /// # Errors
    /// What the system said when it was asked to watch the socket.
    pub fn serve_metrics(&mut self, listener: MetricsListener, expose: Expose) -> io::Result<()> {
        let _runtime = self.runtime.enter();
        let listener = listener.into_tokio()?;
        let pages = Arc::new(Pages {
            engine: Arc::clone(&self.engine),
            fleet: Arc::clone(&self.fleet),
            expose,
        });
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(metrics_listener::serve(listener, pages, stopped));
        self.metrics_listener = Some(Running { stop, task });
        Ok(())
    }

    /// Refuses new requests, answers those accepted, and ends the threads. What has no answer after ten seconds is
    /// dropped, which the data plane answers with 500. Must not be called from an async context.
    pub fn shutdown(self) {
        let (queue, metrics_listener) = (self.queue, self.metrics_listener);
        let ended = self.runtime.block_on(async move {
            let ended = queue.end().await;
            if let Some(metrics_listener) = metrics_listener {
                metrics_listener.end().await;
            }
            ended
        });
        if !ended {
            tracing::warn!(
                "control plane requests were still running when the time to stop them was over"
            );
        }
        self.runtime.shutdown_background();
    }
}
