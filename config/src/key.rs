//! One key of the configuration: its path, its kind and its fallback.

use std::fmt;

use crate::kind::Kind;

/// A key of the configuration.
#[derive(Clone, Copy)]
pub struct Key {
    /// The full path, such as `serve.http.port`.
    pub path: &'static str,
    /// What to do if no source sets it.
    pub fallback: Fallback,
    /// Whether the value may be shown.
    pub sensitivity: Sensitivity,
    pub(crate) kind: Kind,
}

/// What to do if no source sets a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Use this value, parsed as if it came from a file.
    Value(&'static str),
    /// Leave it unset; the text says what that means.
    Unset(&'static str),
    /// Refuse to start; the text says how to get a value.
    Required(&'static str),
    /// Leave it unset if another key is set, which then takes its place; else refuse to start.
    RequiredUnless {
        /// The path of the other key.
        path: &'static str,
        /// How to get a value.
        advice: &'static str,
    },
}

/// Whether a value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitivity {
    /// It may be shown in messages and logs.
    Public,
    /// It is never shown.
    Secret,
}

impl Key {
    /// The environment variable that overrides the key: `TALOS_` and the path in upper case, with
    /// `_` for `.`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("TALOS_{}", self.path.to_ascii_uppercase().replace('.', "_"))
    }

    /// What is allowed, as a noun phrase.
    #[must_use]
    pub fn allowed(&self) -> String {
        self.kind.allowed()
    }

    /// Whether the value is a list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.kind.is_list()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("path", &self.path)
            .field("fallback", &self.fallback)
            .finish_non_exhaustive()
    }
}

/// A key whose value may be shown.
pub(crate) const fn public(path: &'static str, fallback: Fallback, kind: Kind) -> Key {
    Key {
        path,
        fallback,
        sensitivity: Sensitivity::Public,
        kind,
    }
}

/// A key whose value is never shown.
pub(crate) const fn secret(path: &'static str, fallback: Fallback, kind: Kind) -> Key {
    Key {
        path,
        fallback,
        sensitivity: Sensitivity::Secret,
        kind,
    }
}
