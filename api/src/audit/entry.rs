//! One entry of the audit log, before it gets its number and its place in the chain.

use std::net::IpAddr;
use std::sync::Arc;

use talos_credentials::PublicPart;
use talos_model::clock::UnixMillis;
use talos_model::{KeyId, Position, Principal, TenantId};

/// The longest request id that is noted, in bytes; the rest of a longer one is cut off.
pub const REQUEST_ID_BYTES: usize = 128;
/// Characters of the identifier of an issued key that are noted. They tell the time of its issue
/// apart from others, and nothing of its id or checksum.
pub const CREDENTIAL_START_CHARS: usize = 8;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request reached the control plane, which carried it out, forwarded or refused it.
    Request,
    /// The data plane refused a request before it reached the control plane.
    RequestRefused,
    /// A credential was not valid.
    VerificationFailed,
}

impl Event {
    /// The name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "Request",
            Self::RequestRefused => "RequestRefused",
            Self::VerificationFailed => "APIKeyVerificationFailed",
        }
    }
}

/// What is noted of one request or verification. Nothing here may hold a secret, a credential or a
/// part of a body.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What happened.
    pub event: Event,
    /// When the entry was made.
    pub time: UnixMillis,
    /// Who asked; `None` = nobody had to say it, or did not prove it.
    pub principal: Option<Arc<Principal>>,
    /// The client's address; `None` over a Unix socket without a forwarding header.
    pub client: Option<IpAddr>,
    /// The id of the request, visible ASCII, see [`request_id`].
    pub request_id: String,
    /// The id of the operation in the `OpenAPI` document.
    pub operation: &'static str,
    /// The method, as the table of routes spells it.
    pub method: &'static str,
    /// The path with parameters in place of values.
    pub route: &'static str,
    /// The tenant.
    pub tenant: TenantId,
    /// The keys concerned: that of the path, and those that were created.
    pub key_ids: Vec<KeyId>,
    /// The ids of tokens that were created.
    pub token_ids: Vec<String>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The reason of an error or the error code of a refused credential.
    pub reason: Option<String>,
    /// A position of the change log, up to which the log holds the change; `None` if there is none.
    pub position: Option<Position>,
    /// How many keys a bulk action changed.
    pub count: Option<u64>,
    /// The URL of the primary that answered in place of this node.
    pub forwarded_to: Option<String>,
    /// What may be said of a refused credential.
    pub credential: Option<PublicPart>,
}

/// A request id as entries hold it: at most [`REQUEST_ID_BYTES`] bytes of it.
#[must_use]
pub fn request_id(bytes: &[u8]) -> String {
    let bytes = bytes.get(..REQUEST_ID_BYTES).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}
