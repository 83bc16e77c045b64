//! The listener and its connections, from start to stop.
//!
//! It guarantees that the number of connections is bounded, that no client can keep another out
//! (see [`crate::places`]) or hold a connection with a slow head or by silence, and that a stop
//! lets requests in progress finish.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

use talos_tls::{ClientTls, Protocol, Reload, Reloader, ServerTls};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::connection::{self, Phase, Shared, stopped};
use crate::error::ProxyError;
use crate::limits;
use crate::places::places;
use crate::service::Service;
use crate::settings::ProxySettings;

/// A proxy that is bound to its address. It does not answer before [`Proxy::run`].
pub struct Proxy {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    reloader: Reloader,
    runtime: Runtime,
    stop: watch::Sender<Phase>,
}

/// Stops a proxy from another thread.
#[derive(Clone, Debug)]
pub struct StopHandle(watch::Sender<Phase>);

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
        let upstream_tls = ClientTls::load(settings.upstream_tls.clone(), Protocol::Http);
        let upstream_tls = Arc::new(upstream_tls.map_err(ProxyError::UpstreamTls)?);
        let listen_tls = settings.listen_tls.clone();
        let listen_tls = listen_tls.map(|files| ServerTls::load(files, Protocol::Http));
        let listen_tls = listen_tls.transpose().map_err(ProxyError::ListenTls)?;
        let listen_tls = listen_tls.map(Arc::new);
        let mut following: Vec<Arc<dyn Reload>> = vec![Arc::<ClientTls>::clone(&upstream_tls)];
        following.extend(listen_tls.clone().map(|tls| tls as Arc<dyn Reload>));
        Ok(Self {
            listener,
            address,
            reloader: Reloader::start(following).map_err(ProxyError::ListenTls)?,
            shared: Arc::new(Shared {
                service: Service::new(settings, upstream_tls),
                tls: listen_tls,
                limits: settings.connections,
            }),
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
            shared,
            reloader,
            runtime,
            stop,
            ..
        } = self;
        let served = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            serve(listener, shared, stop.subscribe()).await;
            Ok(())
        });
        drop(reloader);
        // Connections that are still open have used up `limits::DRAIN`.
        runtime.shutdown_background();
        served.map_err(ProxyError::Runtime)
    }
}

async fn serve(
    listener: tokio::net::TcpListener,
    shared: Arc<Shared>,
    mut phase: watch::Receiver<Phase>,
) {
    let places = places(&shared.limits);
    let stopping = phase.clone();
    let mut connections = JoinSet::new();
    let mut quiet_until = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut phase) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                let (place, evicted) = places.admit(client.ip());
                let (shared, stopping) = (Arc::clone(&shared), stopping.clone());
                connections.spawn(async move {
                    let serving = Arc::clone(&shared);
                    tokio::select! {
                        () = connection::serve(serving, stream, client, &place, stopping) => {}
                        Ok(()) = evicted => {
                            shared.service.note_eviction();
                            tracing::debug!(%client, "a connection is evicted");
                        }
                    }
                });
            }
            Err(error) => {
                if quiet_until.is_none_or(|until| Instant::now() >= until) {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    quiet_until = Some(Instant::now() + limits::ACCEPT_LOG_INTERVAL);
                }
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let idle = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits::DRAIN, idle).await.is_err() {
        tracing::warn!("connections are cut: their requests took too long");
    }
}
