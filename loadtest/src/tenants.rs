//! The hosts of a run's requests: one, or those of many tenants.

use std::fs;
use std::io;
use std::path::Path;

use crate::numbers::append_decimal;

/// What a pattern of hosts has in the place of the tenant's number.
const PLACE: &str = "{}";

/// The value of the `Host` header by the number of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    before: String,
    after: String,
    /// How many tenants there are; `None` if all requests have the host `before`.
    tenants: Option<u32>,
}

impl Hosts {
    /// Every key is asked for under this host.
    #[must_use]
    pub fn one(host: &str) -> Self {
        Self {
            before: host.to_owned(),
            after: String::new(),
            tenants: None,
        }
    }

    /// The hosts of this many tenants, at least 1. The pattern has `{}` in the place of the number,
    /// which is 1 for the first tenant. `None` if the pattern has no such place, or characters that
    /// a host cannot have.
    #[must_use]
    pub fn of_tenants(tenants: u32, pattern: &str) -> Option<Self> {
        let (before, after) = pattern.split_once(PLACE)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        let good = before.bytes().chain(after.bytes()).all(allowed);
        good.then(|| Self {
            before: before.to_owned(),
            after: after.to_owned(),
            tenants: Some(tenants.max(1)),
        })
    }

    /// How many hosts there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.tenants.unwrap_or(1)
    }

    /// Whether the keys belong to more than one tenant.
    #[must_use]
    pub fn differ(&self) -> bool {
        self.count() > 1
    }

    /// Appends the host of the key with this number. Neighbouring keys belong to different tenants.
    pub fn append(&self, key: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(self.before.as_bytes());
        if let Some(number) = self.tenants.and_then(|tenants| key.checked_rem(tenants)) {
            append_decimal(u64::from(number) + 1, out);
        }
        out.extend_from_slice(self.after.as_bytes());
    }

    /// The host of the key with this number.
    #[must_use]
    pub fn of(&self, key: u32) -> String {
        let mut host = Vec::new();
        self.append(key, &mut host);
        String::from_utf8_lossy(&host).into_owned()
    }

    /// Writes `talos.yaml` and a file with a secret of its own for each tenant.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_configuration(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir(directory.join("tenants"))?;
        let mut networks = "multitenancy:\n  enabled: true\n  networks:\n".to_owned();
        for key in 0..self.count() {
            let (host, number) = (self.of(key), u64::from(key) + 1);
            let file = format!("tenants/{number}.yaml");
            networks += &format!(
                "    - {{hostname: {host}, id: 00000000-0000-4000-8000-{number:012}, config_path: {file}}}\n"
            );
            let own =
                format!("secrets: {{hmac: {{current: a-secret-of-the-tenant-{number:012}}}}}\n");
            fs::write(directory.join(file), own)?;
        }
        fs::write(directory.join("talos.yaml"), networks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spread_over_the_hosts() {
        let hosts = Hosts::of_tenants(3, "t{}.example").unwrap();
        let of: Vec<_> = (0..4).map(|key| hosts.of(key)).collect();
        assert_eq!(of, ["t1.example", "t2.example", "t3.example", "t1.example"]);
        assert_eq!(Hosts::one("h:1").of(7), "h:1");
    }

    #[test]
    fn a_pattern_has_a_place_for_the_number_and_is_a_host() {
        for bad in ["t.example", "t{}.exa mple", "{}\r\nX: y", "{}{}"] {
            assert_eq!(Hosts::of_tenants(2, bad), None, "{bad}");
        }
    }

    #[test]
    fn each_tenant_has_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let hosts = Hosts::of_tenants(2, "t{}.example").unwrap();
        hosts.write_configuration(directory.path()).unwrap();
        let networks = fs::read_to_string(directory.path().join("talos.yaml")).unwrap();
        assert!(
            networks.contains("hostname: t2.example, id: 00000000-0000-4000-8000-000000000002")
        );
        let own = fs::read_to_string(directory.path().join("tenants/2.yaml")).unwrap();
        assert!(own.contains("a-secret-of-the-tenant-000000000002"));
    }
}
