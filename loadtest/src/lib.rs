//! `talos-loadtest`: measures how fast, and how evenly, a server verifies API keys, as a client
//! sees it over HTTP.
//!
//! A run: `run.rs` starts or finds the server (`target.rs`), makes the keys (`seed/`), and runs
//! loops (`phase.rs`). In a loop, each load thread (`generator.rs`) makes requests (`composer.rs`),
//! sends them at the times of `schedule.rs` (`sender.rs`) over its connections
//! (`connection_set.rs`), and judges each response (`judge.rs`, `verdict.rs`). Meanwhile
//! `monitor.rs` observes the server and the machine. The result is a `report/`, shown as text
//! (`table.rs`), as a page (`report_page.rs`) or beside another one (`compare.rs`).
//!
//! `talos-loadtest hostile` (`hostile/`) runs such loops while hostile clients attack the server.

#![forbid(unsafe_code)]

mod admin_api;
mod affinity;
mod answer;
mod arguments;
mod axis;
mod changing;
mod charts;
mod class;
mod client;
mod clock;
mod compare;
mod composer;
mod connection;
mod connection_set;
mod corpus;
mod derived;
mod descriptors;
mod duration;
mod endpoint;
mod error;
mod generator;
mod hostile;
mod judge;
mod machine;
mod measure;
mod monitor;
mod numbers;
mod output;
mod packed;
mod page;
mod pauses;
mod phase;
mod plot;
mod popularity;
mod process;
mod progress;
mod ramp;
mod random;
mod report;
mod report_page;
mod run;
mod schedule;
mod seconds;
mod seed;
mod sender;
mod signals;
mod stalls;
mod steal;
mod table;
mod target;
mod tenants;
mod tls;
mod verdict;
mod writers;

#[cfg(test)]
mod documentation;
#[cfg(test)]
mod loop_tests;
#[cfg(test)]
mod mock;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Command};
use crate::compare::Comparison;
use crate::error::LoadError;
use crate::hostile::arguments::HostileArguments;
use crate::output::say;
use crate::report::Report;

/// Runs the program with these arguments, of which the first is the program's name. Ends the
/// process with exit code 2 if they are wrong.
pub fn command_line(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = Arguments::parse_from(arguments);
    match dispatch(&arguments) {
        Ok(Outcome::Right) => ExitCode::SUCCESS,
        Ok(Outcome::Wrong) => {
            eprintln!("talos-loadtest: some answers were wrong or missing");
            ExitCode::FAILURE
        }
        Ok(Outcome::Failed) => {
            eprintln!("talos-loadtest: the server did not withstand the hostile clients");
            ExitCode::FAILURE
        }
        Ok(Outcome::Interrupted) => {
            eprintln!("talos-loadtest: interrupted; the report ends there");
            ExitCode::FAILURE
        }
        Err(error @ LoadError::Flags(_)) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("talos-loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Checks arguments without running anything.
///
/// # Errors
/// The message that the program would print.
pub fn check(arguments: impl IntoIterator<Item = OsString>) -> Result<(), String> {
    let arguments = Arguments::try_parse_from(arguments).map_err(|error| error.to_string())?;
    arguments.check().map_err(|error| error.to_string())
}

/// Attacks a server, and prints and writes the report.
fn attack(arguments: &HostileArguments) -> Result<Outcome, LoadError> {
    let report = hostile::run(arguments)?;
    say(&report);
    if let Some(file) = &arguments.json {
        report.write(file)?;
        say(format_args!("report: {}", file.display()));
    }
    Ok(if !report.failures.is_empty() {
        Outcome::Failed
    } else if report.interrupted {
        Outcome::Interrupted
    } else {
        Outcome::Right
    })
}

enum Outcome {
    Right,
    Wrong,
    Failed,
    Interrupted,
}

fn dispatch(arguments: &Arguments) -> Result<Outcome, LoadError> {
    if let Some(Command::Hostile(arguments)) = &arguments.command {
        return attack(arguments);
    }
    if let [first, second] = arguments.compare.as_slice() {
        let (first, second) = (Report::read(first)?, Report::read(second)?);
        let comparison = Comparison::of(&first, &second);
        say(&comparison);
        if let Some(file) = &arguments.html {
            run::write_html(file, &comparison.page())?;
        }
        return Ok(Outcome::Right);
    }
    let report = run::run(arguments)?;
    run::write_files(arguments, &report)?;
    Ok(if run::went_wrong(&report) {
        Outcome::Wrong
    } else if report.interrupted {
        Outcome::Interrupted
    } else {
        Outcome::Right
    })
}
