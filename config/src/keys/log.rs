//! `log`: which lines are written, and in which format.

use crate::key::{Fallback, Key, public};
use crate::kind::Kind;
use crate::settings::{LogFormat, LogLevel};

pub(super) const KEYS: &[Key] = &[
    public(
        "log.level",
        Fallback::Value("info"),
        Kind::Choice(&[
            ("trace", |s| s.log.level = LogLevel::Trace),
            ("debug", |s| s.log.level = LogLevel::Debug),
            ("info", |s| s.log.level = LogLevel::Info),
            ("warn", |s| s.log.level = LogLevel::Warn),
            ("error", |s| s.log.level = LogLevel::Error),
        ]),
    )
    .about("The least important lines that are written.")
    .example("debug"),
    public(
        "log.format",
        Fallback::Value("json"),
        Kind::Choice(&[
            ("json", |s| s.log.format = LogFormat::Json),
            ("text", |s| s.log.format = LogFormat::Text),
        ]),
    )
    .restart()
    .about("json = one JSON object a line. text = for people.")
    .example("text"),
];
