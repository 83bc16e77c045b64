//! A whole run: server, keys, rounds, report.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::arguments::HostileArguments;
use super::bound::{budgets, limit};
use super::certificate::Certificate;
use super::compose::Prey;
use super::newcomers::{Arrived, Newcomers};
use super::report::{HostileReport, Memory, NewcomerRow, Part, Round, SCHEMA};
use super::settings::{authentication, settings, variable};
use super::swarm::{Swarm, SwarmOptions, connections};
use super::tally::Tally;
use super::verdict::{failures, is_disturbed, median_ratio};
use crate::admin_api::AdminApi;
use crate::affinity::{Layout, allowed_cores};
use crate::changing::Pool;
use crate::class::Shares;
use crate::composer::Workload;
use crate::descriptors::make_room_for;
use crate::endpoint::Endpoint;
use crate::error::LoadError;
use crate::generator::{Load, Loop};
use crate::machine::this_machine;
use crate::monitor::Monitor;
use crate::output::say;
use crate::phase::Runner;
use crate::popularity::Popularity;
use crate::process::Process;
use crate::random::Random;
use crate::report::{Percentiles, Phase};
use crate::seed::counts::divide;
use crate::seed::{Keys, Seeder};
use crate::sender::Waiting;
use crate::signals::interruption;
use crate::target::{Target, Transport, server_beside_this_program};
use crate::tls::Tls;
use crate::writers::WriteLoad;

/// Keys with metadata of the largest size.
const HEAVY_KEYS: usize = 64;
const HEAVY_METADATA: usize = 64 << 10;
/// What the valid load asks for. Keys that change are made and revoked meanwhile.
const MIX: Shares = Shares {
    valid: 60,
    imported: 10,
    revoked: 10,
    unknown: 10,
    jwt: 0,
    macaroon: 3,
    batch: 2,
    changing: 5,
};
const TOKENS: u32 = 50;
const BATCH: u8 = 10;
const WRITES_PER_SECOND: f64 = 20.0;
/// Connections of the valid load that are made anew, per second.
const CHURN: f64 = 5.0;
/// The closed loop that finds the rate.
const SATURATION: Duration = Duration::from_secs(5);
/// The valid load offers this share of it, so that the server has time left for strangers.
const SHARE: f64 = 0.5;
/// How long the server may take to forget hostile clients that have gone.
const SETTLING: Duration = Duration::from_secs(1);

struct Campaign<'a> {
    arguments: &'a HostileArguments,
    runner: Runner,
    swarm: SwarmOptions,
    endpoint: Endpoint,
    host: String,
    process: Process,
    newcomers: Arrived,
    tally: Tally,
    report: HostileReport,
}

/// Does a whole run. The server is stopped when this returns.
///
/// # Errors
/// What ended the run before its report.
pub fn run(arguments: &HostileArguments) -> Result<HostileReport, LoadError> {
    let attacks = arguments.attacks();
    let hostile = connections(&attacks, arguments.intensity);
    let hostile = u32::try_from(hostile).unwrap_or(u32::MAX);
    make_room_for(arguments.connections.saturating_add(hostile))?;
    let interrupted = interruption()?;
    let cores = allowed_cores().map_err(LoadError::io("asking for the cores"))?;
    let layout = Layout::divide(&cores);
    let program = match &arguments.server {
        Some(program) => program.clone(),
        None => server_beside_this_program()?,
    };
    let token = arguments.auth.then(|| token(arguments.seed));
    let mut changed: Vec<_> = token
        .iter()
        .flat_map(|token| authentication(token))
        .collect();
    let certificate = arguments.tls.then(Certificate::make).transpose()?;
    changed.extend(certificate.iter().flat_map(|made| made.settings.clone()));
    changed.extend_from_slice(&arguments.settings);
    let mut set = settings(&arguments.driver, &changed);
    let environment: Vec<_> = set
        .iter()
        .map(|(key, value)| (variable(key), value.clone()))
        .collect();
    let transport = match &certificate {
        Some(made) => Transport::Tls(made.tls.clone()),
        None => Transport::Tcp,
    };
    let mut target = Target::start_with(
        &program,
        transport,
        &layout.server,
        &environment,
        &interrupted,
    )?;
    target.token.clone_from(&token);
    // The report is no place for a secret, even if it was one for this run only.
    set.remove("serve.admin.auth.bootstrap_token");
    let mut campaign = Campaign::prepare(arguments, &target, &layout, &interrupted)?;
    campaign.report.settings = set;
    campaign.swarm.attacks = attacks;
    campaign.fight()?;
    Ok(campaign.conclude(&mut target))
}

/// The bootstrap token of a server that exists for this run only.
fn token(seed: u64) -> String {
    let mut random = Random::new(seed, 999);
    (0..4).map(|_| format!("{:016x}", random.next())).collect()
}

/// Makes the keys that hostile clients know, and what else they know of the server.
fn prey(
    target: &Target,
    tls: Option<&Tls>,
    interrupted: &Arc<AtomicBool>,
) -> Result<Prey, LoadError> {
    let hello = tls.map_or_else(|| Ok(Vec::new()), Tls::hello);
    let mut prey = Prey {
        host: target.host.clone(),
        token: target.token.clone(),
        hello: hello.map_err(LoadError::io("beginning a handshake"))?,
        ..Prey::default()
    };
    let mut api = AdminApi::new(target.client(), interrupted);
    for _ in 0..HEAVY_KEYS {
        let key = api.issue_heavy("load-heavy", HEAVY_METADATA)?;
        prey.heavy.push(key.secret);
        prey.ids.push(key.key_id);
    }
    Ok(prey)
}

impl<'a> Campaign<'a> {
    /// Makes the keys, and what all rounds share.
    fn prepare(
        arguments: &'a HostileArguments,
        target: &Target,
        layout: &Layout,
        interrupted: &Arc<AtomicBool>,
    ) -> Result<Self, LoadError> {
        let not_here = || LoadError::Flags("the server must be started here".to_owned());
        let process = target.process().ok_or_else(not_here)?;
        let (server, tls) = match &target.endpoint {
            Endpoint::Tcp(server) => (*server, None),
            Endpoint::Tls(server, tls) => (*server, Some(tls.clone())),
            Endpoint::Unix(_) => return Err(not_here()),
        };
        let seeder = Seeder {
            target,
            seed: arguments.seed,
            interrupted,
        };
        let corpus = seeder.seed(Keys::Make, &divide(arguments.keys, TOKENS, &MIX), &MIX)?;
        let prey = prey(target, tls.as_ref(), interrupted)?;
        let changing = Arc::new(Pool::default());
        let load = Load {
            endpoint: target.endpoint.clone(),
            workload: Workload {
                corpus: Arc::new(corpus),
                shares: MIX,
                popularity: Popularity::Uniform,
                batch: BATCH,
                changing: Arc::clone(&changing),
                hosts: target.hosts.clone(),
            },
            connections: usize::try_from(arguments.connections).unwrap_or(usize::MAX),
            depth: 1,
            threads: layout.load.len(),
            cores: layout.load.clone(),
            // The hostile clients need the same cores.
            waiting: Waiting::Sleep,
            churn: CHURN,
            seed: arguments.seed,
            monitor: Monitor {
                process: Some(process.clone()),
                cores: Vec::new(),
            },
            interrupted: Arc::clone(interrupted),
        };
        let writes = WriteLoad {
            endpoint: target.endpoint.clone(),
            host: target.host.clone(),
            token: target.token.clone(),
            rate: WRITES_PER_SECOND,
            pool: changing,
            seed: arguments.seed,
        };
        let workers = layout.server.len().max(1);
        let budgets = budgets(workers as u64);
        Ok(Self {
            arguments,
            runner: Runner {
                load,
                writes: Some(writes),
                server_cores: Some(workers),
            },
            swarm: SwarmOptions {
                server,
                tls,
                prey,
                attacks: Vec::new(),
                intensity: arguments.intensity,
                cores: layout.load.clone(),
            },
            endpoint: target.endpoint.clone(),
            host: target.host.clone(),
            newcomers: Arrived::none(),
            tally: Tally::new(&arguments.attacks()),
            report: HostileReport {
                schema: SCHEMA,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started: jiff::Timestamp::now()
                    .strftime("%Y-%m-%dT%H:%M:%SZ")
                    .to_string(),
                machine: this_machine(allowed_cores().map_or(0, |cores| cores.len())),
                server_version: target.version(),
                seed: arguments.seed,
                intensity: arguments.intensity,
                memory: Memory {
                    limit_bytes: limit(&budgets),
                    budgets,
                    ..Memory::default()
                },
                ..HostileReport::default()
            },
            process,
        })
    }

    fn is_interrupted(&self) -> bool {
        self.runner.load.interrupted.load(Ordering::Relaxed)
    }

    /// Runs all rounds.
    fn fight(&mut self) -> Result<(), LoadError> {
        let rate = if let Some(rate) = self.arguments.rate {
            f64::from(rate)
        } else {
            let found = self.load(Loop::Closed, SATURATION)?.achieved_per_s;
            self.report.saturation_per_s = Some(found);
            if found <= 0.0 {
                return Err(LoadError::NoAnswers(SATURATION));
            }
            found * SHARE
        };
        self.report.offered_per_s = rate;
        self.report.memory.calm_bytes = self.process.usage().rss_bytes;
        say(format_args!(
            "valid load: {rate:.0} verifications a second; {} rounds of {:.0} s under attack",
            self.arguments.rounds(),
            self.arguments.round.as_secs_f64(),
        ));
        let calm = (self.arguments.round / 4).max(Duration::from_secs(1));
        for number in 0..self.arguments.rounds() {
            if self.is_interrupted() {
                break;
            }
            let calm = Part::from(&self.load(Loop::Open(rate), calm)?);
            let round = self.attack(number, rate, calm)?;
            say(format_args!("round {}\n{round}", number + 1));
            self.report.rounds.push(round);
            std::thread::sleep(SETTLING);
        }
        Ok(())
    }

    /// Valid load without hostile clients.
    fn load(&mut self, kind: Loop, duration: Duration) -> Result<Phase, LoadError> {
        let phase = self.runner.run(kind, duration)?;
        self.report
            .complaints
            .extend(phase.complaints.iter().cloned());
        Ok(phase)
    }

    /// Valid load with hostile clients.
    fn attack(&mut self, number: u64, rate: f64, calm: Part) -> Result<Round, LoadError> {
        let swarm = Swarm::start(self.swarm.clone(), self.arguments.seed, number);
        let newcomers =
            Newcomers::start(self.endpoint.clone(), &self.host, self.arguments.patience);
        let loaded = self.load(Loop::Open(rate), self.arguments.round);
        let rss_bytes = self.process.usage().rss_bytes;
        self.newcomers.add(&newcomers.stop()?);
        let tally = swarm.stop()?;
        let attacked = Part::from(&loaded?);
        let cores = self.runner.load.cores.len().max(1) as f64;
        let mut round = Round {
            ratio: attacked.answers_per_s / calm.answers_per_s,
            calm,
            attacked,
            disturbed: false,
            attackers_cpu_share: tally.cpu.as_secs_f64() / tally.ran.as_secs_f64() / cores,
            rss_bytes,
        };
        round.disturbed = is_disturbed(&round);
        self.tally.add(tally);
        Ok(round)
    }

    fn conclude(mut self, target: &mut Target) -> HostileReport {
        let memory = &mut self.report.memory;
        memory.peak_bytes = self.process.peak_rss_bytes();
        memory.after_bytes = self.process.usage().rss_bytes;
        self.report.newcomers = NewcomerRow {
            answered: self.newcomers.latencies.len(),
            failed: self.newcomers.failed,
            latency_us: Percentiles::from(&self.newcomers.latencies),
        };
        self.report
            .complaints
            .append(&mut self.newcomers.complaints);
        self.report.attackers_cpu_share =
            self.tally.cpu.as_secs_f64() / self.tally.ran.as_secs_f64().max(1e-9);
        self.report.attacks = self.tally.rows;
        self.report.skipped = self.tally.skipped;
        self.report.breaches = self.tally.breaches;
        self.report.interrupted = self.runner.load.interrupted.load(Ordering::Relaxed);
        self.report.ratio = median_ratio(&self.report.rounds);
        let ended = target.has_ended();
        let floor = self.arguments.rate_floor;
        self.report.failures = failures(&self.report, floor, &target.log(), ended);
        self.report
    }
}
