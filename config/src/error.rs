//! Errors and warnings of the settings. They are written for the operator; each problem is one
//! line.

use std::fmt;
use std::path::PathBuf;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration file {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The file is not YAML, or not a mapping of keys.
    #[error("configuration file {path}: not valid YAML: {message}")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What is wrong and where; one line, without any value.
        message: String,
    },
    /// Keys or values that are not allowed, and required keys that are missing; at least one.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(Problem::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the value was read: `talos.yaml:3:5`, or the name of an environment variable. Empty if
    /// it was not read anywhere.
    pub place: String,
    /// The full path of the key, as far as it is known.
    pub key: String,
    /// What is wrong and what is allowed. Never contains a sensitive value.
    pub message: String,
}

impl Problem {
    /// A problem of a key that concerns no single place.
    pub(crate) fn of_key(key: &str, message: impl Into<String>) -> Self {
        Self {
            place: String::new(),
            key: key.to_owned(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// A setting that works, but that the operator should know about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The full path of the key; `environment` if the warning is about a variable that has none.
    pub key: &'static str,
    /// What the operator should know. Never contains a sensitive value.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}
