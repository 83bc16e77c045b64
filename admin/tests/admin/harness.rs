//! A control plane on an engine of its own, in a directory that is removed afterwards.

use std::sync::{Arc, mpsc};

use serde_json::Value;
use talos_admin::{AdminService, AdminSettings, ForwardSettings, PlainHttp};
use talos_api::audit::AuditLog;
use talos_api::config::{ConfigState, Configuration};
use talos_api::control::{ControlPlane, ControlRequest, ControlResponse, Reply};
use talos_api::error::ApiError;
use talos_api::fleet::{Fleet, body_digest};
use talos_api::route::{self, ControlRoute, Resolution, Surface};
use talos_credentials::token::SigningKeys;
use talos_credentials::{Keyring, KeyringSettings, Prefixes, Tenant, TokenSettings};
use talos_engine::{Engine, Options};
use talos_model::{Answer, CacheMode, Principal, Query, Refusal, Secret, TenantId, Verdict};
use talos_test_kit::engine::{keyring_settings, options, prefixes, query, verify};
use talos_test_kit::http::assert_error_envelope;
use talos_tls::{ClientFiles, ClientTls, Protocol};
use tempfile::TempDir;

use crate::fleet::SingleNode;

pub const ISSUED_KEYS: &str = "/v2alpha1/admin/issuedApiKeys";
/// The private key of RFC 8037 appendix A.1.
const SIGNING_KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"k1","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
pub const UNKNOWN_ID: &str = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";

/// How the control plane of a test is set up.
#[derive(Clone, Default)]
pub struct Setup {
    pub default_ttl_ms: Option<u64>,
    pub public_prefix: Option<String>,
    /// The node's fleet; without one it waits for no replica.
    pub fleet: Option<Arc<dyn Fleet>>,
    /// Where requests are noted.
    pub audit: Option<Arc<dyn AuditLog>>,
    /// The principal that sends all requests.
    pub principal: Option<Arc<Principal>>,
    /// The body that another node has sealed; `None` = no other node has forwarded the requests.
    pub sealed_body: Option<&'static str>,
}

/// What the control plane answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Value,
}

impl From<ControlResponse> for Response {
    fn from(response: ControlResponse) -> Self {
        let body = match response.body.as_slice() {
            b"" => Value::Null,
            body => serde_json::from_slice(body).expect("JSON"),
        };
        Self {
            status: response.status,
            headers: response.headers,
            body,
        }
    }
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| *header == name)
            .map(|(_, value)| value.as_str())
    }

    /// Checks the whole envelope, but for the message, and returns that.
    pub fn error(&self, code: u16, status: &str, reason: &str) -> &str {
        assert_eq!(self.header("Content-Type"), Some("application/json"));
        assert_error_envelope(self.status, &self.body, code, status, reason)
    }
}

/// A configuration that does not change.
pub struct Unchanging;

impl Configuration for Unchanging {
    fn state(&self) -> ConfigState {
        ConfigState {
            generation: 1,
            hash: "00".to_owned(),
            restart_required: Vec::new(),
        }
    }

    fn reload(&self) -> Result<ConfigState, String> {
        Err("talos.yaml:1:1: unknown key".to_owned())
    }
}

pub struct Harness {
    directory: TempDir,
    setup: Setup,
    pub engine: Arc<Engine>,
    admin: Option<AdminService>,
    pub control: Arc<dyn ControlPlane>,
}

impl Harness {
    pub fn new() -> Self {
        Self::with(Setup::default())
    }

    pub fn with(setup: Setup) -> Self {
        Self::open(tempfile::tempdir().expect("a directory"), setup)
    }

    fn open(directory: TempDir, setup: Setup) -> Self {
        let keyring = KeyringSettings {
            prefixes: Prefixes {
                public_current: setup.public_prefix.clone(),
                ..prefixes("talos")
            },
            clock_skew_s: 300,
            tokens: TokenSettings {
                signing_keys: Arc::new(SigningKeys::from_jwk_sets([SIGNING_KEY]).expect("a key")),
                ..TokenSettings::default()
            },
            ..keyring_settings()
        };
        let engine = Engine::open(Options {
            shards: Some(2),
            block_cache_bytes: 8 << 20,
            write_buffer_bytes: 128 << 20,
            table_memory: talos_engine::TableMemory::Beside,
            cache_bytes: 8 << 20,
            tenants: vec![Arc::new(Tenant {
                default_ttl_ms: setup.default_ttl_ms,
                page_secrets: vec![Secret::new("for page tokens".to_owned()).into()],
                ..Tenant::new(TenantId::SINGLE, Keyring::new(keyring), 300)
            })],
            ..options(&directory.path().join("data"))
        })
        .expect("an engine");
        let settings = AdminSettings {
            version: "1.2.3",
            configuration: Arc::new(Unchanging),
            forward: forward_settings(),
            forwarding_keys: None,
            bodies_bytes: 64 << 20,
            audit: setup.audit.clone(),
        };
        let fleet = setup.fleet.clone();
        let fleet = fleet.unwrap_or_else(|| Arc::new(SingleNode::new()));
        let admin = AdminService::start(Arc::clone(&engine), fleet, settings).expect("a service");
        let control = admin.control_plane();
        Self {
            directory,
            setup,
            engine,
            admin: Some(admin),
            control,
        }
    }

    /// Stops everything cleanly and opens the same directory again.
    pub fn restart(mut self) -> Self {
        self.stop_admin();
        self.engine.shutdown();
        let Self {
            directory,
            setup,
            engine,
            control,
            ..
        } = self;
        drop((engine, control));
        Self::open(directory, setup)
    }

    pub fn stop_admin(&mut self) {
        self.admin.take().expect("a running service").shutdown();
    }

    /// Sends a request as the data plane would and waits for the answer.
    pub fn call(&self, method: &str, path: &str, body: &str) -> Response {
        self.begin(method, path, body)
            .recv()
            .expect("an answer")
            .into()
    }

    /// Sends a request; the answer comes on the channel, which closes without one when the reply is
    /// dropped.
    pub fn begin(&self, method: &str, path: &str, body: &str) -> mpsc::Receiver<ControlResponse> {
        let (sender, receiver) = mpsc::channel();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let refusal = match route::resolve(Surface::All, method, path) {
            Resolution::Control(route) => {
                // A test that no longer waits does not care.
                let reply = Box::new(move |response| drop(sender.send(response)));
                self.submit(route, (path, query), body, reply);
                return receiver;
            }
            Resolution::NotFound | Resolution::Hot(_) => ApiError::not_found_route(),
            Resolution::MethodNotAllowed(allow) => ApiError::method_not_allowed(allow),
        };
        // The data plane answers these itself.
        sender.send(refusal.into()).expect("a receiver");
        receiver
    }

    /// Posts a request whose answer goes to `reply`.
    pub fn send(&self, path: &str, body: &str, reply: Reply) {
        match route::resolve(Surface::All, "POST", path) {
            Resolution::Control(route) => self.submit(route, (path, ""), body, reply),
            _ => unreachable!("not a route of the control plane: {path}"),
        }
    }

    fn submit(
        &self,
        route: ControlRoute<'_>,
        (path, query): (&str, &str),
        body: &str,
        reply: Reply,
    ) {
        let request = ControlRequest {
            endpoint: route.endpoint,
            method: route.method,
            template: route.template,
            key_id: route.key_id.parse(),
            tenant: TenantId::SINGLE,
            tenant_of_host: None,
            path: path.to_owned(),
            query: query.to_owned(),
            host: "localhost:4420".to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.as_bytes().to_vec(),
            request_id: format!("request-of-{}", path.len()),
            client_ip: Some([127, 0, 0, 1].into()),
            principal: self.setup.principal.clone(),
            sealed_body: self
                .setup
                .sealed_body
                .map(|body| body_digest(body.as_bytes())),
        };
        self.control
            .submit(request, reply)
            .expect("room in the queue");
    }

    /// Issues a key from `body`; returns its id and secret.
    pub fn issue(&self, body: &Value) -> (String, String) {
        let response = self.call("POST", ISSUED_KEYS, &body.to_string());
        assert_eq!(response.status, 201, "{:?}", response.body);
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (
            text(&response.body["issued_api_key"]["key_id"]),
            text(&response.body["secret"]),
        )
    }

    pub fn get(&self, key_id: &str) -> Response {
        self.call("GET", &format!("{ISSUED_KEYS}/{key_id}"), "")
    }

    pub fn revoke(&self, key_id: &str, body: &str) -> Response {
        self.call("POST", &format!("{ISSUED_KEYS}/{key_id}:revoke"), body)
    }

    /// What the data plane would say of a credential: `Ok` with the body, or the refusal.
    pub fn verify(&self, credential: &str, cache: CacheMode) -> Result<Value, Refusal> {
        let query = Query {
            client_ip: Some([127, 0, 0, 1].into()),
            ..query(credential, cache)
        };
        let read = |answer: Answer<'_>| match answer.verdict {
            Verdict::Valid { body, .. } => Ok(serde_json::from_slice(body).expect("JSON")),
            Verdict::Limited { .. } => Err(Refusal::RateLimited),
            Verdict::Refused(refusal) => Err(refusal),
        };
        verify(&self.engine, &query, read)
    }
}

/// A node that passes nothing on.
pub fn forward_settings() -> ForwardSettings {
    let tls = ClientTls::load(ClientFiles::default(), Protocol::Http);
    ForwardSettings {
        tls: Arc::new(tls.expect("no files")),
        plain_http: PlainHttp::SecretsOnLoopback,
    }
}
