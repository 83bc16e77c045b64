//! The tenants in force: one immutable snapshot, replaced as a whole.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use talos_credentials::{Enforcement, Hosts, Keyring, ProofDigests, Tenant};
use talos_model::TenantId;
use xxhash_rust::xxh3::xxh3_64;

/// A tenant, with what the engine computes for it once. The settings that every verification needs
/// are here once more, so that it reads them without a further step.
#[derive(Clone, Debug)]
pub struct ActiveTenant {
    id: TenantId,
    /// Another one for each keyring, and for each full copy that the node installs. Proofs and
    /// cached keys of another generation are void.
    generation: u64,
    proof_digests: ProofDigests,
    cache_ttl_s: i64,
    enforces_rate_limits: bool,
    keyring: Arc<Keyring>,
    tenant: Arc<Tenant>,
}

impl ActiveTenant {
    fn new(tenant: Arc<Tenant>, generation: u64) -> Self {
        Self {
            id: tenant.id,
            generation,
            proof_digests: ProofDigests::new(tenant.id),
            cache_ttl_s: tenant.cache_ttl_s.into(),
            enforces_rate_limits: tenant.rate_limits == Enforcement::On,
            keyring: Arc::clone(&tenant.keyring),
            tenant,
        }
    }

    /// Its settings.
    pub fn settings(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    /// Its secrets, prefixes, issuer and signing keys.
    #[inline]
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// What its proofs and cached keys must have been made under.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The lifetime of a cached key in seconds.
    #[inline]
    pub fn cache_ttl_s(&self) -> i64 {
        self.cache_ttl_s
    }

    /// Whether the rate limits of its keys are enforced.
    #[inline]
    pub fn enforces_rate_limits(&self) -> bool {
        self.enforces_rate_limits
    }

    /// The digest under which memory keeps the proof of `credential`.
    #[inline]
    pub fn proof_digest(&self, credential: &[u8]) -> [u8; 32] {
        self.proof_digests.of(credential)
    }
}

/// All tenants. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Tenants {
    active: Arc<[Arc<ActiveTenant>]>,
    /// Where each of them is.
    places: Arc<HashMap<TenantId, usize, BuildHasherDefault<IdHasher>>>,
    hosts: Arc<HostMap>,
    /// The greatest generation so far.
    newest: u64,
}

impl Tenants {
    /// These tenants, of which each id occurs once.
    pub fn new(tenants: Vec<Arc<Tenant>>) -> Self {
        let none = Self {
            active: Arc::default(),
            places: Arc::default(),
            hosts: Arc::default(),
            newest: 0,
        };
        none.replaced_by(tenants)
    }

    /// The tenant with an id.
    #[inline]
    pub fn get(&self, id: TenantId) -> Option<&Arc<ActiveTenant>> {
        let place = match &*self.active {
            [only] => return Some(only).filter(|only| only.id == id),
            _ => *self.places.get(&id)?,
        };
        self.active.get(place)
    }

    /// The tenant that has a host, which is in lower case and has no port.
    pub fn of_host(&self, host: &str) -> Option<TenantId> {
        let named = self.hosts.names.get(host).copied();
        named.or(self.hosts.others)
    }

    /// Every tenant.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ActiveTenant>> {
        self.active.iter()
    }

    /// `tenants` in place of these. What was proven under a keyring that is still the same object
    /// stays proven.
    pub fn replaced_by(&self, tenants: Vec<Arc<Tenant>>) -> Self {
        let mut newest = self.newest;
        let tenants: Arc<[_]> = tenants
            .into_iter()
            .map(|tenant| {
                let before = self.get(tenant.id);
                if let Some(old) = before
                    && Arc::ptr_eq(&old.tenant, &tenant)
                {
                    return Arc::clone(old);
                }
                let same = before.filter(|old| Arc::ptr_eq(&old.keyring, &tenant.keyring));
                let generation = same.map_or_else(
                    || {
                        newest += 1;
                        newest
                    },
                    |same| same.generation,
                );
                Arc::new(ActiveTenant::new(tenant, generation))
            })
            .collect();
        let ids = tenants.iter().map(|tenant| tenant.id);
        let places = ids.enumerate().map(|(place, id)| (id, place)).collect();
        let hosts = if self.have_hosts_of(&tenants) {
            Arc::clone(&self.hosts)
        } else {
            Arc::new(HostMap::of(&tenants))
        };
        Self {
            places: Arc::new(places),
            hosts,
            active: tenants,
            newest,
        }
    }

    /// Whether `tenants` are as many as these, in the same order, with the same ids and hosts.
    fn have_hosts_of(&self, tenants: &[Arc<ActiveTenant>]) -> bool {
        let has_hosts_of = |(one, other): (&Arc<ActiveTenant>, &Arc<ActiveTenant>)| {
            Arc::ptr_eq(one, other) || one.id == other.id && one.tenant.hosts == other.tenant.hosts
        };
        tenants.len() == self.active.len() && self.active.iter().zip(tenants).all(has_hosts_of)
    }

    /// Gives every tenant a new generation, so that nothing that was proven stays proven.
    pub fn renewed(&self) -> Self {
        let mut newest = self.newest;
        let renew = |active: &Arc<ActiveTenant>| {
            newest += 1;
            Arc::new(ActiveTenant {
                generation: newest,
                ..ActiveTenant::clone(active)
            })
        };
        Self {
            active: self.active.iter().map(renew).collect(),
            places: Arc::clone(&self.places),
            hosts: Arc::clone(&self.hosts),
            newest,
        }
    }
}

/// The tenants by their hosts.
#[derive(Debug, Default)]
struct HostMap {
    names: HashMap<Box<str>, TenantId, BuildHasherDefault<HostHasher>>,
    /// The tenant of all other hosts.
    others: Option<TenantId>,
}

impl HostMap {
    fn of(tenants: &[Arc<ActiveTenant>]) -> Self {
        let mut map = Self::default();
        for tenant in tenants {
            match &tenant.tenant.hosts {
                Hosts::Any => map.others = Some(tenant.id),
                Hosts::Names(names) => {
                    let names = names.iter().cloned();
                    map.names.extend(names.map(|name| (name, tenant.id)));
                }
            }
        }
        map
    }
}

/// Hashes a host.
#[derive(Clone, Copy, Debug, Default)]
struct HostHasher(u64);

impl Hasher for HostHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= xxh3_64(bytes);
    }

    /// The end of the text, which says nothing about it.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Hashes the id of a tenant, which is a UUID: its bytes are added up. Operators choose the ids, so
/// nobody can choose them to collide.
#[derive(Clone, Copy, Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        let words = words.iter().map(|word| u64::from_le_bytes(*word));
        let rest = rest.iter().map(|byte| u64::from(*byte));
        self.0 = words.chain(rest).fold(self.0, |hash, word| {
            (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use talos_credentials::{KeyringSettings, Prefixes, TokenSettings};
    use talos_model::Secret;
    use uuid::Uuid;

    use super::*;

    fn tenant(id: u128) -> Arc<Tenant> {
        let keyring = Keyring::new(KeyringSettings {
            hmac_current: Secret::new(format!("secret-{id}")),
            hmac_retired: Vec::new(),
            prefixes: Prefixes {
                current: "talos".to_owned(),
                retired: Vec::new(),
                public_current: None,
                public_retired: Vec::new(),
            },
            issuer: "issuer".to_owned(),
            max_ttl_s: 60,
            clock_skew_s: 0,
            tokens: TokenSettings::default(),
        });
        Arc::new(Tenant::new(TenantId(Uuid::from_u128(id)), keyring, 300))
    }

    fn generation(tenants: &Tenants, id: u128) -> Option<u64> {
        let found = tenants.get(TenantId(Uuid::from_u128(id)))?;
        assert_eq!(found.settings().id.0.as_u128(), id);
        Some(found.generation())
    }

    #[test]
    fn each_id_finds_its_own_tenant() {
        for count in [0, 1, 2, 1000] {
            let tenants = Tenants::new((1..=count).map(tenant).collect());
            let mut generations: Vec<_> = (1..=count).map(|id| generation(&tenants, id)).collect();
            assert!(generations.iter().all(Option::is_some));
            generations.sort_unstable();
            generations.dedup();
            assert_eq!(generations.len(), usize::try_from(count).unwrap());
            assert_eq!(generation(&tenants, 0), None);
            assert_eq!(generation(&tenants, count + 1), None);
        }
    }

    #[test]
    fn a_host_finds_its_tenant() {
        let with_hosts = |id, hosts| {
            Arc::new(Tenant {
                hosts,
                ..Tenant::clone(&tenant(id))
            })
        };
        let names =
            |names: &[&str]| Hosts::Names(names.iter().map(|name| (*name).into()).collect());
        let found = |tenants: &Tenants, host| Some(tenants.of_host(host)?.0.as_u128());
        let (first, second) = (names(&["a.example", "b.example"]), names(&["c.example"]));
        let before = Tenants::new(vec![
            with_hosts(1, first.clone()),
            with_hosts(2, second.clone()),
        ]);
        for (host, id) in [("a.example", 1), ("b.example", 1), ("c.example", 2)] {
            assert_eq!(found(&before, host), Some(id), "{host}");
        }
        for host in ["", "example", "a.example.", "A.example", "d.example"] {
            assert_eq!(found(&before, host), None, "{host}");
        }
        // Hosts change their tenants, and a tenant goes.
        let after = before.replaced_by(vec![with_hosts(1, second), with_hosts(2, first)]);
        assert_eq!(found(&after, "a.example"), Some(2));
        assert_eq!(found(&after, "c.example"), Some(1));
        let after = after.replaced_by(vec![with_hosts(2, names(&["c.example"])), tenant(3)]);
        assert_eq!(found(&after, "c.example"), Some(2));
        assert_eq!(
            found(&after, "a.example"),
            Some(3),
            "that of all other hosts"
        );
    }

    #[test]
    fn only_another_keyring_and_a_renewal_void_proofs() {
        let (first, second) = (tenant(1), tenant(2));
        let before = Tenants::new(vec![first.clone(), second.clone()]);
        let other_settings = Tenant {
            cache_ttl_s: 1,
            live_keys_max: Some(1),
            rate_limits: Enforcement::On,
            ..Tenant::clone(&first)
        };
        let after = before.replaced_by(vec![other_settings.into(), tenant(2), tenant(3)]);
        assert_eq!(generation(&after, 1), generation(&before, 1));
        assert!(generation(&after, 2) > generation(&before, 2));
        let back = after.replaced_by(vec![first, second]);
        assert!(generation(&back, 2) > generation(&after, 2));
        assert_eq!(generation(&back, 3), None);
        let renewed = back.renewed();
        for id in [1, 2] {
            assert!(generation(&renewed, id) > generation(&back, id));
        }
    }
}
