//! The Unix socket beside the TCP listener.
//!
//! Guarantees: a socket that a process listens on is an error, and so is a file of another kind; a
//! socket that a killed server left behind is replaced; no client can connect before the mode is
//! set; on a stop the file is removed, unless another server has replaced it.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::limits;

/// Access for owner and group. A reverse proxy joins the group; other users have no access.
const MODE: u32 = 0o660;

/// A socket in the file system. Dropping this removes the file.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode of the file that this server made.
    identity: (u64, u64),
}

impl SocketFile {
    /// Listens at `path`.
    ///
    /// # Errors
    /// `AddrInUse` when a process listens there or `path` is a file of another kind; otherwise the
    /// error of the system.
    pub(crate) fn bind(path: &Path) -> io::Result<(Self, UnixListener)> {
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let metadata = fs::symlink_metadata(path)?;
        let file = Self {
            path: path.to_owned(),
            identity: (metadata.dev(), metadata.ino()),
        };
        // No client can connect before `listen`.
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        socket.listen(limits::BACKLOG)?;
        Ok((file, socket.into()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }
}

/// Removes a socket that no process listens on.
fn remove_stale(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AddrInUse, "a file lies there"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &Path) -> Option<ErrorKind> {
        SocketFile::bind(path).err().map(|error| error.kind())
    }

    #[test]
    fn a_socket_lives_as_long_as_its_server() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("talos.sock");
        let (file, listener) = SocketFile::bind(&path).expect("a socket");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        assert_eq!(kind(&path), Some(ErrorKind::AddrInUse));
        UnixStream::connect(&path).expect("a connection");
        drop(listener);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_server_left_is_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("talos.sock");
        drop(UnixListener::bind(&path).expect("a socket"));
        assert!(path.exists());
        let (_file, _listener) = SocketFile::bind(&path).expect("a socket");
        UnixStream::connect(&path).expect("a connection");
    }

    #[test]
    fn other_files_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("talos.sock");
        fs::write(&path, "the only copy").expect("written");
        assert_eq!(kind(&path), Some(ErrorKind::AddrInUse));
        assert_eq!(fs::read_to_string(&path).expect("text"), "the only copy");
        assert!(SocketFile::bind(&directory.path().join("missing/talos.sock")).is_err());

        // Another server has replaced the socket.
        let path = directory.path().join("other.sock");
        let (file, _listener) = SocketFile::bind(&path).expect("a socket");
        fs::remove_file(&path).expect("removed");
        let _theirs = UnixListener::bind(&path).expect("a socket");
        drop(file);
        assert!(path.exists());
    }
}
