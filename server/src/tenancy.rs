//! Finds the tenant of a request by its host. This is the only place that does so; everything later
//! takes the tenant from here, and nothing takes it from a body.

use std::net::IpAddr;

use talos_api::error::ApiError;
use talos_api::route::Resolution;
use talos_engine::Engine;
use talos_model::TenantId;

use crate::core::Core;
use crate::limits::HOST_NAME_BYTES;
use crate::parser::Head;

/// The host under which the client has asked for this server: that of the request, or the one that
/// a trusted proxy names. Empty if the proxy sends several names, because one of them may be that
/// of the client.
pub(crate) fn host<'b>(core: &Core, head: &Head<'_, 'b>, peer: Option<IpAddr>) -> &'b str {
    let is_trusted = || core.live().trusted_proxies.contain(peer);
    if core.shared.tenancy.trust_forwarded_host && is_trusted() {
        let mut names = head.values("x-forwarded-host");
        match (names.next(), names.next()) {
            (None, _) => {}
            (Some(name), None) => {
                return std::str::from_utf8(name).unwrap_or_default().trim_ascii();
            }
            (Some(_), Some(_)) => return "",
        }
    }
    head.host
}

/// The tenant of a request. Routes that concern no tenant have [`TenantId::SINGLE`] under a host
/// that no tenant has, because nodes and health checks use such hosts.
///
/// # Errors
/// 404 when no tenant has the host.
#[inline]
pub(crate) fn tenant(
    core: &Core,
    head: &Head<'_, '_>,
    resolution: &Resolution<'_>,
    peer: Option<IpAddr>,
) -> Result<TenantId, ApiError> {
    if !core.shared.tenancy.by_host {
        return Ok(TenantId::SINGLE);
    }
    match of_host(&core.shared.engine, host(core, head, peer)) {
        Some(tenant) => Ok(tenant),
        None if resolution.concerns_tenant() => Err(ApiError::network_not_found()),
        None => Ok(TenantId::SINGLE),
    }
}

/// The tenant of the host of a request; `None` if the host decides nothing, or has no tenant.
pub(crate) fn tenant_of_host(
    core: &Core,
    head: &Head<'_, '_>,
    peer: Option<IpAddr>,
) -> Option<TenantId> {
    let shared = &core.shared;
    let by_host = shared.tenancy.by_host;
    by_host.then(|| of_host(&shared.engine, host(core, head, peer)))?
}

/// The tenant that has this host, whatever its port and the case of its letters.
pub(crate) fn of_host(engine: &Engine, host: &str) -> Option<TenantId> {
    let name = without_port(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut lower = [0; HOST_NAME_BYTES];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    engine.tenant_of_host(std::str::from_utf8(lower).ok()?)
}

/// The host without its port, and without the brackets of an IPv6 address.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_without_their_ports() {
        for (host, name) in [
            ("keys.example", "keys.example"),
            ("keys.example:4420", "keys.example"),
            ("keys.example:", "keys.example"),
            ("[2001:db8::1]:4420", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("192.0.2.1:80", "192.0.2.1"),
            (":80", ""),
            ("", ""),
        ] {
            assert_eq!(without_port(host), name, "{host}");
        }
    }
}
