//! Reading all sources against the table.

use std::path::Path;

use crate::environment::{self, FromEnvironment};
use crate::error::{ConfigError, Problem, Warning};
use crate::key::{Fallback, Key, Sensitivity};
use crate::keys::{self, KEYS};
use crate::kind::{Ending, Fault, Input};
use crate::settings::{Database, Settings};
use crate::suggestion::suggest;
use crate::tree::{self, Located, Node};

/// The most of a bad value that a message repeats, in characters.
const SHOWN_CHARACTERS_MAX: usize = 60;

/// A default for this start only: it stands in for the table's default and loses against file and environment.
#[derive(Clone, Debug)]
pub struct Preset {
    /// The key's full path.
    pub path: &'static str,
    /// The value; for a list, each item.
    pub values: Vec<String>,
}

/// What becomes of required keys that no source names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Refused,
    LeftOut,
}

/// A DSN that wins over every source.
#[derive(Clone, Debug)]
pub struct GivenDsn {
    /// Where it was given, for messages.
    pub place: &'static str,
    /// The value of `db.dsn`.
    pub dsn: String,
}

impl Database {
    /// Reads where keys are stored, as [`Settings::load`] does, for whoever needs to know no more: the keys that a server
    /// needs may be missing.
    ///
    /// # Errors
    /// [`ConfigError`], also for bad keys and values outside of `db`.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        dsn: Option<GivenDsn>,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let dsn = dsn.and_then(|GivenDsn { place, dsn }| {
            Some(Sourced {
                key: keys::find("db.dsn")?,
                place: place.to_owned(),
                input: Input::One(dsn),
            })
        });
        let (settings, warnings) =
            Settings::load_with(file, environment, &[], (Missing::LeftOut, dsn))?;
        Ok((settings.db, warnings))
    }
}

/// A value and where it was read.
struct Sourced {
    key: &'static Key,
    place: String,
    input: Input,
}

impl Settings {
    /// Reads the settings: environment over file over `presets` over the defaults of [`KEYS`].
    ///
    /// `environment` is every variable of the process; those that do not begin with `TALOS_` are ignored.
    ///
    /// # Errors
    /// [`ConfigError`]; it reports every bad key and value of all sources at once.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        presets: &[Preset],
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        Self::load_with(file, environment, presets, (Missing::Refused, None))
    }

    fn load_with(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        presets: &[Preset],
        (missing, given): (Missing, Option<Sourced>),
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let mut problems = Vec::new();
        let mut sourced = match file {
            Some(path) => from_file(path, &mut problems)?,
            None => Vec::new(),
        };
        let (found, bad_variables) = environment::read(environment);
        problems.extend(bad_variables);
        for FromEnvironment {
            key,
            variable,
            input,
        } in found
        {
            sourced.retain(|other| other.key.path != key.path);
            sourced.push(Sourced {
                key,
                place: variable,
                input,
            });
        }
        if let Some(given) = given {
            sourced.retain(|other| other.key.path != given.key.path);
            sourced.push(given);
        }
        problems.extend(
            presets
                .iter()
                .filter(|preset| keys::find(preset.path).is_none())
                .map(|preset| unknown(preset.path, String::new())),
        );

        let named: Vec<&str> = sourced.iter().map(|source| source.key.path).collect();
        let mut settings = Self::blank();
        let mut warnings = Vec::new();
        for key in KEYS {
            let source = match sourced
                .iter()
                .position(|source| source.key.path == key.path)
            {
                Some(at) => sourced.swap_remove(at),
                None => match fallback(key, presets, &named) {
                    Ok(Some(input)) => Sourced {
                        key,
                        place: String::new(),
                        input,
                    },
                    Ok(None) => continue,
                    Err(_) if missing == Missing::LeftOut => continue,
                    Err(problem) => {
                        // A key whose value could not even be read is not missing; one message is enough.
                        if !problems.iter().any(|other| other.key == problem.key) {
                            problems.push(problem);
                        }
                        continue;
                    }
                },
            };
            match key.kind.apply(&mut settings, &source.input) {
                Ok(None) => {}
                Ok(Some(message)) => warnings.push(Warning {
                    key: key.path,
                    message,
                }),
                Err(fault) => problems.push(refusal(key, source.place, &fault)),
            }
        }
        if problems.is_empty() {
            problems.extend(settings.ambiguity());
            problems.extend(settings.open_door());
            problems.extend(settings.replication.contradictions());
            if missing == Missing::Refused {
                problems.extend(settings.replication.missing());
            }
        }
        if !problems.is_empty() {
            return Err(ConfigError::Invalid(problems));
        }
        settings.secrets.stand_in();
        settings.replication.stand_in();
        warnings.extend(settings.contradictions());
        Ok((settings, warnings))
    }

    /// Values that are allowed each for itself but cannot stand together.
    fn ambiguity(&self) -> Option<Problem> {
        let keys = &self.credentials.api_keys.prefix;
        let macaroons = &self.credentials.derived_tokens.macaroon_prefixes;
        let shadowed = std::iter::once(&keys.current)
            .chain(&keys.retired)
            .chain(&keys.public_current)
            .chain(&keys.public_retired)
            .find(|prefix| macaroons.shadow(prefix))?;
        Some(Problem {
            place: String::new(),
            key: "credentials.derived_tokens.macaroon.prefix".to_owned(),
            message: format!(
                "macaroons and issued keys with the prefix {shadowed:?} could not be told apart; choose another prefix for one of the two"
            ),
        })
    }

    /// Cross-origin rules that are allowed each for itself but would let every page act for its visitors.
    fn open_door(&self) -> Option<Problem> {
        let cors = &self.serve.http.cors;
        cors.gives_credentials_to_everybody().then(|| Problem {
            place: String::new(),
            key: "serve.http.cors.allow_credentials".to_owned(),
            message: "true with * among serve.http.cors.allowed_origins would let every page act for its visitors; list the origins"
                .to_owned(),
        })
    }

    /// Values that are allowed each for itself but make little sense together.
    fn contradictions(&self) -> Vec<Warning> {
        let credentials = &self.credentials;
        let keys = &credentials.api_keys;
        let life = keys.default_ttl.filter(|ttl| *ttl > keys.max_ttl).map(|_| Warning {
            key: "credentials.api_keys.default_ttl",
            message: "longer than credentials.api_keys.max_ttl, after which keys are refused whatever their expiry"
                .to_owned(),
        });
        let kid = credentials.derived_tokens.signing_key_id.as_deref();
        let signing = kid.and_then(|kid| credentials.signing_keys.signing_key(Some(kid)).err());
        let signing = signing.map(|error| Warning {
            key: "credentials.derived_tokens.jwt.signing_key_id",
            message: format!("{error}, so no JSON Web Token can be derived"),
        });
        let host = self.serve.http.trust_forwarded_host.then(|| Warning {
            key: "serve.http.trust_forwarded_host",
            message: "has no effect: the host name chooses the tenant, and this version serves one tenant"
                .to_owned(),
        });
        let replication = self.replication.doubts();
        let of_credentials = life.into_iter().chain(signing);
        of_credentials.chain(host).chain(replication).collect()
    }
}

/// What holds for a key that no source names; `named` are those that some source names.
fn fallback(key: &Key, presets: &[Preset], named: &[&str]) -> Result<Option<Input>, Problem> {
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
        Fallback::StandIn { path, .. } if named.contains(&path) => Ok(None),
        Fallback::Required(advice) | Fallback::StandIn { advice, .. } => Err(Problem {
            place: String::new(),
            key: key.path.to_owned(),
            message: format!(
                "required but not set; {advice}; set it in the file or as {}",
                key.variable()
            ),
        }),
    }
}

fn from_file(path: &Path, problems: &mut Vec<Problem>) -> Result<Vec<Sourced>, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let yaml = |message| ConfigError::Yaml {
        path: path.to_owned(),
        message,
    };
    let mut walk = Walk {
        file: path.display().to_string(),
        sourced: Vec::new(),
        problems,
    };
    match tree::parse(&text).map_err(yaml)?.value {
        Node::Null => {}
        Node::Mapping(entries) => walk.mapping("", entries),
        Node::Scalar(_) | Node::List(_) => {
            return Err(yaml("the file must be a mapping of keys".to_owned()));
        }
    }
    Ok(walk.sourced)
}

/// The way through the file's tree along the table.
struct Walk<'a> {
    file: String,
    sourced: Vec<Sourced>,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn mapping(&mut self, parent: &str, entries: Vec<(Located<String>, Located<Node>)>) {
        for (name, node) in entries {
            let path = if parent.is_empty() {
                name.value.clone()
            } else {
                format!("{parent}.{}", name.value)
            };
            if let Some(key) = keys::find(&path) {
                self.value(key, node);
            } else if keys::is_group(&path) {
                match node.value {
                    Node::Mapping(entries) => self.mapping(&path, entries),
                    Node::Null => {}
                    Node::Scalar(_) | Node::List(_) => {
                        let place = self.place(&node);
                        self.problem(
                            place,
                            &path,
                            format!("holds further keys, such as {}", first_inside(&path)),
                        );
                    }
                }
            } else {
                let place = self.place(&name);
                self.problems.push(unknown(&path, place));
            }
        }
    }

    fn value(&mut self, key: &'static Key, node: Located<Node>) {
        let place = self.place(&node);
        let input = match node.value {
            // A key without a value is a key that is not there.
            Node::Null => return,
            Node::Scalar(text) => Input::One(text),
            Node::List(items) if key.kind.items_may_end() => {
                let mut ending = Vec::with_capacity(items.len());
                for item in items {
                    let place = self.place(&item);
                    let Some(item) = self::ending(item.value) else {
                        let message = format!(
                            "every item must be a text, or a mapping of value and expires_at; allowed: {}",
                            key.allowed()
                        );
                        return self.problem(place, key.path, message);
                    };
                    ending.push(item);
                }
                Input::Ending(ending)
            }
            Node::List(items) => {
                let mut texts = Vec::with_capacity(items.len());
                for item in items {
                    let place = self.place(&item);
                    match item.value {
                        Node::Scalar(text) => texts.push(text),
                        Node::Null | Node::List(_) | Node::Mapping(_) => {
                            let message =
                                format!("every item must be a text; allowed: {}", key.allowed());
                            return self.problem(place, key.path, message);
                        }
                    }
                }
                Input::Many(texts)
            }
            Node::Mapping(_) => {
                return self.problem(
                    place,
                    key.path,
                    format!("a mapping is not allowed here; allowed: {}", key.allowed()),
                );
            }
        };
        self.sourced.push(Sourced { key, place, input });
    }

    fn place<T>(&self, located: &Located<T>) -> String {
        format!("{}:{}:{}", self.file, located.line, located.column)
    }

    fn problem(&mut self, place: String, path: &str, message: String) {
        self.problems.push(Problem {
            place,
            key: path.to_owned(),
            message,
        });
    }
}

/// An item of a list that is a text, or a mapping of `value` and `expires_at` and nothing else.
fn ending(node: Node) -> Option<Ending> {
    let entries = match node {
        Node::Scalar(value) => {
            return Some(Ending {
                value,
                expires_at: None,
            });
        }
        Node::Mapping(entries) => entries,
        Node::Null | Node::List(_) => return None,
    };
    let (mut value, mut expires_at) = (None, None);
    for (name, node) in entries {
        match (name.value.as_str(), node.value) {
            ("value", Node::Scalar(text)) => value = Some(text),
            ("expires_at", Node::Scalar(text)) => expires_at = Some(text),
            ("expires_at", Node::Null) => {}
            _ => return None,
        }
    }
    Some(Ending {
        value: value?,
        expires_at,
    })
}

fn first_inside(group: &str) -> &'static str {
    KEYS.iter()
        .map(|key| key.path)
        .find(|path| path.starts_with(&format!("{group}.")))
        .unwrap_or_default()
}

fn unknown(path: &str, place: String) -> Problem {
    let message = match suggest(path, keys::paths()) {
        Some(meant) => format!("unknown key; did you mean {meant}?"),
        None => "unknown key".to_owned(),
    };
    Problem {
        place,
        key: path.to_owned(),
        message,
    }
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
