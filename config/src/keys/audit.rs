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
    ),
    public(
        "audit.required",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, required| s.audit.required = required,
        },
    ),
    public(
        "audit.fsync",
        Fallback::Value("interval"),
        Kind::Choice(&[
            ("always", |s| s.audit.fsync = AuditFsync::Always),
            ("interval", |s| s.audit.fsync = AuditFsync::Interval),
            ("never", |s| s.audit.fsync = AuditFsync::Never),
        ]),
    ),
    public(
        "audit.rotate_size",
        Fallback::Value("100 MiB"),
        Kind::Bytes {
            min: ROTATE_SIZE_MIN,
            max: ROTATE_SIZE_MAX,
            set: |s, bytes| s.audit.rotate_size = bytes,
        },
    ),
    public(
        "audit.keep",
        Fallback::Value("10"),
        Kind::Integer {
            min: 1,
            max: KEEP_MAX,
            set: |s, files| s.audit.keep = number::to_usize(files),
        },
    ),
];
