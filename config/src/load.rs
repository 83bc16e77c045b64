//! Loads the settings: merges all sources and checks them against the table of keys.

use std::path::Path;
use std::sync::Arc;

use talos_credentials::Hosts;
use talos_model::{Secret, TenantId};

use crate::apply::{Preset, apply_all};
use crate::assignment::Assignment;
use crate::checks;
use crate::credentials::Secrets;
use crate::environment;
use crate::error::{ConfigError, Problem, Warning};
use crate::file;
use crate::input::Input;
use crate::keys;
use crate::settings::{Database, Settings};
use crate::tenants::{self, Found, tenant};

/// A DSN that overrides every source.
#[derive(Clone, Debug)]
pub struct DsnOverride {
    /// Where it was given, for messages.
    pub place: &'static str,
    /// The value of `db.dsn`.
    pub dsn: String,
}

/// What to do about a required key without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MissingKeys {
    Refuse,
    Ignore,
}

/// Everything that can give a value to a key, and what to do if nothing does.
struct Sources<'a, E> {
    file: Option<&'a Path>,
    environment: E,
    presets: &'a [Preset],
    /// Overrides all other sources.
    dsn: Option<DsnOverride>,
    missing: MissingKeys,
}

impl Database {
    /// Loads only the place where keys are stored, from the same sources as [`Settings::load`].
    /// `dsn` overrides them. Keys that only a server needs may be missing.
    ///
    /// # Errors
    /// [`ConfigError`], also for bad keys and values outside of `db`.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        dsn: Option<DsnOverride>,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let (settings, warnings) = Settings::load_from(Sources {
            file,
            environment,
            presets: &[],
            dsn,
            missing: MissingKeys::Ignore,
        })?;
        Ok((settings.db, warnings))
    }
}

impl Secrets {
    /// Loads only the secrets, from the same sources as [`Settings::load`]. Keys that only a server
    /// needs may be missing, the secret of issued keys may not.
    ///
    /// # Errors
    /// [`ConfigError`], also for bad keys and values of other sections.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let (settings, warnings) = Settings::load_from(Sources {
            file,
            environment,
            presets: &[],
            dsn: None,
            missing: MissingKeys::Ignore,
        })?;
        if settings.secrets.hmac_current.expose().is_empty() {
            let message = "required: the secret of the server, in its configuration file (--config) or in TALOS_SECRETS_HMAC_CURRENT";
            let problem = Problem::of_key("secrets.hmac.current", message);
            return Err(ConfigError::Invalid(vec![problem]));
        }
        Ok((settings.secrets, warnings))
    }
}

impl Settings {
    /// Loads the settings. The environment overrides the file, the file overrides `presets`, and
    /// `presets` override the defaults of [`KEYS`].
    ///
    /// `environment` is every variable of the process. Variables that do not begin with `TALOS_`
    /// are ignored.
    ///
    /// # Errors
    /// [`ConfigError`], with every bad key and value of all sources at once.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        presets: &[Preset],
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        Self::load_from(Sources {
            file,
            environment,
            presets,
            dsn: None,
            missing: MissingKeys::Refuse,
        })
    }

    /// Fetches the signing keys of `https://` URLs. `fetch` gets a URL and returns its document, or
    /// what went wrong. Without such URLs it is not called. Returns warnings about the keys, which
    /// [`Self::load`] cannot give.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] when a document cannot be fetched or used.
    pub fn fetch_key_sets(
        &mut self,
        mut fetch: impl FnMut(&str) -> Result<Secret, String>,
    ) -> Result<Vec<Warning>, ConfigError> {
        let mut warnings = Vec::new();
        for tenant in &mut self.tenants {
            let credentials = &mut tenant.credentials;
            if !credentials.key_sets.has_remote() {
                continue;
            }
            let keys = credentials.key_sets.load(&mut fetch).map_err(|message| {
                let key = "credentials.derived_tokens.jwt.signing_keys.urls";
                ConfigError::Invalid(vec![Problem::of_key(key, message)])
            })?;
            credentials.signing_keys = Arc::new(keys);
            warnings.extend(checks::unknown_signing_key(credentials));
        }
        Ok(warnings)
    }

    fn load_from(
        sources: Sources<'_, impl Iterator<Item = (String, String)>>,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let (presets, missing) = (sources.presets, sources.missing);
        let directory = sources.file.and_then(Path::parent).unwrap_or(Path::new(""));
        let directory = directory.to_owned();
        let variables: Vec<_> = sources.environment.collect();
        let mut files: Vec<_> = sources.file.map(Path::to_owned).into_iter().collect();
        files.extend(environment::files(&variables));
        let sources = Sources {
            environment: variables.into_iter(),
            file: sources.file,
            presets: sources.presets,
            dsn: sources.dsn,
            missing: sources.missing,
        };
        let mut problems = Vec::new();
        let (assignments, mut warnings) = merge(sources, &mut problems)?;
        let applied = apply_all(assignments, presets, &mut problems);
        let mut settings = applied.settings;
        warnings.extend(applied.warnings);
        let is_multitenant = settings.multitenancy.enabled;
        if missing == MissingKeys::Refuse {
            problems.extend(applied.missing);
        }
        if problems.is_empty() {
            problems.extend(checks::problems(&settings));
            if missing == MissingKeys::Refuse {
                problems.extend(settings.replication.missing());
            }
        }
        if problems.is_empty() && is_multitenant && missing == MissingKeys::Refuse {
            let mut found = Found::default();
            settings.tenants = tenants::load(&settings, &directory, &mut found);
            problems.extend(found.problems);
            warnings.extend(found.warnings);
        }
        if !problems.is_empty() {
            return Err(ConfigError::Invalid(problems));
        }
        settings.secrets.fill_in_defaults();
        if !is_multitenant {
            settings.tenants = vec![tenant(TenantId::SINGLE, Hosts::Any, &settings)];
        }
        settings.replication.fill_in_defaults();
        files.extend(tenants::files(&settings, &directory));
        settings.files = files;
        warnings.extend(checks::warnings(&settings));
        Ok((settings, warnings))
    }
}

/// The values that file, environment and `--database` give to keys, at most one for each key; and
/// warnings about variables that name no key.
fn merge(
    sources: Sources<'_, impl Iterator<Item = (String, String)>>,
    problems: &mut Vec<Problem>,
) -> Result<(Vec<Assignment>, Vec<Warning>), ConfigError> {
    let mut merged = match sources.file {
        Some(path) => file::read(path, problems)?,
        None => Vec::new(),
    };
    let environment = environment::read(sources.environment);
    problems.extend(environment.problems);
    let dsn = sources.dsn.and_then(|DsnOverride { place, dsn }| {
        Some(Assignment {
            key: keys::find("db.dsn")?,
            place: place.to_owned(),
            input: Input::One(dsn),
        })
    });
    for assignment in environment.assignments.into_iter().chain(dsn) {
        merged.retain(|other| other.key.path != assignment.key.path);
        merged.push(assignment);
    }
    let unknown_presets = sources.presets.iter().map(|preset| preset.path);
    let unknown_presets = unknown_presets.filter(|path| keys::find(path).is_none());
    problems.extend(unknown_presets.map(|path| keys::unknown(path, String::new())));
    Ok((merged, environment.warnings))
}
