//! What can be wrong with the settings. Every error is for the operator, and every problem is one line.

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
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not YAML, or not a mapping of keys.
    #[error("configuration file {path}: not valid YAML: {message}")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What is wrong and where; a single line without any value.
        message: String,
    },
    /// Keys or values that are not allowed, and required ones that are missing; at least one.
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
    /// Where it was read: `talos.yaml:3:5`, or the environment variable's name; empty when it was read nowhere.
    pub place: String,
    /// The key's full path, as far as it is known.
    pub key: String,
    /// What is wrong with it and what is allowed. Never holds a sensitive value.
    pub message: String,
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

/// Something that works but that the operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The key's full path.
    pub key: &'static str,
    /// What to know. Never holds a sensitive value.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}
