//! Keeps the data directory to its owner: it holds names, actors and metadata of keys.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The permissions of everybody but the owner.
const OTHERS: u32 = 0o077;
/// The depth of a data directory, with something to spare.
const DEPTH_MAX: u32 = 4;

/// Takes the permissions of others away from the data directory `root` and from all files in it,
/// and logs a warning if others could enter it. Nothing but the log tells of a failure: the
/// directory may belong to another user, as a mounted volume does.
pub fn tighten(root: &Path) {
    let mode = match fs::metadata(root) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) => {
            tracing::warn!(directory = %root.display(), %error, "the mode of the data directory is unknown");
            return;
        }
    };
    let directory = root.display();
    let tightened = tighten_path(root, mode).and_then(|()| tighten_entries(root, DEPTH_MAX));
    match tightened {
        Ok(()) if mode & OTHERS == 0 => {}
        Ok(()) => tracing::warn!(
            %directory,
            mode = format!("{:o}", mode & 0o7777),
            "other users could enter the data directory; its mode and that of its files now allow only the owner"
        ),
        Err(error) => tracing::warn!(
            %directory,
            mode = format!("{:o}", mode & 0o7777),
            %error,
            "other users may read the data directory, and its mode cannot be changed; \
             run `chmod -R go= DIRECTORY` as its owner"
        ),
    }
}

fn tighten_entries(directory: &Path, depth: u32) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // The root of a file system has it, and only root can read it.
        if entry.file_name() == "lost+found" {
            continue;
        }
        // This does not follow links.
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // The database has removed a file of its own.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if !metadata.is_file() && !metadata.is_dir() {
            continue;
        }
        tighten_path(&entry.path(), metadata.permissions().mode())?;
        if metadata.is_dir() && depth > 0 {
            tighten_entries(&entry.path(), depth - 1)?;
        }
    }
    Ok(())
}

fn tighten_path(path: &Path, mode: u32) -> io::Result<()> {
    if mode & OTHERS == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode & 0o7777 & !OTHERS))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn only_the_owner_keeps_permissions_and_links_are_not_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let (root, outside) = (scratch.path().join("data"), scratch.path().join("outside"));
        fs::create_dir_all(root.join("db")).unwrap();
        let files = ["FORMAT", "witness", "db/000001.sst"].map(|name| root.join(name));
        for file in files.iter().chain([&outside]) {
            fs::write(file, "").unwrap();
            fs::set_permissions(file, Permissions::from_mode(0o664)).unwrap();
        }
        for directory in [root.clone(), root.join("db")] {
            fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
        }
        symlink(&outside, root.join("link")).unwrap();
        tighten(&root);
        assert_eq!((mode(&root), mode(&root.join("db"))), (0o700, 0o700));
        assert_eq!(files.map(|file| mode(&file)), [0o600; 3]);
        assert_eq!(mode(&outside), 0o664);
    }
}
