//! The settings of tenants as they were last loaded, so that a reload parses only the files that
//! have changed.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use talos_model::{Secret, TenantId};

use crate::assignment::Assignment;
use crate::signing_keys::KeySets;
use crate::tenant_settings::{TenantSettings, is_of_tenant};

/// The settings of tenants as they were last loaded. Holds secrets.
#[derive(Debug, Default)]
pub struct TenantCache {
    /// What all tenants begin with, as a hash.
    shared: u64,
    entries: HashMap<TenantId, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// The file of the tenant.
    text: Secret,
    settings: TenantSettings,
    is_used: bool,
}

impl TenantCache {
    /// Begins a load of settings in which tenants begin with these values and signing keys. If they
    /// are others than before, the settings of all tenants are.
    pub(crate) fn begin(&mut self, values: &[Assignment], key_sets: &KeySets) {
        let mut hasher = DefaultHasher::new();
        for value in values.iter().filter(|value| is_of_tenant(value.key.path)) {
            value.key.path.hash(&mut hasher);
            value.input.hash(&mut hasher);
        }
        for document in key_sets.documents() {
            document.expose().hash(&mut hasher);
        }
        let shared = hasher.finish();
        if shared != self.shared {
            self.entries.clear();
            self.shared = shared;
        }
        for entry in self.entries.values_mut() {
            entry.is_used = false;
        }
    }

    /// The settings that the tenant had when its file held this text.
    pub(crate) fn get(&mut self, id: TenantId, text: &Secret) -> Option<TenantSettings> {
        let entry = self.entries.get_mut(&id)?;
        if entry.text.expose() != text.expose() {
            return None;
        }
        entry.is_used = true;
        Some(entry.settings.clone())
    }

    /// Keeps what a file with this text leads to. Settings with signing keys from files are not
    /// kept, because such a file can change while the one that names it stays the same.
    pub(crate) fn put(&mut self, text: Secret, settings: &TenantSettings) {
        if settings.credentials.key_sets.files().next().is_some() {
            return;
        }
        let entry = Entry {
            text,
            settings: settings.clone(),
            is_used: true,
        };
        self.entries.insert(settings.id, entry);
    }

    /// Forgets the tenants that the load did not meet.
    pub(crate) fn forget_unused(&mut self) {
        self.entries.retain(|_, entry| entry.is_used);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::settings::Settings;

    const SERVER: &str = "
credentials: {issuer: 'https://keys.example', api_keys: {max_ttl: 48h}}
secrets: {hmac: {current: a-secret-of-the-server-of-32-characters}}
multitenancy:
  enabled: true
  networks:
    - {hostname: a, id: 00000000-0000-4000-8000-000000000001, config_path: a.yaml}
    - {hostname: b, id: 00000000-0000-4000-8000-000000000002, config_path: b.yaml}
";

    fn load(directory: &Path, cache: &mut TenantCache) -> Vec<TenantSettings> {
        let file = directory.join("talos.yaml");
        let loaded = Settings::load_again(Some(&file), std::iter::empty(), &[], cache);
        loaded.expect("settings").0.tenants
    }

    #[test]
    fn a_changed_file_and_changed_shared_values_are_seen() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text);
        write("talos.yaml", SERVER).expect("a file");
        write("a.yaml", "credentials: {issuer: 'https://a.example'}").expect("a file");
        write("b.yaml", "quota: {api_keys_max: 1}").expect("a file");
        let mut cache = TenantCache::default();
        let issuers = |tenants: &[TenantSettings]| -> Vec<String> {
            let tenants = tenants.iter();
            tenants
                .map(|tenant| tenant.credentials.issuer.clone())
                .collect()
        };
        let loaded = load(directory.path(), &mut cache);
        assert_eq!(
            issuers(&loaded),
            ["https://a.example", "https://keys.example"]
        );
        assert_eq!(cache.entries.len(), 2);

        write("a.yaml", "credentials: {issuer: 'https://new.example'}").expect("a file");
        let loaded = load(directory.path(), &mut cache);
        assert_eq!(
            issuers(&loaded),
            ["https://new.example", "https://keys.example"]
        );
        assert_eq!(loaded[1].api_keys_max, Some(1));

        write("talos.yaml", &SERVER.replace("keys.example", "all.example")).expect("a file");
        let loaded = load(directory.path(), &mut cache);
        assert_eq!(
            issuers(&loaded),
            ["https://new.example", "https://all.example"]
        );

        // A tenant that has another host, and one that is gone.
        let (start, _) = SERVER.rsplit_once("    - ").expect("two networks");
        let one = start.replace("hostname: a,", "hostname: c,");
        write("talos.yaml", &one).expect("a file");
        let loaded = load(directory.path(), &mut cache);
        assert_eq!(loaded.len(), 1);
        assert_eq!(
            loaded[0].hosts,
            talos_credentials::Hosts::Names(["c".into()].into())
        );
        assert_eq!(cache.entries.len(), 1);
    }

    #[test]
    fn every_value_of_the_server_that_tenants_begin_with_is_seen() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text);
        write("a.yaml", "quota: {api_keys_max: 1}").expect("a file");
        write("b.yaml", "quota: {api_keys_max: 2}").expect("a file");
        let secret = "current: a-secret-of-the-server-of-32-characters";
        let retired = |until: &str| {
            let item =
                format!("{{value: a-retired-secret-of-the-server-is-long, expires_at: '{until}'}}");
            SERVER.replace(secret, &format!("{secret}, retired: [{item}]"))
        };
        let mut cache = TenantCache::default();
        let mut shown = |server: &str| {
            write("talos.yaml", server).expect("a file");
            let tenants = load(directory.path(), &mut cache);
            let tenant = &tenants[0];
            let secrets = &tenant.secrets;
            let retired = secrets.hmac_retired.iter();
            let retired: Vec<_> = retired
                .map(talos_credentials::RetiredSecret::accepted_until)
                .collect();
            format!(
                "{} {retired:?} {:?} {:?}",
                secrets.hmac_current.expose(),
                tenant.credentials.api_keys.max_ttl,
                tenant.cache_ttl
            )
        };
        let mut all = vec![
            shown(SERVER),
            shown(&SERVER.replace(secret, "current: another-secret-of-the-server-is-long-too")),
            shown(&retired("2030-01-01T00:00:00Z")),
            shown(&retired("2031-01-01T00:00:00Z")),
            shown(&SERVER.replace("48h", "49h")),
            shown(&format!("{SERVER}cache: {{ttl: 7s}}\n")),
        ];
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "{all:?}");
    }

    #[test]
    fn a_file_that_another_one_names_is_read_each_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let keys = directory.path().join("keys.json");
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text);
        let own = format!(
            "credentials: {{derived_tokens: {{jwt: {{signing_keys: {{urls: ['file://{}']}}}}}}}}",
            keys.display()
        );
        write("talos.yaml", SERVER).expect("a file");
        write("a.yaml", &own).expect("a file");
        write("b.yaml", "").expect("a file");
        let mut cache = TenantCache::default();
        let mut shown = |kid: &str| {
            let key = format!(
                r#"{{"kty": "OKP", "crv": "Ed25519", "kid": "{kid}", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#
            );
            fs::write(&keys, key).expect("a file");
            let tenants = load(directory.path(), &mut cache);
            format!("{:?}", tenants[0].credentials.signing_keys)
        };
        assert_ne!(shown("one"), shown("two"));
    }
}
