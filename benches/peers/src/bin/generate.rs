//! Sends one request repeatedly and compares every answer. Prints one line: answers, seconds, the
//! server's CPU seconds, this process's CPU seconds.

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
    /// The server's processes, by id. Their descendants count, too.
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
    /// Connections that send the request.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds during which answers are counted.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Seconds of load before that.
    #[arg(long, default_value_t = 0.5)]
    warm_up_seconds: f64,
}

/// CPU times so far.
struct CpuTimes {
    server: Duration,
    own: Duration,
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
    let sample = || {
        Ok(CpuTimes {
            server: server.cpu()?,
            own: own_cpu()?,
        })
    };
    let counted = load.run(sample)?;
    let (before, after) = (counted.before, counted.after);
    Ok(format!(
        "{}\t{:.6}\t{:.6}\t{:.6}",
        counted.answers,
        counted.elapsed.as_secs_f64(),
        after.server.saturating_sub(before.server).as_secs_f64(),
        after.own.saturating_sub(before.own).as_secs_f64()
    ))
}

fn own_cpu() -> io::Result<Duration> {
    clock_gettime(ClockId::ProcessCPUTime)
        .try_into()
        .map_err(io::Error::other)
}
