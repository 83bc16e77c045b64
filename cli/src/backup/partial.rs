//! The file that holds an unfinished backup.
//!
//! Its name can be guessed, so others may have put something there: a link to a file that must not
//! be overwritten, or a file that they can read. It is therefore removed, never written to.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Creates the file at `path`, for its owner only, and locks it. Replaces the file that an
/// interrupted command has left.
///
/// # Errors
/// When something else is at `path`, when another command is writing there, and when the system
/// refuses.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let old = remove_old(path)?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    lock(&file)?;
    // The old file stays locked until now, so that no other command removes the new one unlocked.
    drop(old);
    check_is_at(&file, path)?;
    Ok(file)
}

/// Checks that `path` is still the name of `file`.
///
/// # Errors
/// When another file has taken its place.
pub(super) fn check_is_at(file: &File, path: &Path) -> io::Result<()> {
    let (ours, there) = (file.metadata()?, path.symlink_metadata()?);
    if (ours.dev(), ours.ino()) != (there.dev(), there.ino()) {
        return Err(io::Error::other("another file has taken its place"));
    }
    Ok(())
}

/// Removes an old file. Returns it, locked; `None` when there is none.
fn remove_old(path: &Path) -> io::Result<Option<File>> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "this is a link or a directory, and no unfinished backup; remove it or name another file",
        ));
    }
    let old = File::open(path)?;
    lock(&old)?;
    fs::remove_file(path)?;
    Ok(Some(old))
}

fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::other("another backup is being written to it"))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_prepared_file_is_replaced_and_not_written_to() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("backup.partial");
        let other = directory.path().join("other");
        fs::write(&other, "precious").expect("a file");
        fs::set_permissions(&other, Permissions::from_mode(0o666)).expect("a mode");
        fs::hard_link(&other, &path).expect("a link");
        let mut readable = File::open(&path).expect("open");
        let mut file = create(&path).expect("a new file");
        file.write_all(b"secret").expect("written");
        let mode = file.metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&other).expect("read"), "precious");
        let mut seen = String::new();
        io::Read::read_to_string(&mut readable, &mut seen).expect("read");
        assert_eq!(seen, "precious");
    }

    #[test]
    fn links_are_not_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("backup.partial");
        let other = directory.path().join("other");
        for exists in [true, false] {
            if exists {
                fs::write(&other, "precious").expect("a file");
            }
            symlink(&other, &path).expect("a link");
            let error = create(&path).expect_err("a link");
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(other.exists(), exists);
            if exists {
                assert_eq!(fs::read_to_string(&other).expect("read"), "precious");
                fs::remove_file(&other).expect("removed");
            }
            fs::remove_file(&path).expect("removed");
        }
        fs::create_dir(&path).expect("a directory");
        assert!(create(&path).is_err());
    }

    #[test]
    fn only_one_command_writes() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("backup.partial");
        let first = create(&path).expect("a file");
        let error = create(&path).expect_err("in use");
        assert!(error.to_string().contains("another backup"), "{error}");
        check_is_at(&first, &path).expect("still there");
        drop(first);
        let second = create(&path).expect("the left file is replaced");
        fs::rename(&path, directory.path().join("moved")).expect("moved");
        fs::write(&path, "").expect("another");
        assert!(check_is_at(&second, &path).is_err());
    }
}
