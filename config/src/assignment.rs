//! A value that a source gives to a key.

use crate::input::Input;
use crate::key::Key;

/// A key, its value, and where that value was read.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) key: &'static Key,
    /// For messages: `FILE:LINE:COLUMN`, an environment variable or an option of the command line.
    /// Empty for defaults.
    pub(crate) place: String,
    pub(crate) input: Input,
}
