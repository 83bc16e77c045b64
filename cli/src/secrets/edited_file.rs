//! A file that is edited: it has its old text or its new one at every moment, also after a crash.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// A regular file that no other command of this program edits until this is dropped.
pub(super) struct EditedFile {
    /// Without symbolic links, so that a link stays a link.
    path: PathBuf,
    /// Holds the lock.
    file: File,
}

impl EditedFile {
    /// Locks the file to which `path` leads.
    ///
    /// # Errors
    /// When there is no such regular file, or another command edits it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let file = File::open(&path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("this is not a regular file"));
        }
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| io::Error::other(format!("another command edits it: {error}")))?;
        Ok(Self { path, file })
    }

    /// Puts `new` in the place of `old`, with the same mode and owner. The text is durable before
    /// it takes the place of the old one.
    ///
    /// # Errors
    /// When the text of the file is not `old` any more, or the new one cannot be written. Then the
    /// file is unchanged, unless only the directory could not be synchronized.
    pub(super) fn replace(&self, old: &str, new: &str) -> io::Result<()> {
        let beside = beside(&self.path);
        let written = self
            .fill(&beside, new)
            .and_then(|()| self.check_unchanged(old))
            .and_then(|()| fs::rename(&beside, &self.path));
        if written.is_err() {
            // If it cannot be removed, nobody reads it but those who may read the file.
            let _ = fs::remove_file(&beside);
        }
        written?;
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        File::open(directory)?.sync_all()
    }

    fn fill(&self, path: &Path, text: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())?;
        let (old, new) = (self.file.metadata()?, file.metadata()?);
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        file.sync_all()
    }

    fn check_unchanged(&self, old: &str) -> io::Result<()> {
        if fs::read(&self.path)? == old.as_bytes() {
            return Ok(());
        }
        Err(io::Error::other(
            "it was changed in the meantime; try again",
        ))
    }
}

/// A name in the same directory. Two commands never use the same one at once.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{}.new", std::process::id()));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_and_modes_stay() {
        let place = tempfile::tempdir().expect("a directory");
        let [path, link] = ["file", "link"].map(|name| place.path().join(name));
        fs::write(&path, "old").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("a mode");
        symlink("file", &link).expect("a link");
        let edited = EditedFile::open(&link).expect("a file");
        assert!(EditedFile::open(&path).is_err(), "locked");
        edited.replace("old", "new").expect("replaced");
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&path).expect("read"), "new");
        let mode = fs::metadata(&path).expect("metadata").mode();
        assert_eq!(mode & 0o7777, 0o640);
        assert_eq!(fs::read_dir(place.path()).expect("read").count(), 2);
    }

    /// What a command leaves that is killed before the rename is beside the file.
    #[test]
    fn the_file_is_whole_until_the_rename() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("file");
        fs::write(&path, "old").expect("written");
        let edited = EditedFile::open(&path).expect("a file");
        edited.fill(&beside(&path), "new").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("read"), "old");
        fs::remove_file(beside(&path)).expect("removed");
        let error = edited.replace("other", "new").expect_err("changed");
        assert!(error.to_string().contains("in the meantime"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("read"), "old");
        assert_eq!(fs::read_dir(place.path()).expect("read").count(), 1);
        assert!(EditedFile::open(place.path()).is_err());
    }
}
