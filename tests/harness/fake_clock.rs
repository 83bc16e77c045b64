//! A wall clock of its own for a server, which a test sets: libfaketime (Debian: faketime) stands
//! between the process and the C library. The monotonic clock stays that of the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::requirement::report_missing;

/// A wall clock that a test sets.
pub struct FakeClock {
    library: PathBuf,
    file: PathBuf,
}

impl FakeClock {
    /// A clock that is right. Its file is put into `directory`. `None` without libfaketime, which
    /// is reported.
    pub fn new(directory: &Path) -> Option<Self> {
        let Some(library) = library() else {
            report_missing("libfaketime is not installed (Debian: faketime)");
            return None;
        };
        let file = directory.join("clock");
        let clock = Self { library, file };
        clock.set("+0");
        Some(clock)
    }

    /// Sets the clock off by so much, such as `+2h`, `-5y` or `+0`.
    pub fn set(&self, offset: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, offset).unwrap();
        fs::rename(&new, &self.file).unwrap();
    }

    /// Gives the clock to the process that the command starts.
    pub fn give_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
    }
}

fn library() -> Option<PathBuf> {
    let entries = fs::read_dir("/usr/lib").ok()?.flatten();
    let mut paths = entries.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    paths.find(|path| path.exists())
}
