//! One connection of a client, from its first byte to its end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use talos_api::error::ApiError;
use talos_tls::ServerTls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::limits;
use crate::places::{Place, Stage};
use crate::response;
use crate::service::{OwnPage, Service};
use crate::settings::ConnectionLimits;
use crate::stall_timeout::StallTimeout;
use crate::tls::{self, Accepted};
use crate::upstream::Body;

/// Whether the proxy is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It serves.
    Serving,
    /// It finishes the requests that have begun.
    Stopping,
}

/// Returns when the proxy is to stop.
pub(crate) async fn stopped(phase: &mut watch::Receiver<Phase>) {
    // Fails when every sender is gone. Nobody could ask for a stop any more, so stop.
    let _ = phase.wait_for(|phase| *phase == Phase::Stopping).await;
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) service: Service,
    /// `None` = plain HTTP.
    pub(crate) tls: Option<Arc<ServerTls>>,
    pub(crate) limits: ConnectionLimits,
}

/// Serves a connection to its end.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    client: SocketAddr,
    place: &Place,
    mut phase: watch::Receiver<Phase>,
) {
    // Fails only if the connection is closed, which the first read reports as well.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &shared.tls else {
        let stream = StallTimeout::new(stream, shared.limits.stall_timeout);
        return serve_http(&shared, stream, client, place, phase).await;
    };
    let handshake = tls::accept(tls.config(), stream, shared.limits.stall_timeout);
    let accepted = tokio::select! {
        accepted = timeout(shared.limits.head_timeout, handshake) => accepted,
        () = stopped(&mut phase) => return,
    };
    match accepted {
        Ok(Ok(Accepted::Tls(stream))) => serve_http(&shared, *stream, client, place, phase).await,
        Ok(Ok(Accepted::Plain(stream))) => refuse_plain(&shared, stream).await,
        Ok(Err(error)) => tracing::debug!(%client, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%client, "a TLS handshake took too long"),
    }
}

/// Tells a client without TLS to use it.
async fn refuse_plain(shared: &Shared, stream: StallTimeout<TcpStream>) {
    let refusal = service_fn(|request: Request<Incoming>| async move {
        let error = ApiError::bad_request("this port speaks TLS; use https:// in the URL");
        let request_id = response::request_id(request.headers());
        Ok::<_, io::Error>(response::local_and_close(error, &request_id))
    });
    let refused = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.head_timeout)
        .max_buf_size(limits::HEAD_BYTES)
        .max_headers(limits::HEADERS)
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), refusal);
    if let Err(error) = refused.await {
        tracing::debug!(%error, "a connection without TLS ended early");
    }
}

async fn serve_http(
    shared: &Shared,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    client: SocketAddr,
    place: &Place,
    mut phase: watch::Receiver<Phase>,
) {
    let has_request = AtomicBool::new(false);
    let standing = Standing {
        place,
        is_proven: AtomicBool::new(false),
    };
    let responses = service_fn(|request| {
        has_request.store(true, Relaxed);
        let (service, standing) = (&shared.service, &standing);
        async move { Ok::<_, io::Error>(answer(service, request, client, standing).await) }
    });
    // Do not set `pipeline_flush`: it delays the error response to an unreadable head, and the
    // connection closes before it is sent. `half_close`: a client may close its sending side after
    // its last request and still gets the answers.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.head_timeout)
        .max_buf_size(limits::HEAD_BYTES)
        .max_headers(limits::HEADERS)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), responses);
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

/// What a connection has been good for so far.
struct Standing<'a> {
    place: &'a Place,
    /// Its stage is [`Stage::Answered`]. Kept here, so that further answers take no lock.
    is_proven: AtomicBool,
}

impl Standing<'_> {
    fn enter(&self, stage: Stage) {
        let is_proven = stage == Stage::Answered;
        if !(self.is_proven.swap(is_proven, Relaxed) && is_proven) {
            self.place.enter(stage);
        }
    }
}

/// Answers a request, and notes at the connection's place what it was good for.
async fn answer(
    service: &Service,
    request: Request<Incoming>,
    client: SocketAddr,
    standing: &Standing<'_>,
) -> Response<Body> {
    let page = OwnPage::of(request.uri().path());
    if page.is_some_and(OwnPage::is_health) {
        standing.enter(Stage::Health);
    }
    let response = service.answer(request, client.ip()).await;
    let status = response.status();
    match page {
        // A probe connects again. It must not keep the place of one that is answered now.
        Some(_) => standing.enter(Stage::New),
        None if status.is_success() || status.is_redirection() => standing.enter(Stage::Answered),
        None => {}
    }
    response
}
