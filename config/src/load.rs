//! Loads the settings: merges all sources and checks them against the table of keys.

use std::path::Path;
use std::sync::Arc;

use talos_model::Secret;

use crate::assignment::Assignment;
use crate::checks;
use crate::environment;
use crate::error::{ConfigError, Problem, Warning};
use crate::file;
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

    fn load_from(
        sources: Sources<'_, impl Iterator<Item = (String, String)>>,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let (presets, missing) = (sources.presets, sources.missing);
        let mut problems = Vec::new();
        let (assignments, mut warnings) = merge(sources, &mut problems)?;
        let (mut settings, applied) = apply_all(assignments, presets, missing, &mut problems);
        warnings.extend(applied);
        if problems.is_empty() {
            problems.extend(checks::problems(&settings));
            if missing == MissingKeys::Refuse {
                problems.extend(settings.replication.missing());
            }
        }
        if !problems.is_empty() {
            return Err(ConfigError::Invalid(problems));
        }
        settings.secrets.fill_in_defaults();
        settings.replication.fill_in_defaults();
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

/// Applies the value of every key, or its fallback, to blank settings.
fn apply_all(
    mut assignments: Vec<Assignment>,
    presets: &[Preset],
    missing: MissingKeys,
    problems: &mut Vec<Problem>,
) -> (Settings, Vec<Warning>) {
    let assigned: Vec<&str> = assignments.iter().map(|one| one.key.path).collect();
    let mut settings = Settings::blank();
    let mut warnings = Vec::new();
    for key in KEYS {
        let position = assignments.iter().position(|one| one.key.path == key.path);
        let assignment = match position {
            Some(at) => assignments.swap_remove(at),
            None => match fallback(key, presets, &assigned) {
                Ok(Some(input)) => Assignment {
                    key,
                    place: String::new(),
                    input,
                },
                Ok(None) => continue,
                Err(_) if missing == MissingKeys::Ignore => continue,
                Err(problem) => {
                    // A key whose value could not be read is not missing; one message is enough.
                    if !problems.iter().any(|other| other.key == problem.key) {
                        problems.push(problem);
                    }
                    continue;
                }
            },
        };
        let read = refuse_references(&assignment.input)
            .and_then(|()| key.kind.apply(&mut settings, &assignment.input));
        match read {
            Ok(None) => {}
            Ok(Some(message)) => warnings.push(Warning {
                key: key.path,
                message,
            }),
            Err(fault) => problems.push(refusal(key, assignment.place, &fault)),
        }
    }
    (settings, warnings)
}

/// The value of a key that no source sets; `assigned` are the paths of the keys that some source
/// sets.
fn fallback(key: &Key, presets: &[Preset], assigned: &[&str]) -> Result<Option<Input>, Problem> {
    if let Some(preset) = presets.iter().find(|preset| preset.path == key.path) {
        let mut values = preset.values.clone();
        return Ok(Some(if key.is_list() {
            Input::Many(values)
        } else {
            Input::One(values.pop().unwrap_or_default())
        }));
    }
    match key.fallback {
        Fallback::Value(text) if key.is_list() => Ok(Some(Input::Many(
            text.split(',').map(ToOwned::to_owned).collect(),
        ))),
        Fallback::Value(text) => Ok(Some(Input::One(text.to_owned()))),
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
