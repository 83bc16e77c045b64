//! A whole run: server, keys, loops, report.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::affinity::{Layout, allowed_cores};
use crate::arguments::{Arguments, Wait};
use crate::changing::Pool;
use crate::composer::Workload;
use crate::descriptors::make_room_for;
use crate::endpoint::Endpoint;
use crate::error::LoadError;
use crate::generator::{Load, Loop};
use crate::machine::this_machine;
use crate::monitor::Monitor;
use crate::numbers::thousands;
use crate::output::say;
use crate::phase::{Runner, keeps};
use crate::process::Process;
use crate::ramp::{Outcome, Search};
use crate::report::{LoadFacts, Phase, Ramp, Report, SCHEMA, Server, Step};
use crate::seed::counts::divide;
use crate::seed::{Keys, Seeder};
use crate::sender::Waiting;
use crate::signals::interruption;
use crate::table::{step_line, steps_head};
use crate::target::{Target, Transport, server_beside_this_program};
use crate::writers::WriteLoad;

/// The closed loop that finds the rate for what follows.
const SATURATION: Duration = Duration::from_secs(5);
/// The open loop offers this share of the saturation rate.
const OPEN_LOOP_SHARE: f64 = 0.7;

/// If the machine stood still for more than this share of a step, that decides the step's 99th
/// percentile.
const DISTURBED: f64 = 0.01;

/// A server, and the division of the cores.
struct Setup {
    target: Target,
    layout: Layout,
    process: Option<Process>,
}

/// Does a whole run. A server that was started for it is stopped when this returns, also after an
/// error.
///
/// # Errors
/// What ended the run before its report. A run that is interrupted during its loops has a report.
pub fn run(arguments: &Arguments) -> Result<Report, LoadError> {
    arguments.check()?;
    make_room_for(arguments.connections)?;
    let interrupted = interruption()?;
    let started = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let setup = set_up(arguments, &interrupted)?;
    let (runner, mut report) = prepare(arguments, &setup, started, &interrupted)?;
    say(&report);
    let ended = measure(arguments, &runner, &mut report);
    report.interrupted = interrupted.load(Ordering::Relaxed);
    ended?;
    Ok(report)
}

fn set_up(arguments: &Arguments, interrupted: &AtomicBool) -> Result<Setup, LoadError> {
    let cores = allowed_cores().map_err(LoadError::io("asking for the cores"))?;
    if let Some(core) = arguments.cores.iter().find(|core| !cores.contains(core)) {
        return Err(LoadError::Flags(format!(
            "--cores: this program may not use core {core}; it may use {cores:?}"
        )));
    }
    let process_of = |pid| {
        let process = Process::new(pid);
        let exists = process.cpu_time().is_some();
        let error = || LoadError::Flags(format!("--pid: there is no process {pid}"));
        exists.then_some(process).ok_or_else(error)
    };
    let process = arguments.pid.map(process_of).transpose()?;
    let tenants = arguments.tenant_hosts()?;
    let running = match (&arguments.url, &arguments.unix) {
        (Some(url), _) => Some(Target::running(url, &arguments.tls_files())?),
        (None, Some(path)) if !path.is_empty() => Some(Target::at_socket(Path::new(path))),
        _ => None,
    };
    let (target, mut layout) = if let Some(mut target) = running {
        if let Some(hosts) = tenants {
            target.hosts = hosts;
        }
        (target, Layout::load_only(&cores))
    } else {
        let layout = Layout::divide(&cores);
        let program = match &arguments.server {
            Some(program) => program.clone(),
            None => server_beside_this_program()?,
        };
        let transport = match arguments.unix {
            Some(_) => Transport::Unix,
            None => Transport::Tcp,
        };
        let target = Target::start(
            &program,
            transport,
            &layout.server,
            tenants.as_ref(),
            interrupted,
        )?;
        (target, layout)
    };
    if !arguments.cores.is_empty() {
        layout.load.clone_from(&arguments.cores);
    }
    let process = target.process().or(process);
    if let Some(process) = &process {
        layout.server = process.cores().unwrap_or_default();
    }
    Ok(Setup {
        target,
        layout,
        process,
    })
}

/// How the load threads wait. By default they spin only if no other process needs their cores.
fn waiting(arguments: &Arguments, setup: &Setup) -> Waiting {
    let elsewhere = match &setup.target.endpoint {
        Endpoint::Tcp(address) | Endpoint::Tls(address, _) => !address.ip().is_loopback(),
        Endpoint::Unix(_) => false,
    };
    let apart = setup.process.is_some() && !setup.layout.shared();
    match arguments.wait {
        Some(Wait::Spin) => Waiting::Spin,
        None if elsewhere || apart => Waiting::Spin,
        Some(Wait::Sleep) | None => Waiting::Sleep,
    }
}

/// Makes the keys, and what all loops share.
fn prepare(
    arguments: &Arguments,
    setup: &Setup,
    started: String,
    interrupted: &Arc<AtomicBool>,
) -> Result<(Runner, Report), LoadError> {
    let (target, layout) = (&setup.target, &setup.layout);
    let shares = arguments.shares();
    let sizes = divide(arguments.keys, arguments.tokens, &shares);
    let keys = if arguments.reuse {
        Keys::Reuse
    } else {
        Keys::Make
    };
    let began = Instant::now();
    let seeder = Seeder {
        target,
        seed: arguments.seed,
        interrupted,
    };
    let corpus = seeder.seed(keys, &sizes, &shares)?;
    let seeding_s = (keys == Keys::Make).then(|| began.elapsed().as_secs_f64());

    let changing = Arc::new(Pool::default());
    let threads = arguments.threads.map_or(layout.load.len(), as_usize);
    let mut watched_cores: Vec<_> = layout.server.iter().chain(&layout.load).copied().collect();
    watched_cores.sort_unstable();
    watched_cores.dedup();
    let load = Load {
        endpoint: target.endpoint.clone(),
        workload: Workload {
            corpus: Arc::new(corpus),
            shares,
            popularity: arguments.popularity,
            batch: arguments.batch,
            changing: Arc::clone(&changing),
            hosts: target.hosts.clone(),
        },
        connections: as_usize(arguments.connections),
        depth: as_usize(arguments.pipeline),
        threads,
        cores: layout.load.clone(),
        waiting: waiting(arguments, setup),
        churn: f64::from(arguments.churn),
        seed: arguments.seed,
        monitor: Monitor {
            process: setup.process.clone(),
            cores: watched_cores,
        },
        interrupted: Arc::clone(interrupted),
    };
    let writes = (arguments.writes_per_second > 0).then(|| WriteLoad {
        endpoint: target.endpoint.clone(),
        host: target.host.clone(),
        token: None,
        rate: f64::from(arguments.writes_per_second),
        pool: changing,
        seed: arguments.seed,
    });
    let server_cores = Some(layout.server.len()).filter(|cores| *cores > 0);
    let report = Report {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        command: std::env::args().collect(),
        machine: this_machine(allowed_cores().map_or(0, |cores| cores.len())),
        server: Server {
            endpoint: target.endpoint.to_string(),
            version: target.version(),
            started_here: target.process().is_some(),
            cores: server_cores,
        },
        load: LoadFacts {
            threads: load.running_threads(),
            cores: load.cores.clone(),
            waiting: match load.waiting {
                Waiting::Spin => "spin".to_owned(),
                Waiting::Sleep => "sleep".to_owned(),
            },
            connections: load.connections,
            pipeline: load.depth,
            churn_per_s: load.churn,
            writes_per_s: f64::from(arguments.writes_per_second),
            mix: load.workload.shares.clone(),
            popularity: arguments.popularity.to_string(),
            batch: arguments.batch,
            keys: load.workload.corpus.sizes.clone(),
            seed: arguments.seed,
            seeding_s,
        },
        ..Report::default()
    };
    let runner = Runner {
        load,
        writes,
        server_cores,
    };
    Ok((runner, report))
}

/// Runs the loops that the arguments ask for. Prints each when it is over, and adds it to the
/// report.
fn measure(arguments: &Arguments, runner: &Runner, report: &mut Report) -> Result<(), LoadError> {
    let interrupted = || runner.load.interrupted.load(Ordering::Relaxed);
    let closed = |duration, report: &mut Report| -> Result<f64, LoadError> {
        let phase = runner.run(Loop::Closed, duration)?;
        say(&phase);
        let rate = phase.achieved_per_s;
        report.phases.push(phase);
        if rate > 0.0 || interrupted() {
            Ok(rate)
        } else {
            Err(LoadError::NoAnswers(duration))
        }
    };
    if !arguments.warm_up.is_zero() {
        let phase = runner.run(Loop::Closed, arguments.warm_up)?;
        if phase.went_wrong() {
            // A server that answers wrongly is not worth measuring.
            say(format_args!("warm-up, {phase}"));
            report.phases.push(phase);
            return Ok(());
        }
    }
    if arguments.closed {
        closed(arguments.duration, report)?;
        return Ok(());
    }
    let named = arguments.rate.map(f64::from);
    let highest = match named {
        Some(rate) => rate,
        None if interrupted() => return Ok(()),
        None => closed(SATURATION, report)?,
    };
    if interrupted() {
        return Ok(());
    }
    if arguments.ramp {
        let ramp = ramp(arguments, runner, highest, report)?;
        say(format_args!("\n{ramp}"));
        report.ramp = Some(ramp);
    } else {
        let rate = named.unwrap_or(highest * OPEN_LOOP_SHARE);
        let phase = runner.run(Loop::Open(rate), arguments.duration)?;
        say(&phase);
        report.phases.push(phase);
    }
    Ok(())
}

fn ramp(
    arguments: &Arguments,
    runner: &Runner,
    highest: f64,
    report: &mut Report,
) -> Result<Ramp, LoadError> {
    let limit_us = arguments.p99.as_secs_f64() * 1e6;
    let mut search = Search::new(highest);
    let mut steps = Vec::new();
    say(format_args!(
        "ramp up to {}/s, {:.1} s each\n{}",
        thousands(highest),
        arguments.step.as_secs_f64(),
        steps_head()
    ));
    while let Some(rate) = search.next() {
        let phase = runner.run(Loop::Open(rate), arguments.step)?;
        if runner.load.interrupted.load(Ordering::Relaxed) {
            break;
        }
        let kept = keeps(&phase, limit_us);
        let disturbed = phase.pauses.total_ms / 1e3 > phase.seconds * DISTURBED;
        let outcome = match (kept, disturbed) {
            (true, _) => Outcome::Kept,
            (false, true) => Outcome::Disturbed,
            (false, false) => Outcome::Missed,
        };
        search.record(rate, outcome);
        let step = Step {
            offered_per_s: rate,
            achieved_per_s: phase.achieved_per_s,
            latency_us: phase.all.latency_us.clone(),
            server_cpu_share: phase.server.cpu_share,
            generator_cpu_share: phase.generator.cpu_share,
            paused_ms: phase.pauses.total_ms,
            kept,
        };
        say(step_line(&step));
        steps.push(step);
        if phase.all.wrong > 0 {
            // A lower rate would not make a wrong verdict right.
            say(&phase);
            report.phases.push(phase);
            break;
        }
    }
    Ok(Ramp {
        p99_limit_us: limit_us,
        best_per_s: search.best(),
        steps,
    })
}

fn as_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Whether anything in the report is a reason to fail. Ramp steps over the limit are none.
#[must_use]
pub fn went_wrong(report: &Report) -> bool {
    report.phases.iter().any(Phase::went_wrong)
}

/// Writes the files that the arguments name.
///
/// # Errors
/// When a file cannot be written.
pub fn write_files(arguments: &Arguments, report: &Report) -> Result<(), LoadError> {
    if let Some(file) = &arguments.json {
        report.write(file)?;
        say(format_args!("report: {}", file.display()));
    }
    if let Some(file) = &arguments.html {
        write_html(file, &crate::report_page::page(report))?;
    }
    Ok(())
}

/// Writes a page.
///
/// # Errors
/// When a file cannot be written.
pub fn write_html(file: &Path, page: &str) -> Result<(), LoadError> {
    std::fs::write(file, page).map_err(LoadError::io(format!("writing {}", file.display())))?;
    say(format_args!("page: {}", file.display()));
    Ok(())
}
