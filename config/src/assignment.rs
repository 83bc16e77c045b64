//! A value that a source gives to a key.

use std::fmt;

use crate::input::Input;
use crate::key::Key;

/// A key, its value, and where that value was read.
#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    pub(crate) key: &'static Key,
    pub(crate) origin: Origin,
    /// For messages: `FILE:LINE:COLUMN`, an environment variable or an option of the command line.
    /// Empty for defaults.
    pub(crate) place: String,
    pub(crate) input: Input,
}

/// The kind of source that a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nothing sets the key.
    Default,
    /// The program overrides the default, as `talos serve --dev` does.
    Preset,
    /// The configuration file.
    File,
    /// An environment variable, or a file that one names.
    Environment,
    /// An option of the command line.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Preset => "preset",
            Self::File => "file",
            Self::Environment => "environment",
            Self::CommandLine => "command line",
        })
    }
}
