//! Keeps web pages away from the routes of administrators, which may ask for no credential, or for
//! one that a browser adds by itself.
//!
//! Guarantees: a page of another site cannot use these routes through its visitor's browser,
//! whatever it sends; other programs are not affected if they declare their bodies as JSON; a
//! request is refused before anything of it is carried out.
//!
//! Three checks complement one another. The host of a request betrays a page whose name leads here
//! (see `admin_hosts.rs`). `Origin` and `Sec-Fetch-Site` betray a page of another site, but
//! browsers leave out the one in some requests and the other for plain HTTP. A `Content-Type` of
//! JSON makes a browser ask first, by a preflight that allows nothing to strangers (Fetch Standard
//! §4.8).

use talos_api::error::ApiError;
use talos_api::route::ControlRoute;

use crate::authorize::Caller;
use crate::core::Core;
use crate::parser::{BodyLength, Head};
use crate::step::Input;
use crate::tenancy;

/// Refuses a request of `caller` for `route` that may come from a page of another site.
pub(crate) fn check(
    core: &Core,
    head: &Head<'_, '_>,
    route: &ControlRoute<'_>,
    caller: &Caller,
    input: Input<'_>,
) -> Result<(), ApiError> {
    if route.endpoint.permission().is_none() {
        return Ok(());
    }
    // No browser opens a Unix socket, and many of its clients send any host. A page that makes its
    // name lead here has no token.
    if input.remote_ip.is_some() && !caller.is_beyond_pages() {
        let host = tenancy::host(core, head, input.remote_ip);
        let is_tenants =
            core.shared.tenancy.by_host && tenancy::of_host(&core.shared.engine, host).is_some();
        if !is_tenants {
            let live = core.live();
            let admin_hosts = live.admin_hosts.get(input.port.listener);
            admin_hosts.map_or(Ok(()), |hosts| hosts.check(head.host))?;
        }
    }
    check_site(core, head)?;
    check_type(head, route.method)
}

/// Refuses requests of pages of other sites, unless the configuration lists their origin.
fn check_site(core: &Core, head: &Head<'_, '_>) -> Result<(), ApiError> {
    let foreign = |origin: &[u8]| {
        let lists = |cors: &crate::cors::CrossOrigin| cors.lists(origin);
        !is_origin_of(origin, head.host) && !core.live().cors.as_deref().is_some_and(lists)
    };
    let mut origins = values(head, "origin").peekable();
    let names_origin = origins.peek().is_some();
    let is_cross_site =
        || values(head, "sec-fetch-site").any(|site| site.eq_ignore_ascii_case(b"cross-site"));
    if origins.any(foreign) || !names_origin && is_cross_site() {
        return Err(ApiError::forbidden(
            "web pages of another origin may not use this route; if they should, list their origin in serve.http.cors.allowed_origins",
        ));
    }
    Ok(())
}

/// Whether pages of `origin` come from `host`. The scheme is not compared: a proxy may have
/// terminated TLS.
fn is_origin_of(origin: &[u8], host: &str) -> bool {
    let Ok(origin) = std::str::from_utf8(origin) else {
        return false;
    };
    let (port, authority) = match origin.split_once("://") {
        Some(("http", authority)) => (":80", authority),
        Some(("https", authority)) => (":443", authority),
        _ => return false,
    };
    let without_port = |text| str::strip_suffix(text, port).unwrap_or(text);
    without_port(authority).eq_ignore_ascii_case(without_port(host))
}

/// Refuses bodies that are not declared as JSON. Programs whose requests have no mark of a browser
/// may leave the type out if there is no body, and may send the type that `curl -d` adds.
fn check_type(head: &Head<'_, '_>, method: &str) -> Result<(), ApiError> {
    if matches!(method, "GET" | "HEAD" | "DELETE") {
        return Ok(());
    }
    let types: Vec<&[u8]> = values(head, "content-type").map(essence).collect();
    let all_are = |name: &str| {
        let is = |found: &&[u8]| found.eq_ignore_ascii_case(name.as_bytes());
        !types.is_empty() && types.iter().all(is)
    };
    let is_accepted = all_are("application/json")
        || !is_from_browser(head)
            && (types.is_empty() && head.body == BodyLength::Known(0)
                || all_are("application/x-www-form-urlencoded"));
    if is_accepted {
        Ok(())
    } else {
        Err(ApiError::unsupported_media_type())
    }
}

/// A media type without its parameters.
fn essence(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|byte| *byte == b';');
    value
        .get(..end.unwrap_or(value.len()))
        .unwrap_or_default()
        .trim_ascii()
}

/// Whether the request has a header that browsers add.
fn is_from_browser(head: &Head<'_, '_>) -> bool {
    head.fields.iter().any(|field| {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        is("origin") || is("sec-fetch-site") || is("referer") || is("cookie")
    })
}

/// The values of all fields of this name.
fn values<'b>(head: &Head<'_, 'b>, name: &'static str) -> impl Iterator<Item = &'b [u8]> {
    head.fields
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name))
        .map(|field| field.value.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_of_hosts() {
        for (origin, host) in [
            ("http://localhost:4420", "localhost:4420"),
            ("http://localhost", "Localhost:80"),
            ("https://keys.example", "keys.example:443"),
            ("https://keys.example", "keys.example"),
            ("http://[::1]:4420", "[::1]:4420"),
        ] {
            assert!(is_origin_of(origin.as_bytes(), host), "{origin} {host}");
        }
        for (origin, host) in [
            ("null", "null"),
            ("", ""),
            ("http://", "localhost"),
            ("http://localhost:3000", "localhost:4420"),
            ("http://localhost", "localhost:443"),
            ("http://evil.example", "localhost"),
            ("file://localhost", "localhost"),
            ("localhost", "localhost"),
            ("http://localhost.evil.example", "localhost"),
        ] {
            assert!(!is_origin_of(origin.as_bytes(), host), "{origin} {host}");
        }
    }

    #[test]
    fn parameters_are_not_part_of_a_type() {
        for (value, wanted) in [
            ("application/json", "application/json"),
            ("application/json ; charset=utf-8", "application/json"),
            ("text/plain; application/json", "text/plain"),
            (";application/json", ""),
        ] {
            assert_eq!(essence(value.as_bytes()), wanted.as_bytes());
        }
    }
}
