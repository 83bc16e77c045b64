//! `audit`: the log of who did what.

use std::path::PathBuf;

use super::number;
use crate::audit::{AuditFile, AuditFsync};
use crate::key::{Fallback, Key, public};
use crate::kind::Kind;

/// A file holds at least a few of the longest entries.
const ROTATE_SIZE_MIN: u64 = 256 << 10;
const ROTATE_SIZE_MAX: u64 = 1 << 40;
const KEEP_MAX: u64 = 10_000;

pub(super) const KEYS: &[Key] = &[
    public(
        "audit.file",
        Fallback::Unset("no audit log"),
        Kind::Text {
            set: |s, path| {
                s.audit.file = Some(match path.as_str() {
                    "-" => AuditFile::StandardOutput,
                    _ => AuditFile::Path(PathBuf::from(path)),
                });
            },
        },
    )
    .restart()
    .about(
        "The log of who did what: a file that is created readable for its owner only, or \
         - for standard output.",
    )
    .example("/var/log/talos/audit.log"),
    public(
        "audit.required",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, required| s.audit.required = required,
        },
    )
    .restart()
    .about(
        "true = an action of an administrator is refused with 503 when it cannot be \
         noted, and its answer waits until it is.",
    )
    .example("true"),
    public(
        "audit.fsync",
        Fallback::Value("interval"),
        Kind::Choice(&[
            ("always", |s| s.audit.fsync = AuditFsync::Always),
            ("interval", |s| s.audit.fsync = AuditFsync::Interval),
            ("never", |s| s.audit.fsync = AuditFsync::Never),
        ]),
    )
    .restart()
    .about(
        "When entries are made durable: always = each at once (before the answer if \
         required), interval = within a second, never = when the system does it.",
    )
    .example("always"),
    public(
        "audit.rotate_size",
        Fallback::Value("100 MiB"),
        Kind::Bytes {
            min: ROTATE_SIZE_MIN,
            max: ROTATE_SIZE_MAX,
            set: |s, bytes| s.audit.rotate_size = bytes,
        },
    )
    .restart()
    .about("A file that would become larger is followed by a new one."),
    public(
        "audit.keep",
        Fallback::Value("10"),
        Kind::Integer {
            min: 1,
            max: KEEP_MAX,
            set: |s, files| s.audit.keep = number::to_usize(files),
        },
    )
    .restart()
    .about("How many full files are kept beside the current one. The oldest is removed."),
];
