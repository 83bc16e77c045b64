//! `audit`: the log of who did what.

use std::path::PathBuf;

use crate::error::Problem;

/// `audit`: the log of who did what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Where it goes; `None` = there is no audit log.
    pub file: Option<AuditFile>,
    /// Whether an action of an administrator is refused if it cannot be noted.
    pub required: bool,
    /// When what was written is made durable.
    pub fsync: AuditFsync,
    /// A file that would become larger, in bytes, is followed by a new one.
    pub rotate_size: u64,
    /// How many full files are kept.
    pub keep: usize,
}

/// Where the audit log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditFile {
    /// Standard output, apart from the log on standard error.
    StandardOutput,
    /// A file.
    Path(PathBuf),
}

/// When what was written to the audit log is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditFsync {
    /// Before the answer to the action, if entries are required; otherwise right after it.
    Always,
    /// Within a second.
    Interval,
    /// When the system does it.
    Never,
}

impl Audit {
    /// Settings in which nothing is set.
    pub(crate) fn blank() -> Self {
        Self {
            file: None,
            required: false,
            fsync: AuditFsync::Interval,
            rotate_size: 0,
            keep: 0,
        }
    }

    /// A requirement without a log.
    pub(crate) fn problem(&self) -> Option<Problem> {
        (self.required && self.file.is_none()).then(|| {
            Problem::of_key(
                "audit.required",
                "needs audit.file: name a file, or - for standard output",
            )
        })
    }
}
