//! The listener, from its start to its end.
//!
//! It guarantees that connections are bounded in number, that each is bounded in the time of its head and of its silence,
//! whatever its client does, and that a stop lets requests which have begun be answered.

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
use crate::stall::Watched;

/// A proxy that is bound and does not answer yet.
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
    /// Asks the proxy to stop: it takes no more requests and ends when those that have begun are answered, or after
    /// ten seconds. Does not wait.
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
    /// [`ProxyError`], for the operator.
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

    /// The address as bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What stops it.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(self.stop.clone())
    }

    /// Answers until it is stopped.
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
        // What is left had its time.
        runtime.shutdown_background();
        served.map_err(ProxyError::Runtime)
    }
}

async fn serve(
    listener: tokio::net::TcpListener,
    service: Arc<Service>,
    mut phase: watch::Receiver<Phase>,
) {
    let places = Arc::new(Semaphore::new(limits::CONNECTIONS as usize));
    let next = async || {
        // The place comes first, so that a connection without one waits in the backlog of the system.
        let place = Arc::clone(&places).acquire_owned().await;
        (place, listener.accept().await)
    };
    let stopping = phase.clone();
    loop {
        let (place, accepted) = tokio::select! {
            biased;
            () = stopped(&mut phase) => break,
            next = next() => next,
        };
        match accepted {
            Ok((stream, client)) => {
                let (service, stopping) = (Arc::clone(&service), stopping.clone());
                tokio::spawn(async move {
                    answer_all(stream, client, service, stopping).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(limits::ACCEPT_REST).await;
            }
        }
    }
    drop(listener);
    // All places are back once no connection is left.
    let idle = places.acquire_many(limits::CONNECTIONS);
    if tokio::time::timeout(limits::DRAIN, idle).await.is_err() {
        tracing::warn!("connections are cut: their requests took too long");
    }
}

/// Returns when the proxy is to stop.
async fn stopped(phase: &mut watch::Receiver<Phase>) {
    // Fails when nobody is left who could ask for it, which is a stop, too.
    let _ = phase.wait_for(|phase| *phase == Phase::Stopping).await;
}

async fn answer_all(
    stream: TcpStream,
    client: SocketAddr,
    service: Arc<Service>,
    mut phase: watch::Receiver<Phase>,
) {
    // Fails only for a connection that has ended, which the first read tells, too.
    let _ = stream.set_nodelay(true);
    let begun = AtomicBool::new(false);
    let answers = service_fn(|request| {
        begun.store(true, Relaxed);
        let service = Arc::clone(&service);
        async move { Ok::<_, io::Error>(service.answer(request, client.ip()).await) }
    });
    // Not with `pipeline_flush`: it holds back the answer to a head that cannot be read, and the close overtakes it.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD)
        .max_buf_size(limits::HEAD_BYTES)
        .max_headers(limits::HEADERS)
        .serve_connection(TokioIo::new(Watched::new(stream, limits::SILENCE)), answers);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stopped(&mut phase) => {
            // The library waits for the first request of a connection, which may never come.
            if !begun.load(Relaxed) {
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
