//! The control plane as a service with a runtime of its own.

use std::io;
use std::sync::{Arc, Mutex};

use talos_api::audit::AuditLog;
use talos_api::config::Configuration;
use talos_api::control::ControlPlane;
use talos_api::fleet::{Fleet, ForwardingKeys};
use talos_engine::Engine;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::change_notifier::ChangeNotifier;
use crate::context::Context;
use crate::dispatch;
use crate::forward::{ForwardSettings, Forwarder};
use crate::metrics::ControlMetrics;
use crate::metrics_listener::{self, Expose, MetricsListener, Pages};
use crate::queue::{self, QueueSender};
use crate::reported_change::Deletions;
use crate::unsent_secrets::UnsentSecrets;
use crate::{lane, limits};

/// What the configuration says about the control plane.
#[derive(Clone)]
pub struct AdminSettings {
    /// The version of the server.
    pub version: &'static str,
    /// The configuration of this node.
    pub configuration: Arc<dyn Configuration>,
    /// Where requests are noted; `None` = nowhere.
    pub audit: Option<Arc<dyn AuditLog>>,
    /// How a replica passes requests on to its primary.
    pub forward: ForwardSettings,
    /// The keys by which this node vouches for the clients whose requests it forwards; `None` on a
    /// server without other nodes.
    pub forwarding_keys: Option<ForwardingKeys>,
    /// The most that the bodies of waiting and running requests may take, in bytes, up to 64 MiB.
    pub bodies_bytes: usize,
}

/// The running control plane.
pub struct AdminService {
    queue_sender: Arc<QueueSender>,
    runtime: Runtime,
    engine: Arc<Engine>,
    fleet: Arc<dyn Fleet>,
    queue: Running,
    metrics_listener: Option<Running>,
    metrics: Arc<ControlMetrics>,
}

/// A task that can be stopped.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// Stops the task and waits at most [`limits::SHUTDOWN_WAIT`]. Returns whether it has ended.
    async fn end(self) -> bool {
        // The receiver is gone only when the task has already ended.
        let _ = self.stop.send(());
        tokio::time::timeout(limits::SHUTDOWN_WAIT, self.task)
            .await
            .is_ok()
    }
}

impl AdminService {
    /// Starts the threads. Then requests can be submitted.
    ///
    /// # Errors
    /// The system's error when threads cannot be started.
    pub fn start(
        engine: Arc<Engine>,
        fleet: Arc<dyn Fleet>,
        settings: AdminSettings,
    ) -> io::Result<Self> {
        let metrics = Arc::new(ControlMetrics::default());
        let change_notifier = ChangeNotifier::new(&engine)
            .ok_or_else(|| io::Error::other("the engine has too many watchers"))?;
        let unsent_secrets = Arc::new(UnsentSecrets::default());
        let context = Arc::new(Context {
            engine: Arc::clone(&engine),
            fleet: Arc::clone(&fleet),
            forwarder: Forwarder::new(settings.forward, settings.forwarding_keys),
            metrics: Arc::clone(&metrics),
            audit: settings.audit,
            deletions: Deletions::new(engine.committed()),
            unsent_secrets: Arc::clone(&unsent_secrets),
            change_notifier,
            change_streams: Arc::new(Semaphore::new(limits::CHANGE_STREAMS)),
            release: settings.version,
            configuration: settings.configuration,
            openapi: Mutex::default(),
        });
        let cores = std::thread::available_parallelism()?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(limits::WORKER_THREADS.min(cores.get()))
            .thread_name("talos-admin")
            .enable_io()
            .enable_time()
            .build()?;
        let bounds = lane::bounds(settings.bodies_bytes);
        let (queue_sender, worker) =
            queue::new(bounds, Arc::clone(&metrics), runtime.handle().clone());
        let (stop, stopped) = oneshot::channel();
        let handler =
            move |request, client| dispatch::dispatch(Arc::clone(&context), request, client);
        let task = runtime.spawn(worker.run(handler, stopped));
        // Ends with the runtime.
        runtime.spawn(async move { unsent_secrets.expire().await });
        Ok(Self {
            queue_sender: Arc::new(queue_sender),
            runtime,
            engine,
            fleet,
            queue: Running { stop, task },
            metrics_listener: None,
            metrics,
        })
    }

    /// The interface for the data plane. After [`Self::shutdown`] it refuses every request.
    #[must_use]
    pub fn control_plane(&self) -> Arc<dyn ControlPlane> {
        Arc::<QueueSender>::clone(&self.queue_sender)
    }

    /// The counters of the control plane. They stay readable after its end.
    #[must_use]
    pub fn metrics(&self) -> Arc<ControlMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Serves health and metrics on `listener` until [`Self::shutdown`]. `expose` writes the
    /// metrics page. Call this once.
    ///
    /// # Errors
    /// The system's error when the socket cannot be registered.
    pub fn serve_metrics(&mut self, listener: MetricsListener, expose: Expose) -> io::Result<()> {
        let _runtime = self.runtime.enter();
        let (listener, tls) = listener.into_tokio()?;
        let pages = Arc::new(Pages {
            engine: Arc::clone(&self.engine),
            fleet: Arc::clone(&self.fleet),
            expose,
            tls,
        });
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(metrics_listener::serve(listener, pages, stopped));
        self.metrics_listener = Some(Running { stop, task });
        Ok(())
    }

    /// Refuses new requests, answers the accepted ones, and ends the threads. Requests without an
    /// answer after [`limits::SHUTDOWN_WAIT`] are dropped, and the data plane answers them with
    /// 500. Must not be called from an async context.
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
                "control plane requests were still running when the time for the shutdown was over"
            );
        }
        self.runtime.shutdown_background();
    }
}
