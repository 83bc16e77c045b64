//! The listener for metrics and health. It has its own port, so that it can be bound where only a
//! scraper reaches it.
//!
//! It guarantees that the number of connections and the duration of each are bounded, whatever the
//! client does; that no client can keep another out (see [`crate::metrics_places`]); that a scrape
//! and an API request never wait for each other; and that a stop lets responses in progress finish.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use talos_api::control::ControlResponse;
use talos_api::error::ApiError;
use talos_api::fleet::Fleet;
use talos_api::health;
use talos_api::host::{self, HostField};
use talos_engine::Engine;
use talos_metrics::{CONTENT_TYPE, Exposition};
use talos_tls::ServerTls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::limits;
use crate::metrics_places::{self, Place};

const ALLOW: &str = "GET, HEAD";
const METRICS: &str = "/metrics";

/// Writes the metrics page. It is called for every scrape.
pub type Expose = Box<dyn Fn(&mut Exposition) + Send + Sync>;

/// A bound socket. It answers after [`crate::AdminService::serve_metrics`].
#[derive(Debug)]
pub struct MetricsListener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<ServerTls>>,
}

impl MetricsListener {
    /// Binds `address`. Port 0 = the system picks one.
    ///
    /// # Errors
    /// The error of the system call, for example when the port is in use.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            tls: None,
        })
    }

    /// The bound address, with the port that the system chose if the requested one was 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves within TLS, if there is any.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<ServerTls>>) -> Self {
        Self { tls, ..self }
    }

    /// Registers the socket with the current tokio runtime.
    pub(crate) fn into_tokio(
        self,
    ) -> io::Result<(tokio::net::TcpListener, Option<Arc<ServerTls>>)> {
        let listener = tokio::net::TcpListener::from_std(self.socket)?;
        Ok((listener, self.tls))
    }
}

/// The sources of the pages.
pub(crate) struct Pages {
    pub(crate) engine: Arc<Engine>,
    pub(crate) fleet: Arc<dyn Fleet>,
    pub(crate) expose: Expose,
    /// TLS of the connections; `None` = plain HTTP.
    pub(crate) tls: Option<Arc<ServerTls>>,
}

/// Answers until `stop` is sent or dropped. Returns when no connection is left.
pub(crate) async fn serve(
    listener: tokio::net::TcpListener,
    pages: Arc<Pages>,
    mut stop: oneshot::Receiver<()>,
) {
    let places = metrics_places::places();
    let (open, closing) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let (place, evicted) = places.admit(address.ip());
                let (pages, closing) = (Arc::clone(&pages), closing.clone());
                connections.spawn(async move {
                    tokio::select! {
                        () = answer_in_time(stream, pages, &place, closing) => {}
                        Ok(()) = evicted => {
                            tracing::debug!(%address, "a connection to the metrics is evicted");
                        }
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the metrics listener cannot accept a connection");
                tokio::time::sleep(limits::METRICS_ACCEPT_REST).await;
            }
        }
    }
    drop((open, listener));
    while connections.join_next().await.is_some() {}
}

/// Answers one request, within TLS if the listener has it. Logs why that failed.
async fn answer_in_time(
    stream: TcpStream,
    pages: Arc<Pages>,
    place: &Place,
    closing: watch::Receiver<()>,
) {
    let answered = async {
        let Some(tls) = &pages.tls else {
            return Ok(answer_one(stream, Arc::clone(&pages), place, closing).await?);
        };
        let handshake = TlsAcceptor::from(tls.config()).accept(stream);
        let stream = tokio::time::timeout(limits::METRICS_HEAD, handshake).await??;
        Ok::<_, Box<dyn Error + Send + Sync>>(
            answer_one(stream, Arc::clone(&pages), place, closing).await?,
        )
    };
    match tokio::time::timeout(limits::METRICS_CONNECTION, answered).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to the metrics ended early"),
        Err(_) => tracing::debug!("a connection to the metrics took too long"),
    }
}

/// Answers one request, then closes the connection. Scrapes are seconds apart, so keep-alive would
/// gain little and would need an idle timeout.
async fn answer_one(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    pages: Arc<Pages>,
    place: &Place,
    mut closing: watch::Receiver<()>,
) -> hyper::Result<()> {
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        match request.uri().path() {
            METRICS => metrics_places::gets_metrics(place),
            _ => metrics_places::gets_health(place),
        }
        let response = pages.answer(&request);
        async { response }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::METRICS_HEAD)
        .max_buf_size(limits::METRICS_HEAD_BYTES)
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        served = connection.as_mut() => served,
        _ = closing.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}

/// Refuses what the listener of the API refuses, so that all ports read a request alike.
fn check_host<B>(request: &Request<B>) -> Result<(), ApiError> {
    let needed = match request.version() {
        Version::HTTP_11 => HostField::Required,
        _ => HostField::Optional,
    };
    let target = request.uri().authority().map(Authority::as_str);
    let fields = request.headers().get_all(HOST).into_iter();
    host::of_request(target, fields.map(HeaderValue::as_bytes), needed).map(drop)
}

impl Pages {
    fn answer<B>(&self, request: &Request<B>) -> Result<Response<String>, hyper::http::Error> {
        let ControlResponse {
            status,
            headers,
            body,
            rest: _,
        } = check_host(request)
            .and_then(|()| self.page(request.method(), request.uri().path()))
            .unwrap_or_else(Into::into);
        let response = headers.into_iter().fold(
            Response::builder().status(status),
            |response, (name, value)| response.header(name, value),
        );
        response.body(String::from_utf8_lossy(&body).into_owned())
    }

    /// The response to `HEAD` includes the body of `GET`. hyper takes `Content-Length` from it and
    /// does not send it.
    fn page(&self, method: &Method, path: &str) -> Result<ControlResponse, ApiError> {
        let page: fn(&Self) -> ControlResponse = match path {
            METRICS => Self::metrics,
            "/health/alive" => |_| health::alive_response(),
            "/health/ready" => Self::ready,
            _ => return Err(ApiError::not_found_route()),
        };
        if matches!(*method, Method::GET | Method::HEAD) {
            Ok(page(self))
        } else {
            Err(ApiError::method_not_allowed(ALLOW))
        }
    }

    fn ready(&self) -> ControlResponse {
        health::ready_response(&self.engine.health(), &*self.fleet)
    }

    fn metrics(&self) -> ControlResponse {
        let mut page = Exposition::default();
        (self.expose)(&mut page);
        ControlResponse {
            status: 200,
            headers: vec![("Content-Type", CONTENT_TYPE.to_owned())],
            body: page.into_text().into_bytes(),
            rest: None,
        }
    }
}
