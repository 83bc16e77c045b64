//! Makes the tables of what the rounds have counted, prints them, and writes them into a document if one is named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use talos_peers::document::replaced;
use talos_peers::rounds::NamedRound;
use talos_peers::table::{Peer, tables};

/// The tables of a comparison.
#[derive(Debug, Parser)]
struct Arguments {
    /// Short names and titles of the servers in the order of the table, between tabulators.
    #[arg(long)]
    peers: PathBuf,
    /// The counts: a short name and what `generate` has printed, between tabulators.
    #[arg(long)]
    rounds: PathBuf,
    /// What stands before the tables.
    #[arg(long)]
    facts: PathBuf,
    /// A document with the two marks, between which the tables go.
    #[arg(long)]
    document: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let peers: Vec<Peer> = read(&arguments.peers)?
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, title)| Peer {
            name: name.to_owned(),
            title: title.to_owned(),
        })
        .collect();
    let rounds: Result<Vec<NamedRound>, _> =
        read(&arguments.rounds)?.lines().map(str::parse).collect();
    let tables = tables(&peers, &rounds?);
    let text = format!("{}\n\n{tables}", read(&arguments.facts)?.trim());
    // First, so that nothing is lost should the document have no place for it.
    println!("{text}");
    if let Some(path) = &arguments.document {
        fs::write(path, replaced(&read(path)?, &text)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
