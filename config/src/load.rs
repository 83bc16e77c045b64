//! Loads the settings: merges all sources and checks them against the table of keys.

use std::path::Path;
use std::sync::Arc;

use talos_model::Secret;

use crate::assignment::{Assignment, Origin};
use crate::checks;
use crate::environment;
use crate::error::{ConfigError, Problem, Warning};
use crate::file::ConfigFile;
use crate::input::{Fault, Input};
use crate::key::{Fallback, Key, Sensitivity};
use crate::keys::{self, KEYS};
use crate::placeholder;
use crate::settings::{Database, Secrets, Settings};

/// The most characters of a bad value that a message repeats.
const SHOWN_CHARACTERS_MAX: usize = 60;

/// A default for this start only. It overrides the default of the table; the file and the
/// environment override it.
#[derive(Clone, Debug)]
pub struct Preset {
    /// The full path of the key.
    pub path: &'static str,
    /// The value; for a list, each item.
    pub values: Vec<String>,
}

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
pub(crate) struct Sources<'a, E> {
    pub(crate) file: Option<&'a ConfigFile>,
    pub(crate) environment: E,
    pub(crate) presets: &'a [Preset],
    /// Overrides all other sources.
    pub(crate) dsn: Option<DsnOverride>,
    pub(crate) missing: MissingKeys,
}

/// What all sources together say.
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    pub(crate) warnings: Vec<Warning>,
    /// The value of each key that has one, defaults included, in the order of [`KEYS`].
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
        let loaded = load(Sources {
            file: file.as_ref(),
            environment,
            presets: &[],
            dsn,
            missing: MissingKeys::Ignore,
        })?;
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
        } = load(Sources {
            file: file.as_ref(),
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
        let file = file.map(ConfigFile::read).transpose()?;
        Self::load_file(file.as_ref(), environment, presets)
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
        let loaded = load(Sources {
            file,
            environment,
            presets,
            dsn: None,
            missing: MissingKeys::Refuse,
        })?;
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
        fetch: impl FnMut(&str) -> Result<Secret, String>,
    ) -> Result<Vec<Warning>, ConfigError> {
        let credentials = &mut self.credentials;
        if !credentials.key_sets.has_remote() {
            return Ok(Vec::new());
        }
        let keys = credentials.key_sets.load(fetch).map_err(|message| {
            let key = "credentials.derived_tokens.jwt.signing_keys.urls";
            ConfigError::Invalid(vec![Problem::of_key(key, message)])
        })?;
        credentials.signing_keys = Arc::new(keys);
        Ok(checks::unknown_signing_key(self).into_iter().collect())
    }
}

/// Loads what `sources` say.
///
/// # Errors
/// [`ConfigError`], with every bad key and value of all sources at once.
pub(crate) fn load(
    sources: Sources<'_, impl Iterator<Item = (String, String)>>,
) -> Result<Loaded, ConfigError> {
    let (presets, missing) = (sources.presets, sources.missing);
    let mut problems = Vec::new();
    let Merged {
        assignments,
        overridden,
        mut warnings,
    } = merge(sources, &mut problems)?;
    let values = with_fallbacks(assignments, presets, missing, &mut problems);
    let mut settings = apply_all(&values, &mut warnings, &mut problems);
    if problems.is_empty() {
        problems.extend(checks::problems(&settings));
        if missing == MissingKeys::Refuse {
            problems.extend(settings.replication.missing());
        }
        for problem in &mut problems {
            let mut values = values.iter();
            if let Some(value) = values.find(|value| value.key.path == problem.key) {
                problem.place.clone_from(&value.place);
            }
        }
    }
    if !problems.is_empty() {
        return Err(ConfigError::Invalid(problems));
    }
    settings.secrets.fill_in_defaults();
    settings.replication.fill_in_defaults();
    warnings.extend(checks::warnings(&settings));
    Ok(Loaded {
        settings,
        warnings,
        values,
        overridden,
    })
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
fn merge(
    sources: Sources<'_, impl Iterator<Item = (String, String)>>,
    problems: &mut Vec<Problem>,
) -> Result<Merged, ConfigError> {
    let mut assignments = match sources.file {
        Some(file) => file.assignments(problems)?,
        None => Vec::new(),
    };
    let environment = environment::read(sources.environment);
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

/// The value of every key that has one, in the order of [`KEYS`].
fn with_fallbacks(
    mut assignments: Vec<Assignment>,
    presets: &[Preset],
    missing: MissingKeys,
    problems: &mut Vec<Problem>,
) -> Vec<Assignment> {
    let assigned: Vec<&str> = assignments.iter().map(|one| one.key.path).collect();
    let mut values = Vec::with_capacity(KEYS.len());
    for key in KEYS {
        let position = assignments.iter().position(|one| one.key.path == key.path);
        if let Some(at) = position {
            values.push(assignments.swap_remove(at));
            continue;
        }
        match fallback(key, presets, &assigned) {
            Ok(Some((origin, input))) => values.push(Assignment {
                key,
                origin,
                place: String::new(),
                input,
            }),
            Ok(None) => {}
            Err(_) if missing == MissingKeys::Ignore => {}
            Err(problem) => {
                // A key whose value could not be read is not missing; one message is enough.
                if !problems.iter().any(|other| other.key == problem.key) {
                    problems.push(problem);
                }
            }
        }
    }
    values
}

/// Applies the values to blank settings.
fn apply_all(
    values: &[Assignment],
    warnings: &mut Vec<Warning>,
    problems: &mut Vec<Problem>,
) -> Settings {
    let mut settings = Settings::blank();
    for Assignment {
        key, place, input, ..
    } in values
    {
        let read = refuse_references(input).and_then(|()| key.kind.apply(&mut settings, input));
        match read {
            Ok(None) => {}
            Ok(Some(message)) => warnings.push(Warning {
                key: key.path,
                message,
            }),
            Err(fault) => problems.push(refusal(key, place.clone(), &fault)),
        }
    }
    settings
}

/// The value of a key that no source sets; `assigned` are the paths of the keys that some source
/// sets.
fn fallback(
    key: &Key,
    presets: &[Preset],
    assigned: &[&str],
) -> Result<Option<(Origin, Input)>, Problem> {
    if let Some(preset) = presets.iter().find(|preset| preset.path == key.path) {
        let mut values = preset.values.clone();
        let input = if key.is_list() {
            Input::Many(values)
        } else {
            Input::One(values.pop().unwrap_or_default())
        };
        return Ok(Some((Origin::Preset, input)));
    }
    match key.fallback {
        Fallback::Value(_) => Ok(key.default_input().map(|input| (Origin::Default, input))),
        Fallback::Unset(_) => Ok(None),
        Fallback::RequiredUnless { path, .. } if assigned.contains(&path) => Ok(None),
        Fallback::Required(advice) | Fallback::RequiredUnless { advice, .. } => {
            Err(Problem::of_key(
                key.path,
                format!(
                    "required but not set; {advice}; set it in the file or as {}",
                    key.variable()
                ),
            ))
        }
    }
}

/// Refuses values with references to variables, which nothing would replace.
fn refuse_references(input: &Input) -> Result<(), Fault> {
    for (item, text) in input.texts() {
        placeholder::check(text).map_err(|problem| Fault {
            item,
            value: text.to_owned(),
            problem,
        })?;
    }
    Ok(())
}

fn refusal(key: &Key, place: String, fault: &Fault) -> Problem {
    let item = fault
        .item
        .map(|item| format!("item {item}: "))
        .unwrap_or_default();
    let shown = match key.sensitivity {
        Sensitivity::Public => format!("{:?}: ", shorten(&fault.value)),
        Sensitivity::Secret => String::new(),
    };
    let message = format!("{item}{shown}{}; allowed: {}", fault.problem, key.allowed());
    Problem {
        place,
        key: key.path.to_owned(),
        message,
    }
}

fn shorten(value: &str) -> String {
    match value.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}
