//! The listener and its connections, from start to stop.
//!
//! It guarantees that the number of connections is bounded, that no client can hold a connection
//! with a slow head or by silence, and that a stop lets requests in progress finish.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};

use crate::error::ProxyError;
use crate::limits;
use crate::service::Service;
use crate::settings::ProxySettings;
use crate::stall_timeout::StallTimeout;

/// A proxy that is bound to its address. It does not answer before [`Proxy::run`].
pub struct Proxy {
    listener: TcpListener,
    address: SocketAddr,
    service: Arc<Service>,
    runtime: Runtime,
    stop: watch::Sender<Phase>,
}

/// Stops a proxy from another thread.
#[derive(Clone, Debug)]
pub struct StopHandle(watch::Sender<Phase>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    Stopping,
}

impl StopHandle {
    /// Asks the proxy to stop and returns at once. The proxy accepts no more requests and ends when
    /// those in progress are answered, or after ten seconds.
    pub fn stop(&self) {
        self.0.send_replace(Phase::Stopping);
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Binds the address and prepares everything else.
    ///
    /// # Errors
    /// [`ProxyError`] when the address, the certificates or the runtime cannot be used.
    pub fn bind(settings: &ProxySettings) -> Result<Self, ProxyError> {
        let listen = |source| ProxyError::Listen {
            address: settings.listen,
            source,
        };
        let listener = TcpListener::bind(settings.listen).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let runtime = Builder::new_multi_thread()
            .thread_name("talos-proxy")
            .enable_all()
            .build()
            .map_err(ProxyError::Runtime)?;
        Ok(Self {
            listener,
            address,
            service: Arc::new(Service::new(settings)?),
            runtime,
            stop: watch::Sender::new(Phase::Serving),
        })
    }

    /// The bound address, with the port that the system chose if the configured one was 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle that stops this proxy.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(self.stop.clone())
    }

    /// Answers requests until the proxy is stopped.
    ///
    /// # Errors
    /// [`ProxyError::Runtime`] when the listener cannot be used.
    pub fn run(self) -> Result<(), ProxyError> {
        let Self {
            listener,
            service,
            runtime,
            stop,
            ..
        } = self;
        let served = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            serve(listener, service, stop.subscribe()).await;
            Ok(())
        });
        // Connections that are still open have used up `limits::DRAIN`.
        runtime.shutdown_background();
        served.map_err(ProxyError::Runtime)
    }
}

async fn serve(
    listener: tokio::net::TcpListener,
    service: Arc<Service>,
    mut phase: watch::Receiver<Phase>,
) {
    let slots = Arc::new(Semaphore::new(limits::CONNECTIONS as usize));
    let next = async || {
        // Take a slot before accepting: connections without one stay in the listener's backlog.
        let slot = Arc::clone(&slots).acquire_owned().await;
        (slot, listener.accept().await)
    };
    let stopping = phase.clone();
    loop {
        let (slot, accepted) = tokio::select! {
            biased;
            () = stopped(&mut phase) => break,
            next = next() => next,
        };
        match accepted {
            Ok((stream, client)) => {
                let (service, stopping) = (Arc::clone(&service), stopping.clone());
                tokio::spawn(async move {
                    serve_connection(stream, client, service, stopping).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    // All slots are free once no connection is left.
    let idle = slots.acquire_many(limits::CONNECTIONS);
    if tokio::time::timeout(limits::DRAIN, idle).await.is_err() {
        tracing::warn!("connections are cut: their requests took too long");
    }
}

/// Returns when the proxy is to stop.
async fn stopped(phase: &mut watch::Receiver<Phase>) {
    // Fails when every sender is gone. Nobody could ask for a stop any more, so stop.
    let _ = phase.wait_for(|phase| *phase == Phase::Stopping).await;
}

async fn serve_connection(
    stream: TcpStream,
    client: SocketAddr,
    service: Arc<Service>,
    mut phase: watch::Receiver<Phase>,
) {
    // Fails only if the connection is closed, which the first read reports as well.
    let _ = stream.set_nodelay(true);
    let has_request = AtomicBool::new(false);
    let responses = service_fn(|request| {
        has_request.store(true, Relaxed);
        let service = Arc::clone(&service);
        async move { Ok::<_, io::Error>(service.answer(request, client.ip()).await) }
    });
    let stream = TokioIo::new(StallTimeout::new(stream, limits::STALL));
    // Do not set `pipeline_flush`: it delays the error response to an unreadable head, and the
    // connection closes before it is sent.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD)
        .max_buf_size(limits::HEAD_BYTES)
        .max_headers(limits::HEADERS)
        .serve_connection(stream, responses);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stopped(&mut phase) => {
            // `graceful_shutdown` waits for the first request of a connection, which may not come.
            if !has_request.load(Relaxed) {
                return;
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}
