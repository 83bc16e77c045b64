//! Noticing that a file has changed, without reading it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What identifies the content of a file. A path is followed to its end, so a symbolic link that
/// points elsewhere is a change, too. Kubernetes renews mounted secrets that way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(Option<Content>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Content {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Also moves when owner or permissions change, which may make a file readable.
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of the file at `path`. A file that is not there has a stamp of its own.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        Self(path.metadata().ok().map(|file| Content {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }))
    }

    /// Whether this is another file than `before`: one that was renamed to its path, and so is
    /// complete. A file that is written in its place may be read half.
    #[must_use]
    pub fn replaces(&self, before: &Self) -> bool {
        match (&self.0, &before.0) {
            (Some(now), Some(before)) => (now.device, now.inode) != (before.device, before.inode),
            _ => false,
        }
    }
}
