//! The client of the server behind the proxy: a connection pool, and the mapping of failures to
//! errors for the proxy's clients.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use talos_api::error::ApiError;
use talos_https::Connector;
use talos_tls::ClientTls;

use crate::limits;
use crate::metrics::Metrics;
use crate::settings::{ProxySettings, UpstreamUrl};

/// A body that the proxy holds in memory (left) or streams (right).
pub(crate) type Body = Either<Full<Bytes>, Incoming>;

/// A body from memory.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Either::Left(Full::new(bytes.into()))
}

/// The server behind the proxy.
pub(crate) struct Upstream {
    client: Client<Connector, Body>,
    url: UpstreamUrl,
    timeout: Duration,
    metrics: Arc<Metrics>,
}

impl Upstream {
    /// Prepares the connection pool. No connection is opened yet.
    pub(crate) fn new(
        settings: &ProxySettings,
        tls: Arc<ClientTls>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let connector = Connector::new(tls, limits::CONNECT);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits::UPSTREAM_IDLE)
            .pool_max_idle_per_host(limits::UPSTREAM_IDLE_CONNECTIONS)
            .build(connector);
        Self {
            client,
            url: settings.upstream.clone(),
            timeout: settings.upstream_timeout,
            metrics,
        }
    }

    /// Sends a request with exactly these headers and waits for the head of the response.
    ///
    /// # Errors
    /// 502, 503 or 504, to be sent to the client. The cause is logged.
    pub(crate) async fn send(
        &self,
        parts: Parts,
        body: Body,
    ) -> Result<Response<Incoming>, ApiError> {
        self.exchange(Request::from_parts(parts, body), self.timeout)
            .await
    }

    /// Asks the upstream whether it is ready.
    ///
    /// # Errors
    /// 502, 503 or 504 when it is not, or does not answer.
    pub(crate) async fn ready(&self) -> Result<(), ApiError> {
        let mut request = Request::new(full(Bytes::new()));
        *request.uri_mut() = Uri::from_static("/health/ready");
        let host = HeaderValue::from_str(self.url.authority.as_str());
        let host = host.map_err(|_| ApiError::internal())?;
        request.headers_mut().insert(HOST, host);
        let response = self.exchange(request, limits::READY).await?;
        let status = response.status();
        // Read the body to its end, so that the connection returns to the pool, unless it is long.
        let body = http_body_util::Limited::new(response.into_body(), limits::SMALL_BODY_BYTES);
        let _ = tokio::time::timeout(limits::READY, body.collect()).await;
        if status == StatusCode::OK {
            Ok(())
        } else {
            Err(ApiError::service_unavailable("the upstream is not ready"))
        }
    }

    /// Reads the body of a response into memory (left). Returns it unread (right) when it is longer
    /// than [`limits::ANSWER_BYTES`] or of unknown length.
    ///
    /// # Errors
    /// 502 or 504, to be sent to the client.
    pub(crate) async fn read(&self, body: Incoming) -> Result<Either<Bytes, Incoming>, ApiError> {
        let length = body.size_hint().exact();
        if length.is_none_or(|length| length > limits::ANSWER_BYTES) {
            return Ok(Either::Right(body));
        }
        match tokio::time::timeout(self.timeout, body.collect()).await {
            Ok(Ok(collected)) => Ok(Either::Left(collected.to_bytes())),
            Ok(Err(error)) => {
                tracing::warn!(upstream = %self.url, %error, "the upstream's answer broke off");
                Err(ApiError::bad_gateway())
            }
            Err(_) => Err(ApiError::upstream_timeout()),
        }
    }

    async fn exchange(
        &self,
        mut request: Request<Body>,
        timeout: Duration,
    ) -> Result<Response<Incoming>, ApiError> {
        *request.version_mut() = Version::HTTP_11;
        *request.uri_mut() = self.uri(request.uri().path_and_query())?;
        let begin = Instant::now();
        let outcome = tokio::time::timeout(timeout, self.client.request(request)).await;
        let latency = begin.elapsed();
        match outcome {
            Ok(Ok(response)) => {
                self.metrics
                    .upstream(Some(response.status().as_u16()), latency);
                Ok(response)
            }
            Ok(Err(error)) if is_of_request_body(&error) => {
                self.metrics.upstream(None, latency);
                tracing::debug!(error = causes(&error), "the body of a request broke off");
                Err(ApiError::bad_request("the body is incomplete"))
            }
            Ok(Err(error)) => {
                self.metrics.upstream(None, latency);
                tracing::warn!(upstream = %self.url, error = causes(&error), "the upstream gave no answer");
                Err(client_error(&error))
            }
            Err(_) => {
                self.metrics.upstream(None, latency);
                tracing::warn!(upstream = %self.url, ?timeout, "the upstream did not answer in time");
                Err(ApiError::upstream_timeout())
            }
        }
    }

    /// The URI of this path and query at the upstream.
    fn uri(&self, target: Option<&PathAndQuery>) -> Result<Uri, ApiError> {
        let mut parts = hyper::http::uri::Parts::default();
        parts.scheme = Some(self.url.scheme.clone());
        parts.authority = Some(self.url.authority.clone());
        parts.path_and_query = Some(
            target
                .cloned()
                .unwrap_or_else(|| PathAndQuery::from_static("/")),
        );
        Uri::from_parts(parts).map_err(|_| ApiError::bad_request("malformed request target"))
    }
}

/// Whether the body of the request broke off, so that the upstream could not answer.
fn is_of_request_body(error: &Error) -> bool {
    !is_timeout(error)
        && causes_of(error)
            .filter_map(|cause| cause.downcast_ref::<hyper::Error>())
            .any(hyper::Error::is_user)
}

fn is_timeout(error: &Error) -> bool {
    causes_of(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::TimedOut)
}

fn causes_of(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// The error that the client gets.
fn client_error(error: &Error) -> ApiError {
    if is_timeout(error) {
        ApiError::upstream_timeout()
    } else if error.is_connect() {
        ApiError::service_unavailable("the upstream cannot be reached")
    } else {
        ApiError::bad_gateway()
    }
}

/// An error and all its causes, for the log.
fn causes(error: &Error) -> String {
    causes_of(error).fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
