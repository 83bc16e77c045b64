//! `talos-loadtest`: measures how fast, and how evenly, a server verifies API keys, as a client sees it over HTTP.

mod affinity;
mod arguments;
mod client;
mod error;
mod generator;
mod measure;
mod mix;
mod pace;
mod report;
mod seed;
mod target;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::json;

use crate::affinity::{Layout, allowed_cores};
use crate::arguments::Arguments;
use crate::error::LoadError;
use crate::generator::{Load, Loop};
use crate::report::{Phase, shares_in_words, thousands};
use crate::seed::Counts;
use crate::target::{Target, server_beside_this_program};

/// Before anything is measured: connections, caches and clocks settle.
const WARM_UP: Duration = Duration::from_secs(2);
/// The closed loop that finds the rate for the open loop.
const SATURATION: Duration = Duration::from_secs(5);
/// Part of the saturation rate that the open loop offers.
const OPEN_LOOP_SHARE: f64 = 0.7;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(phases) if phases.iter().any(Phase::went_wrong) => {
            eprintln!("talos-loadtest: some answers were wrong or missing");
            ExitCode::FAILURE
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("talos-loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The whole run. The server that was started for it is stopped when this returns, whatever it returns.
fn run(arguments: &Arguments) -> Result<Vec<Phase>, LoadError> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))
            .map_err(LoadError::io("catching signals"))?;
    }
    let cores = allowed_cores().map_err(LoadError::io("asking for the cores"))?;
    let (target, layout) = if let Some(url) = &arguments.url {
        (Target::running(url)?, Layout::load_only(&cores))
    } else {
        let layout = Layout::divide(&cores);
        (
            Target::start(&server_beside_this_program()?, &layout.server, &interrupted)?,
            layout,
        )
    };

    let began = Instant::now();
    let counts = Counts::divide(arguments.keys, &arguments.mix);
    let workload = seed::seed(&target, counts, arguments.seed, &interrupted)?;
    print_head(arguments, &target, &layout, counts, began.elapsed());

    let load = Load {
        address: target.address,
        workload: Arc::new(workload),
        shares: arguments.mix.clone(),
        connections: usize::try_from(arguments.connections).unwrap_or(usize::MAX),
        cores: layout.load.clone(),
        seed: arguments.seed,
        interrupted,
    };
    let phase = |kind, duration| -> Result<Phase, LoadError> {
        let sampled = load.run(kind, duration, || target.cpu_time())?;
        let phase = Phase {
            kind,
            sampled,
            server_cores: layout.server.len(),
            connections: load.connections,
        };
        Ok(phase)
    };

    let mut phases = Vec::new();
    let warm_up = phase(Loop::Closed, WARM_UP)?;
    if warm_up.went_wrong() {
        // Measuring a server that answers wrongly is of no use.
        println!("warm-up, {warm_up}");
        return Ok(vec![warm_up]);
    }
    if arguments.closed || arguments.rate.is_none() {
        let duration = if arguments.closed {
            arguments.duration()
        } else {
            SATURATION
        };
        let closed = phase(Loop::Closed, duration)?;
        println!("{closed}");
        phases.push(closed);
    }
    if !arguments.closed {
        let saturation = phases
            .last()
            .map(|closed| closed.sampled.measurement.rate());
        let rate = arguments
            .rate
            .map(f64::from)
            .or(saturation.map(|rate| rate * OPEN_LOOP_SHARE));
        let rate = rate
            .filter(|rate| *rate > 0.0)
            .ok_or(LoadError::NoAnswers(SATURATION))?;
        let open = phase(Loop::Open(rate), arguments.duration())?;
        println!("{open}");
        phases.push(open);
    }
    if let Some(file) = &arguments.json {
        write_json(file, arguments, &phases)?;
    }
    Ok(phases)
}

fn print_head(
    arguments: &Arguments,
    target: &Target,
    layout: &Layout,
    counts: Counts,
    took: Duration,
) {
    let made = thousands(f64::from(counts.issued + counts.revoked) / took.as_secs_f64().max(1e-9));
    println!(
        "{} keys, {} of them revoked, made in {:.1} s ({made} writes/s); requests: {}",
        thousands(f64::from(counts.issued)),
        thousands(f64::from(counts.revoked)),
        took.as_secs_f64(),
        shares_in_words(&arguments.mix),
    );
    match target.pid() {
        Some(pid) => println!(
            "server: process {pid} on core(s) {:?}; load: core(s) {:?}",
            layout.server, layout.load
        ),
        None => println!(
            "server: {}; load: core(s) {:?}",
            target.address, layout.load
        ),
    }
    if layout.shared() {
        println!("note: server and load share one core, so that neither shows its full rate");
    }
    println!();
}

fn write_json(file: &Path, arguments: &Arguments, phases: &[Phase]) -> Result<(), LoadError> {
    let report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "keys": arguments.keys,
        "seed": arguments.seed,
        "mix": {
            "valid": arguments.mix.valid, "revoked": arguments.mix.revoked, "unknown": arguments.mix.unknown,
        },
        "phases": phases.iter().map(Phase::to_json).collect::<Vec<_>>(),
    });
    std::fs::write(file, format!("{report:#}\n"))
        .map_err(LoadError::io(format!("writing {}", file.display())))
}

#[cfg(test)]
mod mock;
