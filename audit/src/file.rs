//! Opens a file of the log so that no other user can make the server write elsewhere, read the log,
//! or write into it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::open_error::OpenError;

/// For the owner only.
const MODE: u32 = 0o600;

/// Whether the file must be new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It may be there already.
    Taken,
    /// It must not be there.
    Refused,
}

/// Opens or creates the file at `path` to append to it, and locks it. Its last component may not be
/// a symbolic link. It must be a regular file of this user with one name. Permissions of others are
/// taken away.
pub(crate) fn open(path: &Path, existing: Existing) -> Result<File, OpenError> {
    // A named pipe is opened without waiting for a reader, and then refused.
    let mut flags = OFlags::RDWR
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::CLOEXEC
        | OFlags::NONBLOCK
        | OFlags::NOCTTY;
    if existing == Existing::Refused {
        flags |= OFlags::EXCL;
    }
    let unusable = |why| OpenError::Unusable {
        path: path.to_owned(),
        why,
    };
    let system = |error: Errno| OpenError::System {
        path: path.to_owned(),
        source: error.into(),
    };
    let mode = Mode::from_raw_mode(MODE);
    let file = rustix::fs::open(path, flags, mode).map_err(|error| match error {
        Errno::LOOP => unusable("is a symbolic link; name the file itself"),
        Errno::ISDIR => unusable("is a directory"),
        error => system(error),
    })?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(|error| OpenError::System {
        path: path.to_owned(),
        source: error,
    })?;
    if !metadata.is_file() {
        return Err(unusable("is no regular file; use - for standard output"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(unusable(
            "belongs to another user; give it to the user that runs the server",
        ));
    }
    if metadata.nlink() > 1 {
        return Err(unusable("has a second name (a hard link)"));
    }
    if metadata.mode() & 0o077 != 0 {
        rustix::fs::fchmod(&file, mode).map_err(system)?;
        tracing::warn!(
            file = %path.display(),
            mode = format!("{:o}", metadata.mode() & 0o7777),
            "other users could open the audit log; its mode now allows only the owner"
        );
    }
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(unusable(
            "is in use by another server; each server needs a file of its own",
        )),
        Err(error) => Err(system(error)),
    }
}

/// Makes the names in the directory of `path` durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

/// The directory that holds `path`.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// What is known of the file at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Of an open file.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::from(&metadata))
    }

    /// Of what is at `path`, which is not followed; `None` if nothing is.
    pub(crate) fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(Self::from(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl From<&fs::Metadata> for Identity {
    fn from(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn refused(path: &Path) -> String {
        open(path, Existing::Taken)
            .expect_err("a refusal")
            .to_string()
    }

    #[test]
    fn only_a_private_regular_file_is_opened() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("audit.log");
        let file = open(&path, Existing::Taken).expect("a file");
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        assert!(refused(&path).contains("another server"));
        drop(file);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let file = open(&path, Existing::Taken).expect("a file");
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        drop(file);

        let link = scratch.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(refused(&link).contains("symbolic link"));
        fs::hard_link(&path, scratch.path().join("second")).unwrap();
        assert!(refused(&path).contains("hard link"));
        assert!(refused(scratch.path()).contains("directory"));
        let pipe = scratch.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        assert!(refused(&pipe).contains("regular file"));
        let absent = scratch.path().join("absent/audit.log");
        assert!(refused(&absent).contains("absent/audit.log"));
        assert!(open(&path, Existing::Refused).is_err());
    }
}
