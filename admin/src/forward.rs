//! Forwards requests from a replica to the primary.
//!
//! Guarantees: a request is forwarded once, so two nodes that each take the other for the primary
//! do not forward it in a circle; no secret leaves the machine in plain HTTP, unless the operator
//! allows it; the client learns whether nothing was changed or whether that is unknown; the primary
//! learns who the client is and where, and nobody else can tell it that.

use std::error::Error as _;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::fleet::{
    FORWARDED_CLIENT_HEADER, FORWARDED_HEADER, FORWARDED_TO_HEADER, ForwardedClient,
    ForwardingKeys, MIN_POSITION_HEADER, POSITION_HEADER, SealedRequest, body_digest,
    is_of_connection,
};
use talos_config::leaves_machine_in_plain;
use talos_https::Connector;
use talos_model::clock::{self, UnixMillis};
use talos_tls::ClientTls;

use crate::limits;

/// The headers of the primary's answer that the client gets. The others belong to the connection or
/// are written by this node.
const RETURNED: [&str; 6] = [
    "Content-Type",
    "Cache-Control",
    "Retry-After",
    "Allow",
    "WWW-Authenticate",
    POSITION_HEADER,
];
/// The headers of a request that belong to its connection (RFC 9110 §7.6.1) or that this node
/// writes itself.
const NOT_FORWARDED: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    FORWARDED_CLIENT_HEADER,
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];

/// The headers by which a caller proves who it is.
const CALLER: [&str; 2] = ["authorization", "x-talos-token"];

/// How requests are passed on to the primary.
#[derive(Clone, Debug)]
pub struct ForwardSettings {
    /// TLS to primaries with an `https://` URL.
    pub tls: Arc<ClientTls>,
    /// What may be sent to primaries with an `http://` URL.
    pub plain_http: PlainHttp,
}

/// What may be sent over plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    /// Secrets only to this machine.
    SecretsOnLoopback,
    /// Everything.
    Everything,
}

/// A pool of connections to primaries.
pub(crate) struct Forwarder {
    client: Client<Connector, Full<Bytes>>,
    plain_http: PlainHttp,
    keys: Option<ForwardingKeys>,
}

impl Forwarder {
    /// An empty pool. `keys` seal what is said about clients; `None` = nothing is said.
    pub(crate) fn new(settings: ForwardSettings, keys: Option<ForwardingKeys>) -> Self {
        let connector = Connector::new(settings.tls, limits::FORWARD_CONNECT);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits::FORWARD_IDLE)
            .build(connector);
        Self {
            client,
            plain_http: settings.plain_http,
            keys,
        }
    }

    /// Sends the request to the primary at `url` and returns its answer.
    ///
    /// # Errors
    /// For the client: 502, 503 or 504.
    pub(crate) async fn forward(
        &self,
        url: &str,
        request: &ControlRequest,
    ) -> Result<ControlResponse, ApiError> {
        if header(request, FORWARDED_HEADER).is_some() {
            return Err(ApiError::service_unavailable(
                "this node is a replica, and another one took it for the primary; check replication.primary_url",
            ));
        }
        if self.plain_http == PlainHttp::SecretsOnLoopback
            && leaves_machine_in_plain(url)
            && has_secret(request)
        {
            return Err(ApiError::service_unavailable(
                "this node is a replica and does not send secrets to its primary in plain HTTP: nothing was changed; ask the primary, or let the operator set replication.primary_url to an https:// URL or replication.forward.allow_plain to true",
            ));
        }
        let outgoing = outgoing(url, request, self.keys.as_ref(), clock::now())?;
        let exchange = async {
            let response = self.client.request(outgoing).await.map_err(|error| {
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                tracing::warn!(url, %error, cause, "a change could not be forwarded to the primary");
                if error.is_connect() {
                    ApiError::service_unavailable(
                        "the primary cannot be reached, and this node is a replica: nothing was changed; try again",
                    )
                } else {
                    ApiError::bad_gateway()
                }
            })?;
            answer(url, response).await
        };
        tokio::time::timeout(limits::FORWARD_WAIT, exchange)
            .await
            .unwrap_or_else(|_| Err(ApiError::upstream_timeout()))
    }
}

/// Whether the request, or its answer, contains a credential of anybody.
fn has_secret(request: &ControlRequest) -> bool {
    let mut names = request.headers.iter().map(|(name, _)| name);
    request.endpoint.carries_secrets()
        || names.any(|name| {
            CALLER
                .iter()
                .any(|caller| name.eq_ignore_ascii_case(caller))
        })
}

fn header<'a>(request: &'a ControlRequest, name: &str) -> Option<&'a str> {
    let mut headers = request.headers.iter();
    let found = headers.find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

fn outgoing(
    url: &str,
    request: &ControlRequest,
    keys: Option<&ForwardingKeys>,
    now: UnixMillis,
) -> Result<Request<Full<Bytes>>, ApiError> {
    let malformed = || ApiError::bad_request("malformed request");
    let query = match request.query.as_str() {
        "" => String::new(),
        query => format!("?{query}"),
    };
    let mut outgoing = Request::builder()
        .method(request.method)
        .uri(format!("{url}{}{query}", request.path))
        .body(Full::from(request.body.clone()))
        .map_err(|_| malformed())?;
    let client = keys.and_then(|keys| sealed_client(keys, outgoing.uri(), request, now));
    let headers = outgoing.headers_mut();
    let is_own = |name: &str| {
        NOT_FORWARDED.contains(&name) || name.eq_ignore_ascii_case(MIN_POSITION_HEADER)
    };
    for (name, value) in request.headers.iter().filter(|(name, _)| !is_own(name)) {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| malformed())?;
        let value = HeaderValue::from_str(value).map_err(|_| malformed())?;
        headers.append(name, value);
    }
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| malformed());
    headers.insert(CONTENT_LENGTH, HeaderValue::from(request.body.len()));
    // The primary finds the tenant by the host that the client asked.
    headers.insert(HOST, value(&request.host)?);
    headers.insert("x-request-id", value(&request.request_id)?);
    headers.insert(FORWARDED_HEADER, HeaderValue::from_static("1"));
    if let Some(client) = client {
        headers.insert(FORWARDED_CLIENT_HEADER, value(&client)?);
    }
    Ok(outgoing)
}

/// What this node says about the client of `request`, which it sends to `uri`.
fn sealed_client(
    keys: &ForwardingKeys,
    uri: &Uri,
    request: &ControlRequest,
    now: UnixMillis,
) -> Option<String> {
    // The holder of a token proves it to the primary itself.
    let principal = request.principal.as_deref();
    let principal = principal.filter(|principal| is_of_connection(principal.proof));
    let client = ForwardedClient {
        principal: principal.cloned(),
        address: request.client_ip,
        body: body_digest(&request.body),
        time: now,
    };
    let sealed = SealedRequest {
        method: request.method,
        path: uri.path(),
        query: uri.query().unwrap_or_default(),
        host: &request.host,
    };
    keys.seal(&sealed, &client)
}

async fn answer(
    url: &str,
    response: Response<hyper::body::Incoming>,
) -> Result<ControlResponse, ApiError> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, limits::FORWARD_ANSWER_BYTES);
    let body = body.collect().await.map_err(|error| {
        tracing::warn!(
            url,
            error,
            "the connection to the primary ended within its answer"
        );
        ApiError::bad_gateway()
    })?;
    let text = |name: &'static str| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        Some((name, value.to_owned()))
    };
    let mut headers: Vec<_> = RETURNED.into_iter().filter_map(text).collect();
    headers.push((FORWARDED_TO_HEADER, url.to_owned()));
    Ok(ControlResponse {
        status: parts.status.as_u16(),
        headers,
        body: body.to_bytes().to_vec(),
        rest: None,
    })
}

#[cfg(test)]
mod tests {
    use talos_api::route::{self, Endpoint, Resolution, Surface};
    use talos_model::{Principal, Proof, Role, Secret, TenantId};
    use talos_tls::{ClientFiles, Protocol};

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn forwarder(plain_http: PlainHttp) -> Forwarder {
        let tls = ClientTls::load(ClientFiles::default(), Protocol::Http);
        let settings = ForwardSettings {
            tls: Arc::new(tls.expect("no files")),
            plain_http,
        };
        Forwarder::new(settings, None)
    }

    fn request(headers: &[(&str, &str)]) -> ControlRequest {
        let path = "/v2alpha1/admin/apiKeys/%41:revoke";
        let Resolution::Control(route) = route::resolve(Surface::All, "POST", path) else {
            panic!("no route: {path}");
        };
        let headers = headers.iter();
        ControlRequest {
            endpoint: route.endpoint,
            method: route.method,
            template: route.template,
            key_id: route.key_id.parse(),
            tenant: TenantId::SINGLE,
            tenant_of_host: None,
            path: path.to_owned(),
            query: "wait=replicas".to_owned(),
            host: "keys.example:4420".to_owned(),
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: b"{}".to_vec(),
            request_id: "r-1".to_owned(),
            client_ip: None,
            principal: None,
            sealed_body: None,
        }
    }

    #[test]
    fn a_request_is_passed_on_as_it_came() {
        let request = request(&[
            ("authorization", "Bearer x"),
            ("connection", "close"),
            (FORWARDED_CLIENT_HEADER, "v1.x.y"),
            ("talos-min-position", "1.2"),
            ("x-request-id", "other"),
        ]);
        let outgoing = outgoing("http://primary:4420", &request, None, NOW).expect("a request");
        assert_eq!(
            outgoing.uri(),
            "http://primary:4420/v2alpha1/admin/apiKeys/%41:revoke?wait=replicas"
        );
        let mut headers: Vec<_> = outgoing
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect();
        headers.sort();
        assert_eq!(
            headers,
            [
                "authorization: Bearer x",
                "content-length: 2",
                "host: keys.example:4420",
                "talos-forwarded: 1",
                "x-request-id: r-1",
            ]
        );
    }

    /// What the primary reads about the client of `request`.
    fn said_of(request: &ControlRequest) -> ForwardedClient {
        let keys = ForwardingKeys::new(&Secret::new("of the fleet".to_owned()), &[]);
        let url = "http://primary:4420";
        let outgoing = outgoing(url, request, Some(&keys), NOW).expect("a request");
        let mut values = outgoing.headers().get_all(FORWARDED_CLIENT_HEADER).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            panic!("not one value");
        };
        let sealed = SealedRequest {
            method: "POST",
            path: "/v2alpha1/admin/apiKeys/%41:revoke",
            query: "wait=replicas",
            host: "keys.example:4420",
        };
        keys.open(&sealed, value.as_bytes(), NOW).expect("a seal")
    }

    #[test]
    fn the_primary_learns_who_the_client_is_and_where() {
        let mut request = request(&[(FORWARDED_CLIENT_HEADER, "of a client")]);
        request.client_ip = Some([192, 0, 2, 7].into());
        for (proof, is_said) in [
            (Proof::Certificate, true),
            (Proof::PeerCredentials, true),
            (Proof::Token, false),
            (Proof::BootstrapToken, false),
        ] {
            let principal = Principal {
                name: "ci".to_owned(),
                proof,
                role: Role::Write,
                tenant: None,
            };
            request.principal = Some(Arc::new(principal.clone()));
            let said = said_of(&request);
            assert_eq!(said.principal, is_said.then_some(principal));
            assert_eq!(said.address, request.client_ip);
            assert_eq!(said.body, body_digest(b"{}"));
        }
        request.principal = None;
        assert_eq!(said_of(&request).principal, None);
    }

    #[test]
    fn an_answer_keeps_the_rule_that_no_cache_stores_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let primary = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut seen = [0; 4096];
            let read = std::io::Read::read(&mut stream, &mut seen).expect("a request");
            assert!(read > 0);
            let answer =
                b"HTTP/1.1 201 Created\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\n{}";
            std::io::Write::write_all(&mut stream, answer).expect("sent");
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let forwarder = forwarder(PlainHttp::SecretsOnLoopback);
        let answer =
            runtime.block_on(forwarder.forward(&format!("http://{address}"), &request(&[])));
        let headers = answer.expect("an answer").headers;
        assert!(
            headers.contains(&("Cache-Control", "no-store".to_owned())),
            "{headers:?}"
        );
        primary.join().expect("answered");
    }

    #[test]
    fn a_request_is_passed_on_once() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let forwarder = forwarder(PlainHttp::SecretsOnLoopback);
        let request = request(&[(FORWARDED_HEADER, "1")]);
        let refused = runtime.block_on(forwarder.forward("http://127.0.0.1:1", &request));
        assert_eq!(refused.expect_err("a refusal").status(), 503);
    }

    #[test]
    fn secrets_leave_the_machine_only_over_tls_or_where_that_is_allowed() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let with = |endpoint| ControlRequest {
            endpoint,
            ..request(&[])
        };
        // Nothing listens there, so whatever is sent fails with another message.
        let refused = |plain_http, url: &str, request: &ControlRequest| {
            let forwarder = forwarder(plain_http);
            let error = runtime.block_on(async {
                let outcome = forwarder.forward(url, request);
                tokio::time::timeout(limits::FORWARD_CONNECT * 2, outcome).await
            });
            let error = error.expect("in time").expect_err("nobody answers");
            assert_eq!(error.status(), 503);
            format!("{error:?}").contains("in plain HTTP")
        };
        let remote = "http://127.0.0.1.invalid:1";
        let strict = PlainHttp::SecretsOnLoopback;
        for endpoint in [
            Endpoint::IssueKey,
            Endpoint::IssueKeyShort,
            Endpoint::RotateIssuedKey,
            Endpoint::ImportKey,
            Endpoint::ImportKeys,
            Endpoint::SelfRevoke,
        ] {
            let request = with(endpoint);
            assert!(refused(strict, remote, &request), "{endpoint:?}");
            assert!(!refused(PlainHttp::Everything, remote, &request));
            assert!(!refused(strict, "http://127.0.0.1:1", &request));
            assert!(!refused(strict, "https://127.0.0.1.invalid:1", &request));
        }
        // A revocation by id is passed on, unless the caller has a credential of its own.
        assert!(!refused(strict, remote, &with(Endpoint::RevokeKey)));
        for name in ["Authorization", "x-talos-token"] {
            assert!(refused(strict, remote, &request(&[(name, "x")])), "{name}");
        }
    }
}
