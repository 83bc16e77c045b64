//! `talos-loadtest`: measures how fast, and how evenly, a server verifies API keys, as a client sees it over HTTP.
//!
//! The way of a run: `run.rs` starts or finds the server (`target.rs`), makes the keys (`seed.rs`), and runs loops (`phase.rs`).
//! In a loop each load thread (`generator.rs`) sends what `composer.rs` makes at the times of `schedule.rs` over connections that
//! `sender.rs` keeps going, and judges each answer (`verdict.rs`); `watch.rs` looks at the server and the machine meanwhile. What
//! came of it is a `report.rs`.

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
mod endpoint;
mod error;
mod generator;
mod judge;
mod machine;
mod measure;
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
mod stalls;
mod steal;
mod table;
mod target;
mod verdict;
mod watch;
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

use crate::arguments::Arguments;
use crate::compare::Comparison;
use crate::error::LoadError;
use crate::output::say;
use crate::report::Report;

/// Does what a command line says, the program's name first. A command line that is wrong ends the process with exit
/// code 2.
pub fn command_line(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = Arguments::parse_from(arguments);
    match dispatch(&arguments) {
        Ok(Outcome::Right) => ExitCode::SUCCESS,
        Ok(Outcome::Wrong) => {
            eprintln!("talos-loadtest: some answers were wrong or missing");
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

/// Whether a command line is one that this program would carry out.
///
/// # Errors
/// What it would say instead.
pub fn check(arguments: impl IntoIterator<Item = OsString>) -> Result<(), String> {
    let arguments = Arguments::try_parse_from(arguments).map_err(|error| error.to_string())?;
    arguments.check().map_err(|error| error.to_string())
}

enum Outcome {
    Right,
    Wrong,
    Interrupted,
}

fn dispatch(arguments: &Arguments) -> Result<Outcome, LoadError> {
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
