//! A file with a private key: only its owner can read it, and it is written whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What becomes of a file that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// It stays, because the key in it may be in use.
    Keep,
    /// The new file takes its place.
    Replace,
}

/// Writes `text` to the file at `path`, for its owner only.
///
/// # Errors
/// When something exists at `path` that may not be replaced, or the file cannot be written. Then
/// what existed is unchanged.
pub(super) fn write(path: &Path, text: &str, existing: Existing) -> io::Result<()> {
    match existing {
        Existing::Keep => {
            let kept = |error: io::Error| match error.kind() {
                ErrorKind::AlreadyExists => io::Error::new(
                    ErrorKind::AlreadyExists,
                    "the file exists; --force replaces it",
                ),
                _ => error,
            };
            fill(create(path).map_err(kept)?, text)
        }
        Existing::Replace => replace(path, text),
    }
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Renaming would also replace a device or a pipe, for everyone who uses it.
    if let Ok(metadata) = path.symlink_metadata()
        && !metadata.is_file()
    {
        let message = "this is not a regular file; --force replaces only files";
        return Err(io::Error::new(ErrorKind::AlreadyExists, message));
    }
    let new = beside(path);
    let written = create(&new)
        .and_then(|file| fill(file, text))
        .and_then(|()| fs::rename(&new, path));
    if written
        .as_ref()
        .is_err_and(|error| error.kind() != ErrorKind::AlreadyExists)
    {
        // If it cannot be removed, only its owner can read it.
        let _ = fs::remove_file(&new);
    }
    written
}

/// A name in the same directory. Two commands never use the same one at once.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{}.new", std::process::id()));
    PathBuf::from(name)
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

fn fill(mut file: File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_only_when_asked_and_is_private_then() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("key.json");
        fs::write(&path, "old").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("a mode");
        let error = write(&path, "new", Existing::Keep).expect_err("kept");
        assert!(error.to_string().contains("--force"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("read"), "old");
        write(&path, "new", Existing::Replace).expect("replaced");
        assert_eq!(fs::read_to_string(&path).expect("read"), "new");
        let mode = fs::metadata(&path).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        write(&place.path().join("other"), "x", Existing::Replace).expect("a new file");
        assert_eq!(fs::read_dir(place.path()).expect("read").count(), 2);
    }

    #[test]
    fn only_regular_files_are_replaced() {
        let place = tempfile::tempdir().expect("a directory");
        let target = place.path().join("target");
        fs::write(&target, "precious").expect("written");
        let link = place.path().join("link");
        symlink(&target, &link).expect("a link");
        let dangling = place.path().join("dangling");
        symlink(place.path().join("nowhere"), &dangling).expect("a link");
        let directory = place.path().join("directory");
        fs::create_dir(&directory).expect("a directory");
        for path in [&link, &dangling, &directory] {
            for existing in [Existing::Keep, Existing::Replace] {
                let error = write(path, "x", existing).expect_err("refused");
                assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{path:?}");
            }
        }
        assert_eq!(fs::read_to_string(&target).expect("read"), "precious");
        assert_eq!(fs::read_dir(place.path()).expect("read").count(), 4);
    }
}
