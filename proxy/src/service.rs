//! What happens to a request: the proxy answers it itself, from the cache, or with the upstream's
//! response.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use http_body_util::Either;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use talos_api::control::ControlResponse;
use talos_api::error::ApiError;
use talos_api::route::{Endpoint, Match, Target, find};
use talos_api::{health, verify};
use talos_credentials::imported_key_id;
use talos_credentials::issued::IssuedKey;
use talos_metrics::CONTENT_TYPE;
use talos_model::{CacheMode, KeyId, TenantId};
use talos_tls::ClientTls;

use crate::body::{BodyBudgets, BodyStart, WholeBody};
use crate::cache::{Cache, Entry};
use crate::changes::{LogicalTime, PendingChange, Subject};
use crate::forward;
use crate::host::{self, AllowedHosts, HostSource};
use crate::metrics::{Metrics, Source};
use crate::response::{self, X_REQUEST_ID};
use crate::settings::ClaimedAddresses;
use crate::settings::ProxySettings;
use crate::upstream::{Body, Upstream, full};
use crate::verification::{
    CACHE_STATUS, CacheAction, CacheableRequest, CredentialSource, cache_action, cache_mode,
};

const SELF_REVOKE_PATH: &str = "/v2alpha1/apiKeys:selfRevoke";
/// The methods of the proxy's own pages.
const OWN_METHODS: &str = "GET, HEAD";

/// State shared by all connections.
pub(crate) struct Service {
    cache: Cache,
    metrics: Arc<Metrics>,
    upstream: Upstream,
    allowed_hosts: AllowedHosts,
    host_source: HostSource,
    claimed_addresses: ClaimedAddresses,
    body_budgets: BodyBudgets,
}

/// A page that the proxy itself has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnPage {
    /// The proxy runs.
    Alive,
    /// The upstream is ready.
    Ready,
    /// The proxy's metrics.
    Metrics,
}

impl OwnPage {
    /// The page at a path.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path {
            "/health/alive" => Some(Self::Alive),
            "/health/ready" => Some(Self::Ready),
            "/metrics" => Some(Self::Metrics),
            _ => None,
        }
    }

    /// Whether it is a health check.
    pub(crate) fn is_health(self) -> bool {
        matches!(self, Self::Alive | Self::Ready)
    }
}

/// An error response instead of the upstream's.
struct Rejection {
    error: ApiError,
    /// The connection must be closed, because the request may not have been read to its end.
    closes: bool,
}

impl From<ApiError> for Rejection {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            closes: false,
        }
    }
}

/// A request that may be forwarded. The headers are already those that the upstream gets.
struct AdmittedRequest {
    parts: Parts,
    body: Incoming,
    body_start: BodyStart,
    host: String,
}

/// A verification that was sent to the upstream.
struct PendingVerification {
    request: CacheableRequest,
    mode: CacheMode,
    asked_at: LogicalTime,
    start: Instant,
}

impl Service {
    /// A service with an empty cache, which asks the upstream over `tls` where its URL says so.
    pub(crate) fn new(settings: &ProxySettings, tls: Arc<ClientTls>) -> Self {
        let metrics = Arc::new(Metrics::new());
        Self {
            cache: Cache::new(settings.cache),
            upstream: Upstream::new(settings, tls, Arc::clone(&metrics)),
            metrics,
            allowed_hosts: settings.allowed_hosts.clone(),
            host_source: settings.host_source,
            claimed_addresses: settings.claimed_addresses,
            body_budgets: BodyBudgets::new(),
        }
    }

    /// Counts a connection that was ended to make place for another.
    pub(crate) fn note_eviction(&self) {
        self.metrics.evictions.fetch_add(1, Relaxed);
    }

    /// Answers one request. `client` is the address of the connection.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        client: IpAddr,
    ) -> Response<Body> {
        let start = Instant::now();
        let request_id = response::request_id(request.headers());
        if let Some(page) = self.own_page(&request).await {
            return response::local(page.unwrap_or_else(ControlResponse::from), &request_id);
        }
        let (method, route) = (request.method().clone(), template(&request));
        let forwarded = self.forward(request, client, &request_id).await;
        let (mut response, source) = forwarded.unwrap_or_else(|rejection| {
            let response = if rejection.closes {
                response::local_and_close(rejection.error, &request_id)
            } else {
                response::local(rejection.error.into(), &request_id)
            };
            (response, Source::Elsewhere)
        });
        // A Talos server sets the header itself. Something else in front of it may not.
        response
            .headers_mut()
            .entry(X_REQUEST_ID)
            .or_insert_with(|| request_id.clone());
        let duration = start.elapsed();
        self.metrics.request(source, duration);
        tracing::debug!(
            %method,
            route,
            status = response.status().as_u16(),
            cached = source == Source::Cache,
            duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            request_id = request_id.to_str().unwrap_or_default(),
            "request"
        );
        response
    }

    /// Answers health checks and metrics. Every host is served: probes and scrapers usually know
    /// the proxy by its address.
    async fn own_page(
        &self,
        request: &Request<Incoming>,
    ) -> Option<Result<ControlResponse, ApiError>> {
        let page = OwnPage::of(request.uri().path())?;
        if let Err(error) = host::check(request) {
            return Some(Err(error));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Some(Err(ApiError::method_not_allowed(OWN_METHODS)));
        }
        Some(match page {
            OwnPage::Alive => Ok(health::alive_response()),
            OwnPage::Ready => self
                .upstream
                .ready()
                .await
                .map(|()| health::alive_response()),
            OwnPage::Metrics => {
                let page = self.metrics.page(self.cache.entries(), self.cache.bytes());
                Ok(ControlResponse {
                    status: 200,
                    headers: vec![("Content-Type", CONTENT_TYPE.to_owned())],
                    body: page.into_bytes(),
                    rest: None,
                })
            }
        })
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        client: IpAddr,
        request_id: &HeaderValue,
    ) -> Result<(Response<Body>, Source), Rejection> {
        let request = self.admit(request, client, request_id)?;
        if let Some(source) = CredentialSource::of(&request.parts) {
            return self.verify(request, source).await;
        }
        let response = if is_self_revocation(&request.parts) {
            self.self_revoke(request).await?
        } else {
            let subjects = changed_key(&request.parts);
            let pending = PendingChange::new(&self.cache.changes, subjects);
            let body = Either::Right(request.body);
            let response = self.upstream.send(request.parts, body).await?;
            pending.answered(response.status().as_u16());
            response
        };
        Ok((stream(response), Source::Elsewhere))
    }

    /// Checks target and host of a request and prepares its headers for the upstream.
    fn admit(
        &self,
        request: Request<Incoming>,
        client: IpAddr,
        request_id: &HeaderValue,
    ) -> Result<AdmittedRequest, ApiError> {
        let (mut parts, body) = request.into_parts();
        if !parts.uri.path().starts_with('/') {
            return Err(ApiError::bad_request("malformed request target"));
        }
        let host = host::prepare(&mut parts.headers, parts.uri.authority(), self.host_source)?;
        if !self.allowed_hosts.allow(&host) {
            return Err(ApiError::forbidden("this host is not served here"));
        }
        let body_start = if forward::expects_continue(&parts.headers) {
            BodyStart::AfterContinue
        } else {
            BodyStart::Immediate
        };
        forward::prepare_request(&mut parts.headers, client, self.claimed_addresses);
        parts.headers.insert(X_REQUEST_ID, request_id.clone());
        Ok(AdmittedRequest {
            parts,
            body,
            body_start,
            host,
        })
    }

    async fn read(&self, body: Incoming, start: BodyStart) -> Result<WholeBody, Rejection> {
        let read = self.body_budgets.read(body, start).await;
        read.map_err(|error| Rejection {
            error,
            closes: true,
        })
    }

    async fn verify(
        &self,
        request: AdmittedRequest,
        source: CredentialSource,
    ) -> Result<(Response<Body>, Source), Rejection> {
        let AdmittedRequest {
            parts,
            body,
            body_start,
            host,
        } = request;
        let body = self.read(body, body_start).await?;
        let Some(request) = CacheableRequest::new(source, &host, &parts.headers, &body.bytes)
        else {
            let response = self.upstream.send(parts, full(body.bytes)).await?;
            return Ok((stream(response), Source::Elsewhere));
        };
        let mode = cache_mode(&parts.headers);
        let start = Instant::now();
        if mode == CacheMode::Use
            && let Some(entry) = self.cache.get(&request.key, start)
        {
            self.metrics.hits.fetch_add(1, Relaxed);
            let request_id = parts.headers.get(X_REQUEST_ID);
            let request_id = request_id.ok_or_else(ApiError::internal)?;
            return Ok((response::from_cache(&entry, request_id), Source::Cache));
        }
        self.metrics.misses.fetch_add(1, Relaxed);
        // The logical time must be taken before the upstream is asked.
        let pending = PendingVerification {
            request,
            mode,
            asked_at: self.cache.changes.now(),
            start,
        };
        let response = self.upstream.send(parts, full(body.bytes.clone())).await?;
        let response = self.update_cache(pending, response).await?;
        Ok((response, Source::Elsewhere))
    }

    /// Updates the cache from the upstream's response and returns the response for the client.
    async fn update_cache(
        &self,
        pending: PendingVerification,
        response: Response<Incoming>,
    ) -> Result<Response<Body>, ApiError> {
        let (mut parts, body) = response.into_parts();
        forward::remove_hop_by_hop(&mut parts.headers);
        if parts.status != StatusCode::OK {
            return Ok(Response::from_parts(parts, Either::Right(body)));
        }
        parts
            .headers
            .insert(CACHE_STATUS, HeaderValue::from_static("MISS"));
        let request = &pending.request;
        let body = match self.upstream.read(body).await? {
            Either::Left(bytes) => bytes,
            // The proxy does not read this answer, so the stored one may contradict it.
            Either::Right(body) => {
                self.cache.remove(&request.key);
                return Ok(Response::from_parts(parts, Either::Right(body)));
            }
        };
        match cache_action(parts.status, &parts.headers, &body, Timestamp::now()) {
            CacheAction::InvalidateCredential => self.cache.changes.record(request.credential),
            CacheAction::Remove => self.cache.remove(&request.key),
            CacheAction::Store { .. } if pending.mode == CacheMode::Bypass => {}
            CacheAction::Store { key_id, remaining } => match self.cache.lifetime(remaining) {
                None => self.cache.remove(&request.key),
                Some(lifetime) => {
                    let (headers, body) = response::storable(&parts.headers, &body);
                    let entry = Entry {
                        headers,
                        body,
                        asked_at: pending.asked_at,
                        subjects: [Subject::key_id(&key_id), request.credential],
                        end: pending.start + lifetime,
                    };
                    self.cache.insert(request.key, entry);
                }
            },
        }
        Ok(Response::from_parts(parts, full(body)))
    }

    async fn self_revoke(&self, request: AdmittedRequest) -> Result<Response<Incoming>, Rejection> {
        let body = self.read(request.body, request.body_start).await?;
        let subjects = match verify::parse_request(&body.bytes) {
            Ok(request) => credential_subjects(&request.credential),
            // The upstream will reject it.
            Err(_) => Vec::new(),
        };
        let pending = PendingChange::new(&self.cache.changes, subjects);
        let body = full(body.bytes.clone());
        let response = self.upstream.send(request.parts, body).await?;
        pending.answered(response.status().as_u16());
        Ok(response)
    }
}

/// The route template of a request, for the log. The path itself may hold a secret.
fn template(request: &Request<Incoming>) -> &'static str {
    match find(request.method().as_str(), request.uri().path()) {
        Match::Found { template, .. } => template,
        Match::NotFound | Match::MethodNotAllowed(_) => "other",
    }
}

fn is_self_revocation(parts: &Parts) -> bool {
    parts.method == Method::POST && parts.uri.path() == SELF_REVOKE_PATH
}

/// What a request may change: nothing if its method is safe, else the key that its path names, or
/// every key.
fn changed_key(parts: &Parts) -> Vec<Subject> {
    if parts.method.is_safe() {
        return Vec::new();
    }
    let key_id = match find(parts.method.as_str(), parts.uri.path()) {
        Match::Found {
            target: Target::Control(Endpoint::RevokeKeysWhere),
            ..
        } => return vec![Subject::ALL],
        Match::Found { key_id, .. } => key_id.parse().any().ok(),
        Match::NotFound | Match::MethodNotAllowed(_) => None,
    };
    let key_id = key_id.map(|key_id| Subject::key_id(&key_id.to_string()));
    key_id.into_iter().collect()
}

/// The credential and its key. Both are needed: entries of tokens derived from the key are found by
/// the key only.
fn credential_subjects(credential: &str) -> Vec<Subject> {
    let bytes = credential.as_bytes();
    let key_id = IssuedKey::parse(bytes).map_or_else(
        || imported_key_id(TenantId::SINGLE, bytes),
        |key| KeyId::Issued(key.uuid),
    );
    vec![
        Subject::credential(credential),
        Subject::key_id(&key_id.to_string()),
    ]
}

/// Forwards a response of the upstream without reading its body.
fn stream(response: Response<Incoming>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    forward::remove_hop_by_hop(&mut parts.headers);
    Response::from_parts(parts, Either::Right(body))
}
