//! Full files: `FILE.` and the number of their last line in 20 digits, so that names sort in the
//! order of the chain and no file is ever renamed twice.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::file;

/// Digits of the number in the name of a full file.
const DIGITS: usize = 20;
/// The suffix of a file that is about to become the current one.
const NEW: &str = ".new";

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The name of a full file whose last line has the number `last`.
pub(crate) fn archive(path: &Path, last: u64) -> PathBuf {
    with_suffix(path, &format!(".{last:0DIGITS$}"))
}

/// The name under which the next file is created.
pub(crate) fn next(path: &Path) -> PathBuf {
    with_suffix(path, NEW)
}

/// The full files of the log at `path`, the oldest first.
pub(crate) fn archives(path: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(name) = path.file_name() else {
        return Ok(Vec::new());
    };
    let prefix = [name.as_encoded_bytes(), b"."].concat();
    let mut found = Vec::new();
    for entry in fs::read_dir(file::directory(path))? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.as_encoded_bytes().strip_prefix(prefix.as_slice());
        let is_number =
            |digits: &[u8]| digits.len() == DIGITS && digits.iter().all(u8::is_ascii_digit);
        if number.is_some_and(is_number) && entry.file_type()?.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Removes all full files but the newest `keep`. Returns how many were removed.
pub(crate) fn prune(path: &Path, keep: usize) -> io::Result<usize> {
    let archives = archives(path)?;
    let surplus = archives.len().saturating_sub(keep);
    for old in archives.iter().take(surplus) {
        fs::remove_file(old)?;
    }
    Ok(surplus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_files_go_and_files_of_others_stay() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("audit.log");
        let others = [
            "audit.log.1",
            "audit.log.gz",
            "other.log.00000000000000000001",
        ];
        for name in others {
            fs::write(scratch.path().join(name), "").unwrap();
        }
        for last in [1000, 9, 70] {
            fs::write(archive(&path, last), "").unwrap();
        }
        fs::create_dir(archive(&path, 1)).unwrap();
        let wanted: Vec<_> = [9, 70, 1000].map(|last| archive(&path, last)).into();
        assert_eq!(archives(&path).unwrap(), wanted);
        assert_eq!(prune(&path, 2).unwrap(), 1);
        assert_eq!(archives(&path).unwrap(), wanted[1..]);
        assert_eq!(prune(&path, 2).unwrap(), 0);
        assert!(others.iter().all(|name| scratch.path().join(name).exists()));
    }
}
