//! Loads the settings: merges all sources and checks them against the table of keys.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;

use talos_credentials::Hosts;
use talos_model::{Secret, TenantId};

use crate::apply::{Preset, apply_over, with_fallbacks};
use crate::assignment::{Assignment, Origin};
use crate::checks;
use crate::credentials::Secrets;
use crate::environment;
use crate::error::{ConfigError, Problem, Warning};
use crate::file::ConfigFile;
use crate::fixed::FixedValues;
use crate::input::Input;
use crate::key::Reload;
use crate::keys::{self, KEYS};
use crate::memory::FITTED;
use crate::settings::{Database, Settings};
use crate::tenant_cache::TenantCache;
use crate::tenants::{self, Found, tenant};
use crate::value;

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
pub(crate) enum MissingKeys {
    Refuse,
    Ignore,
}

/// Everything that can give a value to a key, and what to do if nothing does.
pub(crate) struct Sources<'a> {
    pub(crate) file: Option<&'a ConfigFile>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) presets: &'a [Preset],
    /// Overrides all other sources.
    pub(crate) dsn: Option<DsnOverride>,
    pub(crate) missing: MissingKeys,
}

/// What all sources together say.
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    pub(crate) warnings: Vec<Warning>,
    /// The value of each key that has one, defaults included, in the order of the table.
    pub(crate) values: Vec<Assignment>,
    /// Values that another source overrides.
    pub(crate) overridden: Vec<Assignment>,
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
        let file = file.map(ConfigFile::read).transpose()?;
        let loaded = load(
            Sources {
                file: file.as_ref(),
                variables: environment.collect(),
                presets: &[],
                dsn,
                missing: MissingKeys::Ignore,
            },
            &mut TenantCache::default(),
        )?;
        Ok((loaded.settings.db, loaded.warnings))
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
        let file = file.map(ConfigFile::read).transpose()?;
        let Loaded {
            settings, warnings, ..
        } = load(
            Sources {
                file: file.as_ref(),
                variables: environment.collect(),
                presets: &[],
                dsn: None,
                missing: MissingKeys::Ignore,
            },
            &mut TenantCache::default(),
        )?;
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
        Self::load_again(file, environment, presets, &mut TenantCache::default())
    }

    /// Loads the settings as [`Self::load`] does. Of the tenants whose files have not changed since
    /// `tenants` was last used, the settings are taken from there.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_again(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        presets: &[Preset],
        tenants: &mut TenantCache,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let file = file.map(ConfigFile::read).transpose()?;
        let loaded = load(
            Sources {
                file: file.as_ref(),
                variables: environment.collect(),
                presets,
                dsn: None,
                missing: MissingKeys::Refuse,
            },
            tenants,
        )?;
        Ok((loaded.settings, loaded.warnings))
    }

    /// Loads the settings as [`Self::load`] does, from a file that has been read.
    ///
    /// # Errors
    /// [`ConfigError`], with every bad key and value of all sources at once.
    pub fn load_file(
        file: Option<&ConfigFile>,
        environment: impl Iterator<Item = (String, String)>,
        presets: &[Preset],
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let loaded = load(
            Sources {
                file,
                variables: environment.collect(),
                presets,
                dsn: None,
                missing: MissingKeys::Refuse,
            },
            &mut TenantCache::default(),
        )?;
        Ok((loaded.settings, loaded.warnings))
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
}

/// Loads what `sources` say. Tenants whose files have not changed come from `cache`.
///
/// # Errors
/// [`ConfigError`], with every bad key and value of all sources at once.
pub(crate) fn load(sources: Sources<'_>, cache: &mut TenantCache) -> Result<Loaded, ConfigError> {
    let (presets, missing) = (sources.presets, sources.missing);
    let path = sources.file.and_then(ConfigFile::path);
    let directory = path.and_then(Path::parent).unwrap_or(Path::new(""));
    let directory = directory.to_owned();
    let mut files: Vec<_> = path.map(Path::to_owned).into_iter().collect();
    files.extend(environment::files(&sources.variables));
    let mut problems = Vec::new();
    let Merged {
        assignments,
        overridden,
        mut warnings,
    } = merge(sources, &mut problems)?;
    let valued = with_fallbacks(assignments, presets, &problems);
    let mut settings = Settings::blank();
    warnings.extend(apply_over(&mut settings, &valued.values, &mut problems));
    let is_valued = |key: &&&str| valued.values.iter().any(|value| value.key.path == **key);
    settings.set_sizes = FITTED.iter().filter(is_valued).copied().collect();
    settings.fit_into_requests();
    let is_multitenant = settings.multitenancy.enabled;
    if missing == MissingKeys::Refuse {
        problems.extend(valued.missing);
    }
    if problems.is_empty() {
        problems.extend(checks::problems(&settings));
        if missing == MissingKeys::Refuse {
            problems.extend(settings.replication.missing());
        }
        add_places(&mut problems, &valued.values);
    }
    if problems.is_empty() && is_multitenant && missing == MissingKeys::Refuse {
        let mut found = Found::default();
        cache.begin(&valued.values, &settings.credentials.key_sets);
        settings.tenants = tenants::load(&settings, &directory, cache, &mut found);
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
    settings.fixed = fixed_values(&valued.values);
    warnings.extend(checks::warnings(&settings));
    Ok(Loaded {
        settings,
        warnings,
        values: valued.values,
        overridden,
    })
}

/// The values that take effect only at a start.
fn fixed_values(values: &[Assignment]) -> FixedValues {
    let fixed = KEYS.iter().filter(|key| key.reload == Reload::Restart);
    FixedValues::new(fixed.map(|key| {
        let value = values.iter().find(|value| value.key.path == key.path);
        let compared = value.map(|value| value::compared(key.kind, &value.input));
        let mut hasher = DefaultHasher::new();
        compared.unwrap_or_default().to_string().hash(&mut hasher);
        (key.path, hasher.finish())
    }))
}

/// Adds to each problem the place of the value of its key, if a source sets it.
fn add_places(problems: &mut [Problem], values: &[Assignment]) {
    for problem in problems {
        let mut values = values.iter();
        if let Some(value) = values.find(|value| value.key.path == problem.key) {
            problem.place.clone_from(&value.place);
        }
    }
}

/// What the sources say, without defaults.
struct Merged {
    /// At most one for each key.
    assignments: Vec<Assignment>,
    /// The values that these override.
    overridden: Vec<Assignment>,
    /// About variables that name no key.
    warnings: Vec<Warning>,
}

/// The values that file, environment and `--database` give to keys.
fn merge(sources: Sources<'_>, problems: &mut Vec<Problem>) -> Result<Merged, ConfigError> {
    let mut assignments = match sources.file {
        Some(file) => file.assignments(problems)?,
        None => Vec::new(),
    };
    let environment = environment::read(sources.variables.into_iter());
    problems.extend(environment.problems);
    let dsn = sources.dsn.and_then(|DsnOverride { place, dsn }| {
        Some(Assignment {
            key: keys::find("db.dsn")?,
            origin: Origin::CommandLine,
            place: place.to_owned(),
            input: Input::One(dsn),
        })
    });
    let mut overridden = Vec::new();
    for assignment in environment.assignments.into_iter().chain(dsn) {
        let is_other = |other: &mut Assignment| other.key.path == assignment.key.path;
        overridden.extend(assignments.extract_if(.., is_other));
        assignments.push(assignment);
    }
    let unknown_presets = sources.presets.iter().map(|preset| preset.path);
    let unknown_presets = unknown_presets.filter(|path| keys::find(path).is_none());
    problems.extend(unknown_presets.map(|path| keys::unknown(path, String::new())));
    Ok(Merged {
        assignments,
        overridden,
        warnings: environment.warnings,
    })
}
