//! One key of the configuration: its path, its kind and its fallback.

use std::fmt;

use crate::input::Input;
use crate::kind::Kind;
use crate::secret_file;

/// A key of the configuration.
#[derive(Clone, Copy)]
pub struct Key {
    /// The full path, such as `serve.http.port`.
    pub path: &'static str,
    /// What to do if no source sets it.
    pub fallback: Fallback,
    /// Whether the value may be shown.
    pub sensitivity: Sensitivity,
    /// When a changed value takes effect.
    pub reload: Reload,
    /// What the key is for, in a few sentences.
    pub about: &'static str,
    /// A value as it may stand in the file; empty if the default is the example.
    pub(crate) example: &'static str,
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

/// When a changed value can take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// While the server runs.
    Live,
    /// At the next start.
    Restart,
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Restart => "restart",
        })
    }
}

impl Key {
    /// The key, described.
    pub(crate) const fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// The key with an example of its value, as it may stand in the file.
    pub(crate) const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// The key, if a changed value takes effect only at the next start.
    pub(crate) const fn restart(self) -> Self {
        Self {
            reload: Reload::Restart,
            ..self
        }
    }

    /// The value of a key that nothing sets; `None` if it then has none.
    pub(crate) fn default_input(&self) -> Option<Input> {
        let Fallback::Value(text) = self.fallback else {
            return None;
        };
        Some(if self.is_list() {
            Input::Many(text.split(',').map(ToOwned::to_owned).collect())
        } else {
            Input::One(text.to_owned())
        })
    }

    /// The last part of the path.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// The kind of the value, such as `duration`.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        self.kind.name()
    }

    /// The environment variable that overrides the key: `TALOS_` and the path in upper case, with
    /// `_` for `.`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("TALOS_{}", self.path.to_ascii_uppercase().replace('.', "_"))
    }

    /// The environment variable that names a file with the value. Only secrets have one.
    #[must_use]
    pub fn file_variable(&self) -> Option<String> {
        let has_one = self.sensitivity == Sensitivity::Secret;
        has_one.then(|| format!("{}{}", self.variable(), secret_file::SUFFIX))
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
        reload: Reload::Live,
        about: "",
        example: "",
        kind,
    }
}

/// A key whose value is never shown.
pub(crate) const fn secret(path: &'static str, fallback: Fallback, kind: Kind) -> Key {
    Key {
        path,
        fallback,
        sensitivity: Sensitivity::Secret,
        reload: Reload::Live,
        about: "",
        example: "",
        kind,
    }
}
