//! Sends one request over and over, compares every answer, and prints what was counted in one line: answers, seconds, the
//! seconds of CPU that the server took, and those that this process took.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rustix::time::{ClockId, clock_gettime};
use talos_peers::answer::Expected;
use talos_peers::closed_loop::Load;
use talos_peers::process_tree::ProcessTree;

/// A closed loop of one request.
#[derive(Debug, Parser)]
struct Arguments {
    /// The server.
    #[arg(long)]
    address: SocketAddr,
    /// The processes of the server; what descends from them counts, too.
    #[arg(long, value_delimiter = ',', required = true)]
    processes: Vec<u32>,
    /// A file with one whole request.
    #[arg(long)]
    request: PathBuf,
    /// A file with the bytes that an answer begins with.
    #[arg(long)]
    begins: PathBuf,
    /// A file with the bytes that an answer ends with.
    #[arg(long)]
    ends: PathBuf,
    /// How many connections send it.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How long answers are counted.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// How long requests are sent before that.
    #[arg(long, default_value_t = 0.5)]
    warm_up_seconds: f64,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("generate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<String, Box<dyn std::error::Error>> {
    let load = Load {
        address: arguments.address,
        request: fs::read(&arguments.request)?,
        expected: Expected::new(fs::read(&arguments.begins)?, fs::read(&arguments.ends)?),
        connections: arguments.connections,
        warm_up: Duration::try_from_secs_f64(arguments.warm_up_seconds)?,
        window: Duration::try_from_secs_f64(arguments.seconds)?,
    };
    let server = ProcessTree::new(arguments.processes.clone());
    let counted = load.run(|| Ok((server.cpu()?, own_cpu()?)))?;
    let (server, own) = (
        counted.after.0.saturating_sub(counted.before.0),
        counted.after.1.saturating_sub(counted.before.1),
    );
    Ok(format!(
        "{}\t{:.6}\t{:.6}\t{:.6}",
        counted.answers,
        counted.elapsed.as_secs_f64(),
        server.as_secs_f64(),
        own.as_secs_f64()
    ))
}

fn own_cpu() -> io::Result<Duration> {
    clock_gettime(ClockId::ProcessCPUTime)
        .try_into()
        .map_err(io::Error::other)
}
