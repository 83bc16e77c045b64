//! The authorize stage: who makes a request, and whether its route allows it.
//!
//! Guarantees: a request is refused before its body is read and before it waits for anything; a
//! credential that is there and wrong is refused even if the connection proves a principal, so that
//! nobody acts as somebody else than they meant; without the rules of `serve.admin.auth` a
//! verification costs one comparison.
//!
//! A request proves its principal by a token, which is in `X-Talos-Token` or else in
//! `Authorization`; by what another node has sealed when it forwarded the request; or by its
//! connection, in this order.

use std::net::IpAddr;
use std::sync::Arc;

use talos_api::bearer;
use talos_api::error::ApiError;
use talos_api::fleet::{FORWARDED_CLIENT_HEADER, FORWARDED_HEADER, ForwardedClient, SealedRequest};
use talos_api::route::{HotRoute, Resolution};
use talos_model::{Permission, Principal, Proof, TenantId};

use crate::access::Access;
use crate::core::Core;
use crate::limits;
use crate::observe;
use crate::parser::Head;
use crate::step::Input;

/// The header of an administrator's token, for routes whose `Authorization` has another credential,
/// and for clients behind a proxy that uses `Authorization` itself.
const TOKEN_HEADER: &str = "x-talos-token";

/// The client of a request for the control plane.
#[derive(Debug, Default)]
pub(crate) struct Caller {
    /// Its principal; `None` when the request needs none.
    pub principal: Option<Arc<Principal>>,
    /// What another node says about the client; `None` when no node has forwarded the request.
    pub forwarded: Option<ForwardedClient>,
}

impl Caller {
    /// Whether no web page can have made the browser of an administrator send the request: it has a
    /// token, which browsers do not add by themselves, or it comes from another node, which has
    /// checked it. A certificate and a user's id are added to requests of any page.
    pub(crate) fn is_beyond_pages(&self) -> bool {
        let has_token = |principal: &Arc<Principal>| {
            matches!(principal.proof, Proof::Token | Proof::BootstrapToken)
        };
        self.forwarded.is_some() || self.principal.as_ref().is_some_and(has_token)
    }

    /// The client's address: what the forwarding node has seen, or else `seen` by this node.
    pub(crate) fn address(&self, seen: Option<IpAddr>) -> Option<IpAddr> {
        match &self.forwarded {
            Some(client) => client.address,
            None => seen,
        }
    }
}

/// A request that its route does not allow.
#[derive(Debug)]
pub(crate) struct NotAllowed {
    /// The answer.
    pub error: ApiError,
    /// The principal of the client; `None` when the request proves none.
    pub principal: Option<Arc<Principal>>,
}

impl From<ApiError> for NotAllowed {
    fn from(error: ApiError) -> Self {
        Self {
            error,
            principal: None,
        }
    }
}

/// Refuses a request whose principal may not use the route. Returns who makes a request for the
/// control plane.
///
/// # Errors
/// 401 when the route needs a principal and the request proves none; 403 when the principal's role
/// or tenant does not allow it.
#[inline]
pub(crate) fn authorize(
    core: &Core,
    head: &Head<'_, '_>,
    resolution: &Resolution<'_>,
    tenant: TenantId,
    input: Input<'_>,
) -> Result<Option<Box<Caller>>, NotAllowed> {
    if let Resolution::Hot(route) = resolution
        && observe::is_asked(head, *route, input.port.surface)?
    {
        return observation(core, head, *route, tenant, input).map(|()| None);
    }
    match (resolution, &core.live().access) {
        (Resolution::Control(_), access) => {
            control(core, access.as_deref(), head, resolution, tenant, input).map(Some)
        }
        (Resolution::Hot(hot), Some(access)) => {
            verification(core, access, head, *hot, tenant, input).map(|()| None)
        }
        _ => Ok(None),
    }
}

/// Judges a request for a hot route.
fn verification(
    core: &Core,
    access: &Access,
    head: &Head<'_, '_>,
    route: HotRoute,
    tenant: TenantId,
    input: Input<'_>,
) -> Result<(), NotAllowed> {
    let Some(permission) = route.permission().filter(|_| !access.open_verification) else {
        return Ok(());
    };
    let principal = verifying_principal(core, access, head, route, input)?;
    allow(principal.as_ref(), permission, tenant, Some(route))
}

/// Judges a verification that is no use of the key. It is for those who may look at keys, also
/// where anybody may verify: a service could evade the rate limits of keys by it.
#[cold]
fn observation(
    core: &Core,
    head: &Head<'_, '_>,
    route: HotRoute,
    tenant: TenantId,
    input: Input<'_>,
) -> Result<(), NotAllowed> {
    let Some(access) = &core.live().access else {
        return Ok(());
    };
    let principal = verifying_principal(core, access, head, route, input)?;
    allow(principal.as_ref(), Permission::Read, tenant, Some(route))
}

/// The principal of a request for a hot route; `None` when it proves none.
fn verifying_principal(
    core: &Core,
    access: &Access,
    head: &Head<'_, '_>,
    route: HotRoute,
    input: Input<'_>,
) -> Result<Option<Arc<Principal>>, ApiError> {
    Ok(match token_of(head, Some(route))? {
        Some(token) => Some(holder(core, access, token, input)?),
        None => input.principal.map(Arc::clone),
    })
}

/// Judges a request for the control plane.
fn control(
    core: &Core,
    access: Option<&Access>,
    head: &Head<'_, '_>,
    resolution: &Resolution<'_>,
    tenant: TenantId,
    input: Input<'_>,
) -> Result<Box<Caller>, NotAllowed> {
    let mut forwarded = forwarded(core, head, input);
    let mut principal = None;
    if let Some(access) = access
        && let Some(permission) = resolution.permission()
    {
        principal = match token_of(head, None)? {
            Some(token) => Some(holder(core, access, token, input)?),
            // The connection is that of the other node, whose rights its clients do not have.
            None if is_forwarded(head) => {
                let client = forwarded.as_mut();
                client.and_then(|client| client.principal.take().map(Arc::new))
            }
            None => input.principal.map(Arc::clone),
        };
        allow(principal.as_ref(), permission, tenant, None)?;
    }
    Ok(Box::new(Caller {
        principal,
        forwarded,
    }))
}

/// Whether the request says that another node has forwarded it.
fn is_forwarded(head: &Head<'_, '_>) -> bool {
    let mut fields = head.fields.iter();
    fields.any(|field| field.name.eq_ignore_ascii_case(FORWARDED_HEADER))
}

/// What another node has sealed about the client of this request. A header without a seal that
/// holds here counts for nothing: any client can send one.
fn forwarded(core: &Core, head: &Head<'_, '_>, input: Input<'_>) -> Option<ForwardedClient> {
    let keys = core.shared.forwarding_keys.as_ref()?;
    let request = SealedRequest {
        method: head.method,
        path: head.path,
        query: head.query,
        host: head.host,
    };
    let value = head.only(FORWARDED_CLIENT_HEADER)?;
    let opened = keys.open(&request, value, input.now);
    if opened.is_none() {
        tracing::debug!("what a node says about a client has no seal that holds here");
    }
    opened
}

/// The token of a request; `None` without one. On the route whose `Authorization` holds the
/// credential to be verified, only the header of tokens counts.
///
/// # Errors
/// 401 when the fields do not name exactly one token.
fn token_of<'b>(
    head: &Head<'_, 'b>,
    route: Option<HotRoute>,
) -> Result<Option<&'b [u8]>, ApiError> {
    let (mut tokens, mut authorizations) = (Values::None, Values::None);
    for field in head.fields {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is(TOKEN_HEADER) {
            tokens = tokens.and(field.value.trim_ascii());
        } else if is("authorization") {
            authorizations = authorizations.and(field.value);
        }
    }
    match (tokens, authorizations) {
        (Values::One(token), _) if fits(token) => Ok(Some(token)),
        (Values::One(_), _) => Err(unknown_token()),
        (Values::Many, _) => Err(ApiError::unauthenticated(
            "there is more than one X-Talos-Token header; send one",
        )),
        (Values::None, Values::None) => Ok(None),
        (Values::None, _) if route == Some(HotRoute::VerifyBearer) => Ok(None),
        (Values::None, Values::Many) => Err(ApiError::unauthenticated(
            "there is more than one Authorization header; send one",
        )),
        (Values::None, Values::One(value)) => match bearer::credential(value) {
            Some(token) if fits(token) => Ok(Some(token)),
            Some(_) => Err(unknown_token()),
            None => Err(ApiError::unauthenticated(
                "the Authorization header has no token: send Authorization: Bearer TOKEN",
            )),
        },
    }
}

/// The values of a field that may occur once.
enum Values<'b> {
    None,
    One(&'b [u8]),
    Many,
}

impl<'b> Values<'b> {
    fn and(self, value: &'b [u8]) -> Self {
        match self {
            Self::None => Self::One(value),
            Self::One(_) | Self::Many => Self::Many,
        }
    }
}

/// Whether this may be a token. A longer text is not hashed.
fn fits(token: &[u8]) -> bool {
    (1..=limits::TOKEN_BYTES).contains(&token.len())
}

/// The principal that holds `token`.
fn holder(
    core: &Core,
    access: &Access,
    token: &[u8],
    input: Input<'_>,
) -> Result<Arc<Principal>, ApiError> {
    let engine = &core.shared.engine;
    let principal = access.of_token(engine, token, input.now);
    principal.ok_or_else(unknown_token)
}

/// Refuses an unknown, a revoked and an expired token alike, so that clients cannot tell which
/// tokens were once accepted.
fn unknown_token() -> ApiError {
    ApiError::unauthenticated("this token is unknown, revoked or expired")
}

/// Judges whether a principal may do what needs `permission`.
fn allow(
    principal: Option<&Arc<Principal>>,
    permission: Permission,
    tenant: TenantId,
    route: Option<HotRoute>,
) -> Result<(), NotAllowed> {
    let Some(principal) = principal else {
        let error = ApiError::unauthenticated(match route {
            Some(HotRoute::VerifyBearer) => {
                "this server needs to know who asks: send X-Talos-Token: TOKEN beside Authorization, which holds the credential to verify"
            }
            _ => "this server needs to know who asks: send Authorization: Bearer TOKEN",
        });
        return Err(error.into());
    };
    if principal.may(permission, tenant) {
        return Ok(());
    }
    let Principal { role, tenant, .. } = &**principal;
    let permission_name = permission.name();
    let error = ApiError::forbidden(if !role.allows(permission) {
        format!(
            "the role {role} does not have the permission {permission_name}, which this route needs"
        )
    } else if tenant.is_some() && !permission.is_of_one_tenant() {
        format!(
            "the permission {permission_name} concerns the whole server, and this principal is limited to one tenant"
        )
    } else {
        "this principal is limited to another tenant".to_owned()
    });
    Err(NotAllowed {
        error,
        principal: Some(Arc::clone(principal)),
    })
}
