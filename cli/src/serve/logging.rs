//! Log lines on standard error.

use std::io::{self, IsTerminal as _};

use talos_config::{Log, LogFormat, LogLevel};
use tracing_subscriber::filter::LevelFilter;

/// Starts logging for the whole process. Does nothing when it has been started before.
pub(crate) fn start(log: Log) {
    let level = match log.level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    // Without the last: when standard error is closed, the library would report that on standard error, and panic.
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .log_internal_errors(false);
    // An error means that a logger is there already.
    let _ = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
    };
}
