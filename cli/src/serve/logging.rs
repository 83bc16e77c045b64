//! Sets up the log, which is written to standard error.

use std::io::{self, IsTerminal as _};

use talos_config::{Log, LogFormat, LogLevel};
use tracing_subscriber::filter::LevelFilter;

use super::log_line::Escapes;
use super::log_queue::LogQueue;

/// Starts logging for the whole process. Before the process ends, wait for the returned queue.
///
/// # Errors
/// When the system has no thread left.
pub(crate) fn start(log: Log) -> io::Result<LogQueue> {
    let has_colours = log.format == LogFormat::Text && io::stderr().is_terminal();
    let escapes = match log.format {
        LogFormat::Json => Escapes::Json,
        LogFormat::Text if has_colours => Escapes::ColouredText,
        LogFormat::Text => Escapes::Text,
    };
    let queue = LogQueue::start(io::stderr(), escapes)?;
    let level = match log.level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    // `log_internal_errors(false)`: if standard error is closed, the library would report that on
    // standard error, and panic.
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(queue.clone())
        .log_internal_errors(false);
    // An error means that a logger exists already, which then takes the lines.
    let _ = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.with_ansi(has_colours).try_init(),
    };
    Ok(queue)
}
