//! Where lines go: a file that is rotated when it is full, or standard output.
//!
//! Guarantees: a line that has been begun is finished in the same file; a full file that cannot be
//! rotated is written on; a file that was moved away is not written any more.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use crate::chain::{ChainKeys, Link};
use crate::file::{self, Existing, Identity};
use crate::open_error::OpenError;
use crate::recovery::{self, TailError};
use crate::rotation;

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output. Each start begins a new chain.
    StandardOutput,
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
        /// A write that would make the file larger than this, in bytes, begins a new one.
        rotate_size: u64,
        /// How many full files are kept.
        keep: usize,
    },
}

/// A log that is open, and where its chain goes on.
#[derive(Debug)]
pub(crate) struct Opened {
    pub sink: Sink,
    /// The last whole line.
    pub last: Link,
    /// Bytes that a crash has left behind it.
    pub torn: u64,
    /// Whether these do not end with a line feed, so that one must be written first.
    pub is_open: bool,
}

/// Takes lines.
#[derive(Debug)]
pub(crate) enum Sink {
    StandardOutput(File),
    File(LogFile),
}

/// The current file.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    identity: Identity,
    size: u64,
    rotate_size: u64,
    keep: usize,
    is_durable: bool,
    /// The last attempt to rotate failed, and that was logged.
    rotation_failed: bool,
}

impl Sink {
    /// Opens the log and finds the end of its chain. `is_durable` = files and their names are
    /// synchronised when one follows another.
    pub(crate) fn open(
        target: &Target,
        keys: &ChainKeys,
        is_durable: bool,
    ) -> Result<Opened, OpenError> {
        let (path, rotate_size, keep) = match target {
            Target::StandardOutput => {
                let output = io::stdout().as_fd().try_clone_to_owned();
                let output = output.map_err(|source| OpenError::System {
                    path: PathBuf::from("-"),
                    source,
                })?;
                return Ok(Opened {
                    sink: Self::StandardOutput(File::from(output)),
                    last: Link::START,
                    torn: 0,
                    is_open: false,
                });
            }
            Target::File {
                path,
                rotate_size,
                keep,
            } => (path, *rotate_size, *keep),
        };
        let system = |source| OpenError::System {
            path: path.clone(),
            source,
        };
        let file = file::open(path, Existing::Taken)?;
        let tail = recovery::tail(&file, keys).map_err(|error| broken(path, error))?;
        let last = match tail.last {
            Some(last) => last,
            None => last_of_archives(path, keys)?,
        };
        if is_durable {
            file::sync_directory(path).map_err(system)?;
        }
        let log = LogFile {
            path: path.clone(),
            identity: Identity::of(&file).map_err(system)?,
            size: file.metadata().map_err(system)?.len(),
            file,
            rotate_size,
            keep,
            is_durable,
            rotation_failed: false,
        };
        Ok(Opened {
            sink: Self::File(log),
            last,
            torn: tail.torn,
            is_open: tail.is_open,
        })
    }

    /// Prepares for `coming` bytes after the line `last`: goes on in a new file if the current one
    /// would become too large or was moved away.
    pub(crate) fn prepare(&mut self, coming: usize, last: Link) -> io::Result<()> {
        match self {
            Self::StandardOutput(_) => Ok(()),
            Self::File(log) => log.prepare(coming as u64, last),
        }
    }

    /// Writes some of `bytes`; returns how many.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::StandardOutput(output) => output.write(bytes),
            Self::File(log) => {
                let written = log.file.write(bytes)?;
                log.size += written as u64;
                Ok(written)
            }
        }
    }

    /// Makes what was written durable. Does nothing for standard output, which may be a pipe.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        match self {
            Self::StandardOutput(_) => Ok(()),
            Self::File(log) => log.file.sync_data(),
        }
    }
}

impl LogFile {
    fn prepare(&mut self, coming: u64, last: Link) -> io::Result<()> {
        if Identity::at(&self.path)? != Some(self.identity) {
            self.follow()?;
        }
        if self.size == 0 || self.size.saturating_add(coming) <= self.rotate_size {
            return Ok(());
        }
        match self.rotate(last) {
            Ok(()) => self.rotation_failed = false,
            Err(error) => {
                if !self.rotation_failed {
                    tracing::error!(
                        file = %self.path.display(),
                        %error,
                        "the audit log cannot be rotated; the full file is written on"
                    );
                }
                self.rotation_failed = true;
            }
        }
        Ok(())
    }

    /// Goes on in a new file at the same path, because the current one was moved or removed. The
    /// chain goes on, so a verification finds out if the other file is not there any more.
    fn follow(&mut self) -> io::Result<()> {
        if self.is_durable {
            self.file.sync_all()?;
        }
        let file = file::open(&self.path, Existing::Taken).map_err(io::Error::other)?;
        let size = file.metadata()?.len();
        if size > 0 {
            return Err(io::Error::other(
                "another file is in the place of the audit log; move it away",
            ));
        }
        if self.is_durable {
            file::sync_directory(&self.path)?;
        }
        tracing::warn!(
            file = %self.path.display(),
            "the audit log was moved or removed by another program; it goes on in a new file"
        );
        self.become_file(file)
    }

    fn rotate(&mut self, last: Link) -> io::Result<()> {
        let (next, archive) = (
            rotation::next(&self.path),
            rotation::archive(&self.path, last.seq),
        );
        if Identity::at(&archive)?.is_some() {
            return Err(io::Error::other(format!(
                "{} exists already",
                archive.display()
            )));
        }
        // Left behind by a rotation that did not end. It never holds a line.
        if Identity::at(&next)?.is_some() {
            fs::remove_file(&next)?;
        }
        let file = file::open(&next, Existing::Refused).map_err(io::Error::other)?;
        if self.is_durable {
            self.file.sync_all()?;
        }
        fs::rename(&self.path, &archive)?;
        if let Err(error) = fs::rename(&next, &self.path) {
            fs::rename(&archive, &self.path)?;
            return Err(error);
        }
        if self.is_durable {
            file::sync_directory(&self.path)?;
        }
        self.become_file(file)?;
        rotation::prune(&self.path, self.keep)?;
        Ok(())
    }

    fn become_file(&mut self, file: File) -> io::Result<()> {
        self.identity = Identity::of(&file)?;
        self.size = file.metadata()?.len();
        self.file = file;
        Ok(())
    }
}

/// The last line of the newest full file, with which the chain goes on in a new file.
fn last_of_archives(path: &Path, keys: &ChainKeys) -> Result<Link, OpenError> {
    let system = |source| OpenError::System {
        path: path.to_owned(),
        source,
    };
    let Some(newest) = rotation::archives(path).map_err(system)?.pop() else {
        return Ok(Link::START);
    };
    let file = File::open(&newest).map_err(|source| OpenError::System {
        path: newest.clone(),
        source,
    })?;
    let tail = recovery::tail(&file, keys).map_err(|error| broken(&newest, error))?;
    tail.last.ok_or_else(|| broken(&newest, TailError::Foreign))
}

fn broken(path: &Path, error: TailError) -> OpenError {
    let advice = match error {
        TailError::Io(source) => {
            return OpenError::System {
                path: path.to_owned(),
                source,
            };
        }
        TailError::Altered(_) => {
            "keep the files as evidence, find out who altered them, and name another file"
        }
        TailError::OtherSecret(_) => {
            "add the former secret to secrets.hmac.retired, or name another file"
        }
        TailError::Foreign => "name another file",
    };
    OpenError::Broken {
        path: path.to_owned(),
        why: error.to_string(),
        advice,
    }
}
