//! Rules that span several keys. Each value is already within its own bounds.

use crate::error::{Problem, Warning};
use crate::settings::{ClientIpSource, Settings};

/// Combinations that stop the start.
pub(crate) fn problems(settings: &Settings) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(ambiguous_prefix(settings));
    problems.extend(open_cors(settings));
    problems.extend(settings.replication.problems());
    problems
}

/// Combinations that work, but that the operator should know about.
pub(crate) fn warnings(settings: &Settings) -> Vec<Warning> {
    let mut warnings = Vec::new();
    warnings.extend(default_ttl_over_maximum(settings));
    warnings.extend(unknown_signing_key(settings));
    warnings.extend(forwarded_host_without_tenants(settings));
    warnings.extend(addresses_from_anybody(settings));
    let has_socket = settings.serve.http.socket.is_some();
    warnings.extend(settings.serve.admin_auth.warnings(has_socket));
    warnings.extend(settings.replication.warnings());
    warnings
}

/// A prefix that macaroons and issued keys share.
fn ambiguous_prefix(settings: &Settings) -> Option<Problem> {
    let keys = &settings.credentials.api_keys.prefix;
    let macaroons = &settings.credentials.derived_tokens.macaroon_prefixes;
    let shadowed = std::iter::once(&keys.current)
        .chain(&keys.retired)
        .chain(&keys.public_current)
        .chain(&keys.public_retired)
        .find(|prefix| macaroons.shadow(prefix))?;
    Some(Problem::of_key(
        "credentials.derived_tokens.macaroon.prefix",
        format!(
            "macaroons and issued keys with the prefix {shadowed:?} could not be told apart; choose another prefix for one of the two"
        ),
    ))
}

/// Cross-origin rules that would let the pages of any origin act for their visitors.
fn open_cors(settings: &Settings) -> Option<Problem> {
    let cors = &settings.serve.http.cors;
    cors.allows_credentials_from_any_origin().then(|| {
        Problem::of_key(
            "serve.http.cors.allow_credentials",
            "true with * among serve.http.cors.allowed_origins would let every page act for its visitors; list the origins",
        )
    })
}

fn default_ttl_over_maximum(settings: &Settings) -> Option<Warning> {
    let keys = &settings.credentials.api_keys;
    let default_ttl = keys.default_ttl?;
    (default_ttl > keys.max_ttl).then(|| Warning {
        key: "credentials.api_keys.default_ttl",
        message:
            "longer than credentials.api_keys.max_ttl, after which keys are refused in any case"
                .to_owned(),
    })
}

fn unknown_signing_key(settings: &Settings) -> Option<Warning> {
    let credentials = &settings.credentials;
    let kid = credentials.derived_tokens.signing_key_id.as_deref()?;
    let error = credentials.signing_keys.signing_key(Some(kid)).err()?;
    Some(Warning {
        key: "credentials.derived_tokens.jwt.signing_key_id",
        message: format!("{error}, so no JSON Web Token can be derived"),
    })
}

/// A header that names the client's address, although every client can send it; or proxies that
/// have nothing to say.
fn addresses_from_anybody(settings: &Settings) -> Option<Warning> {
    let http = &settings.serve.http;
    let is_connection = http.client_ip_source == ClientIpSource::RemoteAddress;
    match (is_connection, http.trusted_proxies.is_empty()) {
        (false, true) => Some(Warning {
            key: "serve.http.trusted_proxies",
            message: "is not set, so any client can claim any address by sending the header that serve.http.client_ip_source names, and IP restrictions do not hold; list the addresses of your proxies"
                .to_owned(),
        }),
        (true, false) => Some(Warning {
            key: "serve.http.trusted_proxies",
            message: "has no effect: serve.http.client_ip_source names no header".to_owned(),
        }),
        _ => None,
    }
}

fn forwarded_host_without_tenants(settings: &Settings) -> Option<Warning> {
    settings.serve.http.trust_forwarded_host.then(|| Warning {
        key: "serve.http.trust_forwarded_host",
        message:
            "has no effect: the host name chooses the tenant, and this version serves one tenant"
                .to_owned(),
    })
}
