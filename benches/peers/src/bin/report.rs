//! Makes the tables from the counts of the rounds. Prints them, and writes them into a document if
//! one is named.

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
    /// A file with the servers in the order of the table: on each line a short name, a tab, a
    /// title.
    #[arg(long)]
    peers: PathBuf,
    /// A file with the rounds: on each line a short name, a tab, and the output of `generate`.
    #[arg(long)]
    rounds: PathBuf,
    /// A file with the text before the tables.
    #[arg(long)]
    facts: PathBuf,
    /// A document with two marks. The tables replace what is between them.
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
    // Printed first, so that nothing is lost if the document cannot be written.
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
