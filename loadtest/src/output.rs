//! Standard output.

use std::fmt::Display;
use std::io::Write as _;

/// Writes a line. Whoever reads may have closed its end; the run goes on, because its files are still wanted.
pub fn say(words: impl Display) {
    let _ = writeln!(std::io::stdout(), "{words}");
}
