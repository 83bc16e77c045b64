//! Rules that span several keys. Each value is already within its own bounds.

use std::net::SocketAddr;

use crate::credentials::Credentials;
use crate::error::{Problem, Warning};
use crate::settings::{CacheType, ClientIpSource, Settings};

/// Combinations that stop the start.
pub(crate) fn problems(settings: &Settings) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(of_credentials(settings));
    problems.extend(settings.multitenancy.problems());
    problems.extend(forwarded_host_of_anybody(settings));
    problems.extend(open_cors(settings));
    problems.extend(settings.serve.http.limits.problems());
    problems.extend(settings.serve.http.throttle.problems());
    problems.extend(taken_public_port(settings));
    problems.extend(settings.serve.http.tls.problem("serve.http.tls"));
    problems.extend(settings.serve.public.tls.problem("serve.public.tls"));
    problems.extend(settings.serve.metrics_tls.problem("serve.metrics.tls"));
    problems.extend(settings.audit.problem());
    problems.extend(settings.replication.problems());
    problems
}

/// Combinations in the settings of credentials that are not allowed.
pub(crate) fn of_credentials(settings: &Settings) -> impl Iterator<Item = Problem> {
    ambiguous_prefix(settings).into_iter()
}

/// Combinations that work, but that the operator should know about.
pub(crate) fn warnings(settings: &Settings) -> Vec<Warning> {
    let mut warnings = Vec::new();
    warnings.extend(default_ttl_over_maximum(settings));
    if !settings.credentials.key_sets.has_remote() {
        warnings.extend(unknown_signing_key(&settings.credentials));
    }
    warnings.extend(cache_of_another_server(settings));
    warnings.extend(forwarded_host_without_tenants(settings));
    warnings.extend(addresses_from_anybody(settings));
    warnings.extend(evaded_throttle(settings));
    let http = &settings.serve.http;
    let public_tls = &settings.serve.public.tls;
    let client_ca = http.tls.client_ca.as_deref();
    let client_ca = client_ca.or(public_tls.client_ca.as_deref());
    let auth = &settings.serve.admin_auth;
    warnings.extend(auth.warnings(http.socket.as_deref(), client_ca));
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

/// A second listener whose port another one has. The system would only say that it is in use.
fn taken_public_port(settings: &Settings) -> Option<Problem> {
    let serve = &settings.serve;
    let public = serve.public.address()?;
    let others = [
        ("serve.http.port", serve.http.listener.address()),
        ("serve.metrics.port", serve.metrics.address()),
    ];
    let (key, _) = others
        .into_iter()
        .find(|(_, other)| collide(public, *other))?;
    Some(Problem::of_key(
        "serve.public.port",
        format!(
            "{} is the port of {key}, too; each listener needs one of its own",
            public.port()
        ),
    ))
}

/// Whether two listeners cannot both have their addresses.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_host =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    same_host && one.port() == other.port() && one.port() != 0
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

/// A shared cache, which this node does not need.
fn cache_of_another_server(settings: &Settings) -> Option<Warning> {
    (settings.cache.cache_type == CacheType::Redis).then(|| Warning {
        key: "cache.type",
        message: "Redis is not used: this node answers from its own copy of the keys, in memory; write memory instead, and remove cache.redis"
            .to_owned(),
    })
}

/// A signing key that does not exist. Only useful when all keys are there.
pub(crate) fn unknown_signing_key(credentials: &Credentials) -> Option<Warning> {
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
        (true, false) if !http.trust_forwarded_host => Some(Warning {
            key: "serve.http.trusted_proxies",
            message: "has no effect: serve.http.client_ip_source names no header".to_owned(),
        }),
        _ => None,
    }
}

/// A throttle that every client evades, because it may claim any address.
fn evaded_throttle(settings: &Settings) -> Option<Warning> {
    let http = &settings.serve.http;
    let throttle = &http.throttle;
    let key = match (throttle.failures.quota, throttle.self_revocations.quota) {
        (Some(_), _) => "serve.http.throttle.failures.quota",
        (None, Some(_)) => "serve.http.throttle.self_revocations.quota",
        (None, None) => return None,
    };
    let anybody =
        http.client_ip_source != ClientIpSource::RemoteAddress && http.trusted_proxies.is_empty();
    anybody.then(|| Warning {
        key,
        message: "holds nobody back: any client can claim another address in each request; list your proxies in serve.http.trusted_proxies"
            .to_owned(),
    })
}

fn forwarded_host_without_tenants(settings: &Settings) -> Option<Warning> {
    let http = &settings.serve.http;
    let has_effect = settings.multitenancy.enabled;
    (http.trust_forwarded_host && !has_effect).then(|| Warning {
        key: "serve.http.trust_forwarded_host",
        message: "has no effect: the host chooses the tenant, and multitenancy.enabled is false"
            .to_owned(),
    })
}

/// A header that names the tenant, although every client can send it.
fn forwarded_host_of_anybody(settings: &Settings) -> Option<Problem> {
    let http = &settings.serve.http;
    let is_used = settings.multitenancy.enabled && http.trust_forwarded_host;
    (is_used && http.trusted_proxies.is_empty()).then(|| {
        Problem::of_key(
            "serve.http.trust_forwarded_host",
            "every client could name the host of another tenant; list the addresses of your proxies in serve.http.trusted_proxies",
        )
    })
}
