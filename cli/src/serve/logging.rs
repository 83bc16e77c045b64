//! Sets up the log, which is written to standard error.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal as _};

use talos_config::{Log, LogFormat, LogLevel};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

use super::log_line::Escapes;
use super::log_queue::LogQueue;

/// The environment variable of people who want no colours in any program; see
/// <https://no-color.org>.
const NO_COLOR: &str = "NO_COLOR";

/// Changes the lowest level that is written.
#[derive(Clone)]
pub(crate) struct Level(reload::Handle<LevelFilter, Registry>);

impl Level {
    /// Writes lines of `level` and above from now on.
    pub(crate) fn set(&self, level: LogLevel) {
        // Fails only if the logger is gone.
        let _ = self.0.reload(filter(level));
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    }
}

/// Starts logging for the whole process. Before the process ends, wait for the returned queue.
///
/// # Errors
/// When the system has no thread left.
pub(crate) fn start(log: Log) -> io::Result<(LogQueue, Level)> {
    let has_colours = log.format == LogFormat::Text
        && io::stderr().is_terminal()
        && colours_are_wanted(env::var_os(NO_COLOR).as_deref());
    let escapes = match log.format {
        LogFormat::Json => Escapes::Json,
        LogFormat::Text if has_colours => Escapes::ColouredText,
        LogFormat::Text => Escapes::Text,
    };
    let queue = LogQueue::start(io::stderr(), escapes)?;
    let (filter, handle) = reload::Layer::new(filter(log.level));
    // `log_internal_errors(false)`: if standard error is closed, the library would report that on
    // standard error, and panic.
    let lines = fmt::layer()
        .with_writer(queue.clone())
        .log_internal_errors(false);
    let logger = Registry::default().with(filter);
    // An error means that a logger exists already, which then takes the lines.
    let _ = match log.format {
        LogFormat::Json => logger.with(lines.json().flatten_event(true)).try_init(),
        LogFormat::Text => logger.with(lines.with_ansi(has_colours)).try_init(),
    };
    Ok((queue, Level(handle)))
}

/// A variable that is set to nothing says nothing.
fn colours_are_wanted(no_color: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_value_but_nothing_switches_colours_off() {
        for (value, wanted) in [
            (None, true),
            (Some(""), true),
            (Some("1"), false),
            (Some("0"), false),
            (Some("false"), false),
        ] {
            assert_eq!(colours_are_wanted(value.map(OsStr::new)), wanted);
        }
    }
}
