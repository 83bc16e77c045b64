//! The settings of each tenant: those of the server, with those of the tenant's own file in their
//! place.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use talos_credentials::Hosts;
use talos_model::TenantId;

use crate::apply::apply_over;
use crate::checks;
use crate::error::{ConfigError, Problem, Warning};
use crate::file::ConfigFile;
use crate::networks::Grouped;
use crate::settings::Settings;
use crate::tenant_cache::TenantCache;
use crate::tenant_settings::{TenantSettings, is_of_tenant};

/// A tenant with these settings.
pub(crate) fn tenant(id: TenantId, hosts: Hosts, settings: &Settings) -> TenantSettings {
    TenantSettings {
        id,
        hosts,
        credentials: settings.credentials.clone(),
        secrets: settings.secrets.clone(),
        cache_ttl: settings.cache.ttl,
        rate_limits_enabled: settings.rate_limit.enabled,
        api_keys_max: settings.quota.api_keys_max,
    }
}

/// What is wrong with the files of tenants, and what their operator should know.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub problems: Vec<Problem>,
    pub warnings: Vec<Warning>,
}

/// The tenants of `settings`, to which no defaults of `secrets` have been filled in yet. Paths of
/// files are relative to `directory`. What `cache` has from the same text is taken from there.
pub(crate) fn load(
    settings: &Settings,
    directory: &Path,
    cache: &mut TenantCache,
    found: &mut Found,
) -> Vec<TenantSettings> {
    let tenants = settings.multitenancy.tenants();
    // Each tenant begins with a copy of these, so that the list of all tenants is not in it.
    let mut shared = settings.clone();
    shared.multitenancy.networks = Vec::new();
    shared.tenants = Vec::new();
    let tenants = tenants.into_iter();
    let tenants = tenants
        .map(|tenant| load_one(&shared, tenant, directory, cache, found))
        .collect();
    cache.forget_unused();
    tenants
}

/// The files of all tenants, and those of their signing keys.
pub(crate) fn files(settings: &Settings, directory: &Path) -> Vec<PathBuf> {
    let tenants = settings.multitenancy.tenants();
    let overlays = tenants.into_iter().filter_map(|tenant| tenant.overlay);
    let overlays = overlays.map(|overlay| directory.join(overlay));
    let mut key_sets: Vec<_> = settings
        .tenants
        .iter()
        .flat_map(|tenant| tenant.credentials.key_sets.files().cloned())
        .collect();
    key_sets.sort_unstable();
    key_sets.dedup();
    overlays.chain(key_sets).collect()
}

fn load_one(
    shared: &Settings,
    tenant: Grouped,
    directory: &Path,
    cache: &mut TenantCache,
    found: &mut Found,
) -> TenantSettings {
    let hosts = Hosts::Names(tenant.hosts.into());
    let Some(path) = tenant.overlay else {
        check(&tenant.id, shared, found);
        return complete(self::tenant(tenant.id, hosts, shared));
    };
    let file = match ConfigFile::read(&directory.join(path)) {
        Ok(file) => file,
        Err(error) => {
            found.problems.push(unusable(&tenant.id, &error));
            return self::tenant(tenant.id, hosts, shared);
        }
    };
    if let Some(cached) = cache.get(tenant.id, file.text()) {
        return TenantSettings { hosts, ..cached };
    }
    let before = (found.problems.len(), found.warnings.len());
    let mut own = shared.clone();
    apply(&mut own, &tenant.id, &file, found);
    check(&tenant.id, &own, found);
    let own = complete(self::tenant(tenant.id, hosts, &own));
    // What is wrong with a file is said each time.
    if before == (found.problems.len(), found.warnings.len()) {
        cache.put(file.into_text(), &own);
    }
    own
}

/// Sets what the file of a tenant says.
fn apply(own: &mut Settings, id: &TenantId, file: &ConfigFile, found: &mut Found) {
    let overlay = match file.content() {
        Ok(overlay) => overlay,
        Err(error) => return found.problems.push(unusable(id, &error)),
    };
    found.problems.extend(overlay.problems);
    let (of_tenant, others): (Vec<_>, Vec<_>) = overlay
        .assignments
        .into_iter()
        .partition(|assignment| is_of_tenant(assignment.key.path));
    let mut seen = HashSet::new();
    for (place, key) in others
        .into_iter()
        .map(|other| (other.place, other.key.path.to_owned()))
        .chain(overlay.unknown)
    {
        if key.starts_with("db.") {
            found.problems.push(Problem {
                place,
                key,
                message: "all tenants share the database of the server: their keys are apart in it, and one write makes changes of all of them durable; a tenant that needs a database of its own needs a server of its own".to_owned(),
            });
        } else if seen.insert(key.clone()) {
            found.warnings.push(Warning {
                key: "multitenancy.networks",
                message: format!(
                    "{place}: {key} is ignored: a tenant may set credentials, secrets, quota, rate_limit.enabled and cache.ttl"
                ),
            });
        }
    }
    let warnings = apply_over(own, &of_tenant, &mut found.problems);
    found.warnings.extend(warnings);
}

fn unusable(id: &TenantId, error: &ConfigError) -> Problem {
    Problem::of_key("multitenancy.networks", format!("tenant {id}: {error}"))
}

/// Fills in the defaults of the tenant's secrets.
fn complete(mut tenant: TenantSettings) -> TenantSettings {
    tenant.secrets.fill_in_defaults();
    tenant
}

/// Checks the settings of one tenant as a whole.
fn check(id: &TenantId, own: &Settings, found: &mut Found) {
    let problems = checks::of_credentials(own);
    found.problems.extend(problems.map(|problem| Problem {
        message: format!("tenant {id}: {}", problem.message),
        ..problem
    }));
}
