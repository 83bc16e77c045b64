//! What becomes of a request: an answer of the proxy's own, one from the cache, or the upstream's.

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
use talos_api::route::{Endpoint, Match, find};
use talos_api::{health, verify};
use talos_engine::credential::imported_key_id;
use talos_engine::credential::issued::IssuedKey;
use talos_engine::{CacheMode, KeyId, TenantId};
use talos_metrics::CONTENT_TYPE;

use crate::answer::{self, X_REQUEST_ID};
use crate::body::{LargeBodies, Sender, WholeBody};
use crate::cache::{Cache, Entry};
use crate::changes::{Moment, PendingChange, Subject};
use crate::error::ProxyError;
use crate::forward;
use crate::host::{self, AllowedHosts, HostSource};
use crate::metrics::{Metrics, Source};
use crate::settings::ProxySettings;
use crate::upstream::{Body, Upstream, held};
use crate::verification::{CACHE_STATUS, Form, Lesson, Question, cache_mode, lesson};

const SELF_REVOKE_PATH: &str = "/v2alpha1/apiKeys:selfRevoke";
const OWN_METHODS: &str = "GET, HEAD";

/// What all connections share.
pub(crate) struct Service {
    cache: Cache,
    metrics: Arc<Metrics>,
    upstream: Upstream,
    allowed_hosts: AllowedHosts,
    host_source: HostSource,
    large_bodies: LargeBodies,
}

/// Why a request is not passed on, or has no answer.
struct Refusal {
    error: ApiError,
    /// The request was not read to its end, and nothing can follow it.
    is_last: bool,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            is_last: false,
        }
    }
}

/// A request that is to be passed on, with the headers that the upstream gets.
struct Passing {
    parts: Parts,
    body: Incoming,
    sender: Sender,
    host: String,
}

impl Service {
    /// A service without any entry.
    pub(crate) fn new(settings: &ProxySettings) -> Result<Self, ProxyError> {
        let metrics = Arc::new(Metrics::new());
        Ok(Self {
            cache: Cache::new(settings.cache),
            upstream: Upstream::new(settings, Arc::clone(&metrics))?,
            metrics,
            allowed_hosts: settings.allowed_hosts.clone(),
            host_source: settings.host_source,
            large_bodies: LargeBodies::new(),
        })
    }

    /// Answers a request of `client`.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        client: IpAddr,
    ) -> Response<Body> {
        let begin = Instant::now();
        let request_id = answer::request_id(request.headers());
        if let Some(own) = self.own_page(&request).await {
            return answer::own(own.unwrap_or_else(ControlResponse::from), &request_id);
        }
        let (method, route) = (request.method().clone(), template(&request));
        let passed = self.pass(request, client, &request_id).await;
        let (mut response, source) = passed.unwrap_or_else(|refusal| {
            let response = if refusal.is_last {
                answer::last(refusal.error, &request_id)
            } else {
                answer::own(refusal.error.into(), &request_id)
            };
            (response, Source::Elsewhere)
        });
        // The server's answers have one; those of another kind of server may not.
        response
            .headers_mut()
            .entry(X_REQUEST_ID)
            .or_insert_with(|| request_id.clone());
        let duration = begin.elapsed();
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

    /// The pages that are the proxy's own, whatever the host: those who ask for them know an address, not a name.
    async fn own_page(
        &self,
        request: &Request<Incoming>,
    ) -> Option<Result<ControlResponse, ApiError>> {
        let path = request.uri().path();
        if !["/health/alive", "/health/ready", "/metrics"].contains(&path) {
            return None;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Some(Err(ApiError::method_not_allowed(OWN_METHODS)));
        }
        Some(match path {
            "/health/alive" => Ok(health::alive_response()),
            "/health/ready" => self
                .upstream
                .ready()
                .await
                .map(|()| health::alive_response()),
            _ => {
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

    async fn pass(
        &self,
        request: Request<Incoming>,
        client: IpAddr,
        request_id: &HeaderValue,
    ) -> Result<(Response<Body>, Source), Refusal> {
        let passing = self.admit(request, client, request_id)?;
        if let Some(form) = Form::of(&passing.parts) {
            return self.verify(passing, form).await;
        }
        let response = if is_self_revocation(&passing.parts) {
            self.self_revoke(passing).await?
        } else {
            let subjects = changed_key(&passing.parts);
            let pending = PendingChange::new(&self.cache.changes, subjects);
            let body = Either::Right(passing.body);
            let response = self.upstream.send(passing.parts, body).await?;
            pending.answered(response.status().as_u16());
            response
        };
        Ok((stream(response), Source::Elsewhere))
    }

    /// Checks the frame of a request and makes its headers those that the upstream gets.
    fn admit(
        &self,
        request: Request<Incoming>,
        client: IpAddr,
        request_id: &HeaderValue,
    ) -> Result<Passing, ApiError> {
        let (mut parts, body) = request.into_parts();
        if !parts.uri.path().starts_with('/') {
            return Err(ApiError::bad_request("malformed request target"));
        }
        let host = host::prepare(&mut parts.headers, parts.uri.authority(), self.host_source)?;
        if !self.allowed_hosts.allow(&host) {
            return Err(ApiError::forbidden("this host is not served here"));
        }
        let sender = if forward::expects_continue(&parts.headers) {
            Sender::Waits
        } else {
            Sender::Sends
        };
        forward::prepare_request(&mut parts.headers, client);
        parts.headers.insert(X_REQUEST_ID, request_id.clone());
        Ok(Passing {
            parts,
            body,
            sender,
            host,
        })
    }

    async fn read(&self, body: Incoming, sender: Sender) -> Result<WholeBody, Refusal> {
        let read = self.large_bodies.read(body, sender).await;
        read.map_err(|error| Refusal {
            error,
            is_last: true,
        })
    }

    async fn verify(
        &self,
        passing: Passing,
        form: Form,
    ) -> Result<(Response<Body>, Source), Refusal> {
        let Passing {
            parts,
            body,
            sender,
            host,
        } = passing;
        let body = self.read(body, sender).await?;
        let Some(question) = Question::new(form, &host, &parts.headers, &body.bytes) else {
            let response = self.upstream.send(parts, held(body.bytes)).await?;
            return Ok((stream(response), Source::Elsewhere));
        };
        let mode = cache_mode(&parts.headers);
        let begin = Instant::now();
        if mode == CacheMode::Use
            && let Some(entry) = self.cache.get(&question.digest, begin)
        {
            self.metrics.hits.fetch_add(1, Relaxed);
            // The upstream has said that it holds; only the time has passed since, and the entry knows how much.
            let request_id = parts.headers.get(X_REQUEST_ID);
            let request_id = request_id.ok_or_else(ApiError::internal)?;
            return Ok((answer::kept(&entry, request_id), Source::Cache));
        }
        self.metrics.misses.fetch_add(1, Relaxed);
        let asked = Asked {
            question,
            mode,
            moment: self.cache.changes.now(),
            begin,
        };
        let response = self.upstream.send(parts, held(body.bytes.clone())).await?;
        let response = self.learn(asked, response).await?;
        Ok((response, Source::Elsewhere))
    }

    /// Takes from the upstream's answer what the cache needs to know, and passes it on.
    async fn learn(
        &self,
        asked: Asked,
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
        let body = match self.upstream.read(body).await? {
            Either::Left(bytes) => bytes,
            // Nobody looks at it, so nothing of it can be trusted to be the same.
            Either::Right(body) => {
                self.cache.forget(&asked.question.digest);
                return Ok(Response::from_parts(parts, Either::Right(body)));
            }
        };
        let question = &asked.question;
        match lesson(parts.status, &parts.headers, &body, Timestamp::now()) {
            Lesson::Ended => self.cache.changes.record(question.credential),
            Lesson::Nothing => self.cache.forget(&question.digest),
            Lesson::Keep { .. } if asked.mode == CacheMode::Bypass => {}
            Lesson::Keep { key_id, rest } => match self.cache.life(rest) {
                None => self.cache.forget(&question.digest),
                Some(life) => {
                    let (headers, body) = answer::lasting(&parts.headers, &body);
                    let entry = Entry {
                        headers,
                        body,
                        asked: asked.moment,
                        subjects: [Subject::key_id(&key_id), question.credential],
                        end: asked.begin + life,
                    };
                    self.cache.insert(question.digest, entry);
                }
            },
        }
        Ok(Response::from_parts(parts, held(body)))
    }

    async fn self_revoke(&self, passing: Passing) -> Result<Response<Incoming>, Refusal> {
        let body = self.read(passing.body, passing.sender).await?;
        let subjects = match verify::parse_request(&body.bytes) {
            Ok(request) => credential_subjects(&request.credential),
            // The upstream will refuse it.
            Err(_) => Vec::new(),
        };
        let pending = PendingChange::new(&self.cache.changes, subjects);
        let body = held(body.bytes.clone());
        let response = self.upstream.send(passing.parts, body).await?;
        pending.answered(response.status().as_u16());
        Ok(response)
    }
}

/// A question on its way to the upstream.
struct Asked {
    question: Question,
    mode: CacheMode,
    moment: Moment,
    begin: Instant,
}

/// The path of a request with parameters in place of values: what a path holds beside them is nobody's business.
fn template(request: &Request<Incoming>) -> &'static str {
    match find(request.method().as_str(), request.uri().path()) {
        Match::Found { template, .. } => template,
        Match::NotFound | Match::MethodNotAllowed(_) => "other",
    }
}

fn is_self_revocation(parts: &Parts) -> bool {
    parts.method == Method::POST && parts.uri.path() == SELF_REVOKE_PATH
}

/// What a request may change: the key that its path names, or all of them, unless the method is safe.
fn changed_key(parts: &Parts) -> Vec<Subject> {
    if parts.method.is_safe() {
        return Vec::new();
    }
    let key_id = match find(parts.method.as_str(), parts.uri.path()) {
        Match::Found {
            endpoint: Endpoint::RevokeKeysWhere,
            ..
        } => return vec![Subject::ALL],
        Match::Found { key_id, .. } => key_id.any().ok(),
        Match::NotFound | Match::MethodNotAllowed(_) => None,
    };
    let key_id = key_id.map(|key_id| Subject::key_id(&key_id.to_string()));
    key_id.into_iter().collect()
}

/// The credential, and the key that it belongs to: an answer about a token derived from the key names only the latter.
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

/// Passes an answer on.
fn stream(response: Response<Incoming>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    forward::remove_hop_by_hop(&mut parts.headers);
    Response::from_parts(parts, Either::Right(body))
}
