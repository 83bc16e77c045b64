//! Under which host names the routes of administrators are served.
//!
//! A browser takes everything under one host name for one site, so a page whose owner makes its
//! name lead to this server (DNS rebinding) may send and read what it likes. What gives it away is
//! the host of its requests. Only names are accepted that no stranger can make lead anywhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use talos_api::error::ApiError;

/// Every name.
const ANY: &str = "*";
const LOCALHOST: &str = "localhost";
/// No registry gives out names below these (RFC 6762, RFC 8375, ICANN 2024-07-29 for `internal`;
/// `svc` is where Kubernetes puts services).
const PRIVATE: [&str; 4] = ["local", "internal", "svc", "home.arpa"];

/// Which programs can reach the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenScope {
    /// Programs on this machine.
    Loopback,
    /// Other machines, too.
    Network,
}

/// The host names under which the routes of administrators are served.
#[derive(Clone, Debug)]
pub struct AdminHosts {
    scope: ListenScope,
    /// Names in lower case, `*.` and a name, or `*`.
    names: Vec<String>,
}

impl AdminHosts {
    /// The names that are safe for a listener of this scope, and those in `allowed`: names in lower
    /// case without a port, `*.` and a name, or `*`.
    #[must_use]
    pub fn new(scope: ListenScope, allowed: &[String]) -> Self {
        Self {
            scope,
            names: allowed.to_vec(),
        }
    }

    /// Adds the host of the URL under which the server is known. Nobody but its operator says where
    /// it leads. On loopback it stays out: nobody reaches such a server by it.
    #[must_use]
    pub fn with_issuer(mut self, url: &str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        if let Some(Host::Name(name)) = Host::parse(host)
            && self.scope == ListenScope::Network
            && !name.is_empty()
        {
            self.names.push(name);
        }
        self
    }

    /// Refuses a request whose `Host` is `host`, unless it is safe.
    pub(crate) fn check(&self, host: &str) -> Result<(), ApiError> {
        if self.admits(host) {
            return Ok(());
        }
        Err(ApiError::forbidden(format!(
            "this server is not administered under the host {host:?}; if it should be, add the host to serve.http.allowed_hosts"
        )))
    }

    fn admits(&self, host: &str) -> bool {
        if self.names.iter().any(|name| name == ANY) {
            return true;
        }
        match Host::parse(host) {
            None => false,
            Some(Host::Address) => true,
            Some(Host::Name(name)) => {
                is_below(&name, LOCALHOST)
                    || name == LOCALHOST
                    || self.scope == ListenScope::Network && is_private(&name)
                    || self.names.iter().any(|known| matches(known, &name))
            }
        }
    }
}

/// A host without its port.
#[derive(Debug, PartialEq, Eq)]
enum Host {
    /// An IP address, which no name server is asked for.
    Address,
    /// A name, in lower case and without a final dot; empty if there is none.
    Name(String),
}

impl Host {
    /// Parses `Host`; `None` when it is neither a name nor an address with an optional port.
    fn parse(text: &str) -> Option<Self> {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Some(Self::Address);
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                return is_port(port).then_some(Self::Address);
            }
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        if !is_port(port) {
            return None;
        }
        if host.parse::<Ipv4Addr>().is_ok() {
            return Some(Self::Address);
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        Some(Self::Name(name.to_ascii_lowercase()))
    }
}

/// Whether `text` is empty or a colon and digits.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether `name` can only lead to a network of its user's own: it has one label or a private end,
/// or is missing, which no browser leaves out.
fn is_private(name: &str) -> bool {
    !name.contains('.') || PRIVATE.iter().any(|end| is_below(name, end))
}

/// Whether `name` has labels before `end`.
fn is_below(name: &str, end: &str) -> bool {
    name.strip_suffix(end)
        .and_then(|labels| labels.strip_suffix('.'))
        .is_some_and(|labels| !labels.is_empty())
}

fn matches(known: &str, name: &str) -> bool {
    match known.strip_prefix("*.") {
        Some(end) => is_below(name, end),
        None => known == name,
    }
}

/// Whether other machines reach a listener on `address`.
pub(crate) fn listen_scope_of(address: IpAddr) -> ListenScope {
    if address.to_canonical().is_loopback() {
        ListenScope::Loopback
    } else {
        ListenScope::Network
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(scope: ListenScope, allowed: &[&str]) -> AdminHosts {
        let allowed: Vec<_> = allowed.iter().map(|host| (*host).to_owned()).collect();
        AdminHosts::new(scope, &allowed).with_issuer("https://user@Keys.Example:8443/path?q#f")
    }

    const EVERYWHERE: [&str; 12] = [
        "localhost",
        "LOCALHOST:4420",
        "localhost.",
        "a.localhost:1",
        "127.0.0.1",
        "10.0.0.1:4420",
        "203.0.113.9",
        "[::1]",
        "[::1]:4420",
        "[2001:db8::1]:80",
        "::1",
        "[::ffff:127.0.0.1]",
    ];
    const PRIVATE_NAMES: [&str; 11] = [
        "talos",
        "Talos.:4420",
        "2130706433",
        "",
        "talos.local",
        "talos.internal:80",
        "talos.keys.svc",
        "talos.keys.svc.cluster.local",
        "talos.home.arpa",
        "keys.example",
        "KEYS.example.:443",
    ];
    const STRANGERS: [&str; 25] = [
        "evil.example",
        "evil.example:4420",
        "EVIL.example.",
        "localhost.evil.example",
        "notlocalhost.example",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io",
        "7f000001.rbndr.us",
        "127.1.evil",
        "talos.svc.evil.example",
        "a.b.svc.cluster.evil.example",
        "local.evil.example",
        "evil.notlocal",
        "home.arpa.evil.example",
        "evil.arpa",
        "evil.keys.example",
        "keys.example.evil.example",
        "xkeys.example",
        "evil.example:localhost",
        "localhost:80.evil.example",
        "[::1].evil.example",
        "[::1]evil.example",
        "[evil.example]",
        "localhost:4420:1",
        "evil.example%00.local.example",
    ];

    #[test]
    fn names_that_no_stranger_has() {
        let network = hosts(ListenScope::Network, &[]);
        let loopback = hosts(ListenScope::Loopback, &[]);
        for host in EVERYWHERE {
            assert!(network.admits(host) && loopback.admits(host), "{host}");
        }
        for host in PRIVATE_NAMES {
            assert!(network.admits(host), "{host}");
            assert!(!loopback.admits(host), "{host}");
        }
        for host in STRANGERS {
            assert!(!network.admits(host) && !loopback.admits(host), "{host}");
        }
    }

    #[test]
    fn names_that_the_operator_lists() {
        for scope in [ListenScope::Loopback, ListenScope::Network] {
            let some = hosts(scope, &["admin.example", "*.admins.example"]);
            for host in ["admin.example", "Admin.Example.:80", "a.b.admins.example"] {
                assert!(some.admits(host), "{host}");
            }
            for host in ["x.admin.example", "admins.example", "xadmins.example"] {
                assert!(!some.admits(host), "{host}");
            }
            let any = hosts(scope, &["*"]);
            assert!(STRANGERS.iter().all(|host| any.admits(host)));
        }
    }

    #[test]
    fn issuers_of_any_form() {
        for (issuer, host) in [
            ("https://keys.example", Some("keys.example")),
            ("keys.example/path", Some("keys.example")),
            ("https://[2001:db8::1]:443", None),
            ("", None),
            ("https://", None),
            ("urn:keys", None),
        ] {
            let hosts = AdminHosts::new(ListenScope::Network, &[]).with_issuer(issuer);
            assert_eq!(hosts.names.first().map(String::as_str), host, "{issuer}");
        }
    }
}
