//! Where the configuration of a server comes from.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use talos_api::route::Surface;
use talos_config::{Settings, TenantCache, Warning};

use super::development::{self, Development};
use super::{key_sets, memory_limit, options};
use crate::environment::variables;
use crate::error::CliError;

/// What loading the configuration needs.
pub(super) struct Source {
    /// The file of `--config`.
    pub(super) config: Option<PathBuf>,
    /// The secrets of a development server; `None` for any other.
    pub(super) development: Option<Development>,
    /// The routes of the first listener.
    pub(super) surface: Surface,
    /// The tenants as they were last loaded.
    pub(super) tenants: Mutex<TenantCache>,
}

impl Source {
    /// Loads the settings, fetches what they name, and fits them into the memory of this process.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn load(&self) -> Result<(Settings, Vec<Warning>), CliError> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let (config, development) = (self.config.as_deref(), self.development.as_ref());
        let (mut settings, mut warnings) = load_again(config, development, &mut tenants)?;
        warnings.extend(key_sets::fetch(&mut settings)?);
        // Also after a reload: the limits of connections and requests then follow the new settings.
        if let Some(limit) = memory_limit::find() {
            warnings.extend(settings.fit_into(limit.bytes)?.1);
        }
        options::check_surfaces(self.surface, &settings)?;
        Ok((settings, warnings))
    }
}

/// Loads the settings. A development server has its secrets as presets.
pub(super) fn load(
    config: Option<&Path>,
    development: Option<&Development>,
) -> Result<(Settings, Vec<Warning>), CliError> {
    load_again(config, development, &mut TenantCache::default())
}

/// As [`load`]. Tenants whose files have not changed come from `tenants`.
fn load_again(
    config: Option<&Path>,
    development: Option<&Development>,
    tenants: &mut TenantCache,
) -> Result<(Settings, Vec<Warning>), CliError> {
    let Some(development) = development else {
        return Ok(Settings::load_again(config, variables(), &[], tenants)?);
    };
    // The port in the issuer is the one that file or environment choose. It is known only after the
    // settings were loaded once.
    let (settings, _) =
        Settings::load(config, variables(), &development.presets(development::PORT))?;
    let port = settings.serve.http.listener.port;
    let presets = development.presets(port);
    Ok(Settings::load_again(
        config,
        variables(),
        &presets,
        tenants,
    )?)
}
