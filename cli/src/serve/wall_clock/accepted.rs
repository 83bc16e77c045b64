//! The file that notes which clock an operator has accepted.
//!
//! ```text
//! talos-data/clock  accepted CLOCK newest CHANGE  both in milliseconds since 1970
//! ```
//!
//! Written by sync and rename.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use talos_model::AcceptedClock;
use talos_model::clock::UnixMillis;

const NAME: &str = "clock";
const NEW: &str = ".clock.new";

/// The file below the data directory.
pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

/// What the file says. A file that is missing or unreadable accepts nothing.
pub(super) fn load(directory: &Path) -> Option<AcceptedClock> {
    parse(&fs::read_to_string(path(directory)).ok()?)
}

/// Replaces the file, durably.
pub(super) fn save(directory: &Path, accepted: AcceptedClock) -> io::Result<()> {
    let AcceptedClock {
        newest_change,
        wall,
    } = accepted;
    let new = directory.join(NEW);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    writeln!(file, "accepted {} newest {}", wall.0, newest_change.0)?;
    file.sync_all()?;
    fs::rename(&new, path(directory))?;
    File::open(directory)?.sync_all()
}

fn parse(text: &str) -> Option<AcceptedClock> {
    let mut words = text.split_ascii_whitespace();
    let mut number = |name: &str| -> Option<UnixMillis> {
        words.next().filter(|word| *word == name)?;
        words.next()?.parse().ok().map(UnixMillis)
    };
    let (wall, newest_change) = (number("accepted")?, number("newest")?);
    words.next().is_none().then_some(AcceptedClock {
        newest_change,
        wall,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded() {
        let scratch = tempfile::tempdir().unwrap();
        assert_eq!(load(scratch.path()), None);
        for wall in [0, 1_800_000_000_000] {
            let accepted = AcceptedClock {
                newest_change: UnixMillis(1_900_000_000_000),
                wall: UnixMillis(wall),
            };
            save(scratch.path(), accepted).unwrap();
            assert_eq!(load(scratch.path()), Some(accepted));
        }
    }

    #[test]
    fn a_damaged_file_accepts_nothing() {
        for text in [
            "",
            "accepted 1 newest",
            "accepted 1 newest x",
            "newest 1 accepted 2",
            "accepted 1 newest 2 more",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
