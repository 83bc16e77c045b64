//! What a command reads and writes.

use std::io::{BufRead, Write};

/// The three standard streams.
pub(crate) struct Console<'a> {
    /// For credentials and files given as `-`.
    pub(crate) input: &'a mut dyn BufRead,
    /// For results.
    pub(crate) out: &'a mut dyn Write,
    /// For everything else.
    pub(crate) remarks: &'a mut dyn Write,
    /// Whether somebody watches the remarks as they come.
    pub(crate) is_watched: bool,
    /// Whether somebody can be asked, who reads the remarks and writes the input.
    pub(crate) can_ask: bool,
}
