//! Standard output.

use std::fmt::Display;
use std::io::Write as _;

/// Writes a line. If the reader has closed the pipe, the run goes on: its files are still wanted.
pub fn say(words: impl Display) {
    let _ = writeln!(std::io::stdout(), "{words}");
}
