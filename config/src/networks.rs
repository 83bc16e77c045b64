//! `multitenancy`: which tenants there are, and by which hosts they are found.

use std::collections::HashMap;
use std::path::PathBuf;

use talos_model::TenantId;
use uuid::Uuid;

use crate::error::Problem;
use crate::mapping::Mapping;

const FIELDS: [&str; 3] = ["hostname", "id", "config_path"];
const NETWORKS: &str = "multitenancy.networks";
const NO_HOST: &str = "not a host, such as keys.example.com";
/// RFC 1035 §2.3.4.
const HOST_CHARACTERS_MAX: usize = 253;

/// `multitenancy`.
#[derive(Clone, Debug, Default)]
pub struct Multitenancy {
    /// Whether the host of a request decides whose keys it concerns; otherwise there is one tenant.
    pub enabled: bool,
    /// The hosts of all tenants.
    pub(crate) networks: Vec<Network>,
}

/// An item of `multitenancy.networks`: a host of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    /// A name or an address in lower case, without port and brackets.
    pub host: Box<str>,
    /// The tenant.
    pub id: TenantId,
    /// The file with the settings of the tenant that differ from those of all.
    pub overlay: Option<PathBuf>,
}

/// The hosts of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grouped {
    pub id: TenantId,
    pub hosts: Vec<Box<str>>,
    pub overlay: Option<PathBuf>,
}

impl Multitenancy {
    /// Adds an item of `multitenancy.networks`.
    pub(crate) fn add(&mut self, entry: &Mapping) -> Result<(), String> {
        entry.refuse_unknown(&FIELDS)?;
        let host = host(entry.required("hostname")?).map_err(|why| format!("hostname: {why}"))?;
        let id = Uuid::try_parse(entry.required("id")?)
            .map_err(|_| "id: not a UUID, such as 6ba7b810-9dad-41d1-80b4-00c04fd430c8")?;
        self.networks.push(Network {
            host,
            id: TenantId(id),
            overlay: entry
                .get("config_path")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
        });
        Ok(())
    }

    /// The tenants in the order of their first hosts.
    pub(crate) fn tenants(&self) -> Vec<Grouped> {
        let mut places: HashMap<TenantId, usize> = HashMap::new();
        let mut tenants: Vec<Grouped> = Vec::new();
        for network in &self.networks {
            let place = *places.entry(network.id).or_insert(tenants.len());
            if place == tenants.len() {
                tenants.push(Grouped {
                    id: network.id,
                    hosts: Vec::new(),
                    overlay: None,
                });
            }
            if let Some(tenant) = tenants.get_mut(place) {
                tenant.hosts.push(network.host.clone());
                tenant.overlay = tenant.overlay.take().or_else(|| network.overlay.clone());
            }
        }
        tenants
    }

    /// Combinations of networks that are not allowed.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.enabled && self.networks.is_empty() {
            problems.push(Problem::of_key(
                NETWORKS,
                "multitenancy.enabled needs at least one network, because requests for any other host are refused",
            ));
        }
        let mut hosts: HashMap<&str, TenantId> = HashMap::new();
        let mut overlays: HashMap<TenantId, &PathBuf> = HashMap::new();
        for Network { host, id, overlay } in &self.networks {
            if let Some(other) = hosts.insert(host, *id) {
                problems.push(Problem::of_key(
                    NETWORKS,
                    if other == *id {
                        format!("the hostname {host} occurs twice")
                    } else {
                        format!(
                            "the hostname {host} belongs to two tenants, {other} and {id}; a host leads to one"
                        )
                    },
                ));
            }
            if let Some(overlay) = overlay
                && let Some(other) = overlays.insert(*id, overlay)
                && other != overlay
            {
                problems.push(Problem::of_key(
                    NETWORKS,
                    format!(
                        "the tenant {id} has two files, {} and {}; name one of them",
                        other.display(),
                        overlay.display()
                    ),
                ));
            }
        }
        problems
    }
}

/// A host in lower case, without port, brackets and a final dot.
fn host(text: &str) -> Result<Box<str>, String> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(address, _)| address),
        None if text.matches(':').count() > 1 => text,
        None => match text.split_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) => return Err(NO_HOST.to_owned()),
            None => text,
        },
    };
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if bare.is_empty() || !bare.chars().all(is_allowed) {
        return Err(NO_HOST.to_owned());
    }
    if bare.len() > HOST_CHARACTERS_MAX {
        return Err(format!("longer than {HOST_CHARACTERS_MAX} characters"));
    }
    Ok(bare.to_ascii_lowercase().into_boxed_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(items: &str) -> Result<Multitenancy, String> {
        let mut read = Multitenancy {
            enabled: true,
            networks: Vec::new(),
        };
        for item in Mapping::list(items).expect("a list") {
            read.add(&item)?;
        }
        Ok(read)
    }

    #[test]
    fn hosts_have_one_spelling() {
        for (text, wanted) in [
            ("Keys.Example", "keys.example"),
            ("keys.example.", "keys.example"),
            ("keys.example:4420", "keys.example"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8::1]:4420", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(host(text).as_deref(), Ok(wanted), "{text}");
        }
        let long = "a".repeat(254);
        for bad in [
            "",
            ".",
            "a b",
            "a/b",
            "*.example",
            "http://a",
            "ä.example",
            &long,
        ] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_of_one_id_are_one_tenant() {
        let read = read(
            "[{hostname: a.example, id: 00000000-0000-4000-8000-000000000001},
              {hostname: b.example, id: 00000000-0000-4000-8000-000000000002, config_path: b.yaml},
              {hostname: c.example, id: 00000000-0000-4000-8000-000000000001, config_path: a.yaml}]",
        )
        .expect("networks");
        assert_eq!(read.problems(), []);
        let tenants = read.tenants();
        assert_eq!(tenants.len(), 2);
        assert_eq!(tenants[0].hosts, ["a.example".into(), "c.example".into()]);
        assert_eq!(tenants[0].overlay, Some("a.yaml".into()));
        assert_eq!(tenants[1].overlay, Some("b.yaml".into()));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let one = "id: 00000000-0000-4000-8000-000000000001";
        let two = "id: 00000000-0000-4000-8000-000000000002";
        for (items, part) in [
            ("[]".to_owned(), "at least one network"),
            (
                format!("[{{hostname: a, {one}}}, {{hostname: A, {two}}}]"),
                "two tenants",
            ),
            (
                format!("[{{hostname: a, {one}}}, {{hostname: 'a:1', {one}}}]"),
                "twice",
            ),
            (
                format!(
                    "[{{hostname: a, {one}, config_path: x}}, {{hostname: b, {one}, config_path: y}}]"
                ),
                "two files",
            ),
        ] {
            let problems = read(&items).expect("networks").problems();
            assert!(
                problems.iter().any(|one| one.message.contains(part)),
                "{items} {problems:?}"
            );
        }
        for (item, part) in [
            ("[{hostname: a}]", "id is missing"),
            ("[{id: 1}]", "hostname is missing"),
            ("[{hostname: a, id: 1}]", "not a UUID"),
            ("[{hostnames: a, id: 1}]", "did you mean hostname"),
        ] {
            assert!(read(item).expect_err("refused").contains(part), "{item}");
        }
    }
}
