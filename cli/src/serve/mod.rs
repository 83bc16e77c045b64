//! `talos serve`: assembles the server, waits for a signal, and shuts everything down in order.
//!
//! Guarantees:
//! - A start that fails prints one line on standard error and exits with 1. Nothing is served
//!   before everything works.
//! - On SIGTERM or SIGINT the server is not ready any more, and goes on for `serve.shutdown.delay`.
//!   Then requests that have begun are answered (up to [`DRAIN_MAX`]). Then the
//!   control plane finishes, and only then the database closes, so no change is acknowledged that
//!   is not durable.

mod admin_access;
mod allocators;
mod audit;
mod config_hash;
mod departure;
mod development;
mod fleet;
mod forward;
mod key_sets;
mod log_line;
pub(crate) mod log_queue;
pub(crate) mod logging;
mod memory_limit;
mod metrics;
pub(crate) mod offline;
mod options;
pub(crate) mod process;
mod readiness;
mod reload;
mod replication_metrics;
mod secrets;
pub(crate) mod signals;
mod source;
mod standalone;
pub(crate) mod start_files;
mod tenants;
mod tls;
mod wall_clock;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::{Args, ValueEnum};
use talos_admin::{AdminService, AdminSettings, ForwardSettings, MetricsListener};
use talos_api::fleet::Fleet;
use talos_api::route::Surface;
use talos_audit::Audit;
use talos_config::{MemoryPlan, Settings, Warning};
use talos_engine::Engine;
use talos_model::Mode;
use talos_model::clock::{self, UnixMillis};
use talos_node::Node;
use talos_server::{Server, ServerOptions};

use self::departure::Departure;
use self::development::Development;
use self::fleet::Plan;
use self::log_queue::LogQueue;
use self::logging::Level;
use self::metrics::Sources;
use self::readiness::Readiness;
use self::reload::{Configured, Following, Parts};
use self::secrets::MissingSecrets;
use self::signals::Signals;
use self::source::Source;
use self::standalone::Standalone;
use self::wall_clock::WallClock;
use crate::error::CliError;
use crate::service_manager::ServiceManager;

/// The longest that a shutdown waits for requests that have begun.
const DRAIN_MAX: Duration = Duration::from_secs(10);
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The arguments of `talos serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Which routes to serve; default: all
    #[arg(value_enum)]
    surface: Option<SurfaceArgument>,

    /// Development server: loopback only, data in ./talos-data, secrets generated once and stored
    /// there
    #[arg(long)]
    dev: bool,

    /// The clock is right, although it is behind the newest change in the database
    #[arg(long)]
    accept_clock: bool,

    /// Start although secrets are missing that keys in the database need, and do not ask for them
    /// again: what they signed is refused as unknown
    #[arg(long)]
    forget_missing_secrets: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SurfaceArgument {
    /// For administrators: /v2alpha1/admin/…, the short routes, JWKS, health
    Admin,
    /// For services that verify credentials: verification, self-revocation, JWKS, health
    Data,
    /// For holders of keys: self-revocation, JWKS, health
    #[value(alias = "self-service")]
    Public,
}

impl ServeArguments {
    fn surface(&self) -> Surface {
        match self.surface {
            None => Surface::All,
            Some(SurfaceArgument::Admin) => Surface::Admin,
            Some(SurfaceArgument::Data) => Surface::Data,
            Some(SurfaceArgument::Public) => Surface::Public,
        }
    }
}

/// TLS of the server's connections, both ways.
struct Tls {
    /// Of the listeners.
    listeners: tls::Listeners,
    /// To the primary.
    forward: ForwardSettings,
}

/// What is ready before the first listener.
struct Opened {
    engine: Arc<Engine>,
    readiness: Readiness,
    tls: Tls,
}

/// What the parts of the server are started with.
struct Start<'a> {
    settings: &'a Settings,
    source: &'a Arc<Source>,
    log: &'a LogQueue,
    level: &'a Level,
    started: UnixMillis,
    accepts_clock: bool,
    departure: Departure,
    missing_secrets: MissingSecrets,
    memory: Option<Memory>,
}

/// The memory of the server, and what sets its limit.
struct Memory {
    plan: MemoryPlan,
    source: String,
}

impl Start<'_> {
    /// The most that the bodies of requests to the control plane may take, in bytes.
    fn bodies_bytes(&self) -> usize {
        let bytes = self
            .memory
            .as_ref()
            .map(|memory| memory.plan.waiting_bodies);
        bytes.map_or(usize::MAX, |bytes| {
            usize::try_from(bytes).unwrap_or(usize::MAX)
        })
    }
}

impl Memory {
    fn announce(&self) {
        let size = |name| self.plan.parts.iter().find(|part| part.name == name);
        let size = |name| size(name).map(|part| part.bytes);
        tracing::info!(
            limit = self.plan.limit,
            source = self.source.as_str(),
            block_cache = size("block_cache"),
            write_buffer = size("write_buffer"),
            keys = size("keys"),
            requests = size("requests"),
            connections = size("connections"),
            waiting_requests = size("waiting_requests"),
            total = self.plan.total(),
            "the memory of the server, in bytes"
        );
    }
}

/// Serves until a signal arrives.
pub(crate) fn run(arguments: &ServeArguments, config: Option<&Path>) -> Result<ExitCode, CliError> {
    allocators::save_memory();
    let started = clock::now();
    let development = if arguments.dev {
        Some(Development::prepare(Path::new(development::DIRECTORY))?)
    } else {
        None
    };
    let source = Source {
        config: config.map(Path::to_owned),
        development,
        surface: arguments.surface(),
        tenants: Mutex::default(),
    };
    let (mut settings, warnings) = source.load()?;
    let memory = memory_of(&mut settings)?;
    let (log, level) = logging::start(settings.log).map_err(|source| CliError::Start {
        what: "log",
        source,
    })?;
    for Warning { key, message } in &warnings {
        tracing::warn!(key, "{message}");
    }
    let outcome = open_and_serve(&Start {
        settings: &settings,
        source: &Arc::new(source),
        log: &log,
        level: &level,
        started,
        accepts_clock: arguments.accept_clock,
        departure: Departure::default(),
        missing_secrets: if arguments.forget_missing_secrets {
            MissingSecrets::Forget
        } else {
            MissingSecrets::Report
        },
        memory,
    });
    log.wait_until_written();
    outcome
}

fn open_and_serve(start: &Start<'_>) -> Result<ExitCode, CliError> {
    process::disable_core_dumps();
    process::raise_descriptor_limit();
    // Registered first, so that a signal during the start is not lost.
    let signals = Signals::register().map_err(|source| CliError::Start {
        what: "signals",
        source,
    })?;

    let plan = Plan::of(start.settings)?;
    let mut watched = plan.as_ref().map(Plan::tls_files).unwrap_or_default();
    let tls = tls::Listeners::load(&start.settings.serve, &mut watched)?;
    let forward = forward::settings(&start.settings.replication, &mut watched)?;
    let _watching = tls::watch(watched)?;
    let mode = plan.as_ref().map_or(Mode::Primary, Plan::mode);
    let engine = Engine::open_as(options::of_engine(start.settings), mode)?;
    engine.set_failure_timeout(start.settings.db.failure_timeout);
    let clock = WallClock::judge(
        &engine,
        &start.settings.db.directory,
        start.settings.credentials.clock_skew,
        start.accepts_clock,
    )?;
    secrets::check(&engine, &start.settings.db.directory, start.missing_secrets)?;
    let tokens = (mode == Mode::Primary).then(|| engine.admin_tokens().all().len());
    for Warning { key, message } in
        admin_access::warnings(start.settings, start.source.surface, tokens)
    {
        tracing::warn!(key, "{message}");
    }
    let opened = Opened {
        engine: Arc::clone(&engine),
        readiness: Readiness {
            departure: start.departure.clone(),
            clock,
        },
        tls: Tls {
            listeners: tls,
            forward,
        },
    };
    let served = join(start, &opened, plan, signals);
    engine.shutdown();
    engine.leak_cells();
    if served.is_ok() {
        tracing::info!("stopped");
    }
    served
}

/// Starts the node of replication, if there is one, serves, and stops the node.
fn join(
    start: &Start<'_>,
    opened: &Opened,
    plan: Option<Plan>,
    signals: Signals,
) -> Result<ExitCode, CliError> {
    let Some(plan) = plan else {
        let standalone = Standalone {
            engine: Arc::clone(&opened.engine),
            readiness: opened.readiness.clone(),
        };
        return serve(start, opened, Arc::new(standalone), None, signals);
    };
    let member = plan.start(&opened.engine, &opened.readiness)?;
    let node = member.node();
    let served = serve(start, opened, Arc::new(member), Some(&node), signals);
    node.stop();
    served
}

fn serve(
    start: &Start<'_>,
    opened: &Opened,
    fleet: Arc<dyn Fleet>,
    node: Option<&Arc<Node>>,
    signals: Signals,
) -> Result<ExitCode, CliError> {
    let settings = start.settings;
    let Opened {
        engine,
        readiness,
        tls,
    } = opened;
    readiness
        .clock
        .watch(node)
        .map_err(|source| CliError::Start {
            what: "clock",
            source,
        })?;
    let metrics_listener = metrics::bind(&settings.serve, start.source.development.as_ref())?;
    let metrics_listener =
        metrics_listener.map(|listener| listener.with_tls(tls.listeners.metrics.clone()));
    let metrics_address = metrics_listener.as_ref().map(MetricsListener::address);
    let audit = audit::open(settings, &*fleet)?;
    let (configured, messages) = Configured::new(settings);
    let mut admin = AdminService::start(
        Arc::clone(engine),
        Arc::clone(&fleet),
        AdminSettings {
            audit: audit.as_ref().map(Audit::log),
            bodies_bytes: start.bodies_bytes(),
            ..options::of_control_plane(settings, tls.forward.clone(), configured.clone())
        },
    )
    .map_err(|source| CliError::Start {
        what: "control plane",
        source,
    })?;
    let options = ServerOptions {
        audit: audit.as_ref().map(Audit::log),
        ..options::of_server(
            settings,
            start.source.surface,
            start.source.development.is_some(),
            &tls.listeners,
        )
    };
    let server = Server::bind(options, Arc::clone(engine), fleet, admin.control_plane());
    let outcome = server.map_err(CliError::from).and_then(|server| {
        if let Some(listener) = metrics_listener {
            let sources = Sources {
                configured: Arc::clone(&configured),
                engine: Arc::clone(engine),
                server: server.metrics(),
                control: admin.metrics(),
                driver: server.driver().to_string(),
                node: node.map(Arc::clone),
                log: start.log.clone(),
                audit: audit.as_ref().map(Audit::handle),
                started: start.started,
                tls: tls.listeners.clone(),
                clock: readiness.clock.clone(),
                memory: start.memory.as_ref().map(|memory| memory.plan.clone()),
            };
            admin
                .serve_metrics(listener, Box::new(move |page| sources.expose(page)))
                .map_err(|source| CliError::Start {
                    what: "metrics listener",
                    source,
                })?;
        }
        announce(start, &server, metrics_address);
        engine.warm_up().map_err(|source| CliError::Start {
            what: "warm-up",
            source,
        })?;
        let parts = Parts {
            engine: Arc::clone(engine),
            node: node.map(Arc::clone),
            server: server.handle(),
            listeners: tls.listeners.clone(),
            configured: Arc::clone(&configured),
            level: start.level.clone(),
        };
        let source = Arc::clone(start.source);
        let following = Following::start(source, parts, messages, settings).map_err(|source| {
            CliError::Start {
                what: "configuration",
                source,
            }
        })?;
        let stopped = until_asked_to_stop(start, server, signals, &configured);
        drop(following);
        stopped
    });
    admin.shutdown();
    // After the last request has been noted.
    if let Some(audit) = audit {
        audit.close();
    }
    outcome
}

fn announce(start: &Start<'_>, server: &Server, metrics: Option<SocketAddr>) {
    if let Some(memory) = &start.memory {
        memory.announce();
    }
    let address = server.local_addr();
    let public = server.other_addrs().first().copied();
    let driver = server.driver().to_string();
    tracing::info!(
        %address,
        socket = start.settings.serve.http.socket.as_ref().map(|path| tracing::field::display(path.display())),
        public = public.map(tracing::field::display),
        metrics = metrics.map(tracing::field::display),
        driver = driver.as_str(),
        workers = start.settings.serve.workers,
        surface = start.source.surface.name(),
        public_surface = public.map(|_| options::surface_of(start.settings.serve.public.surface).name()),
        tls = start.settings.serve.http.tls.is_on(),
        public_tls = public.map(|_| start.settings.serve.public.tls.is_on()),
        version = VERSION,
        "serving"
    );
    if start.source.development.is_some() {
        let serve = &start.settings.serve;
        let listener = |address, has_tls| development::Listener { address, has_tls };
        let api = listener(address, serve.http.tls.is_on());
        let mut banner = development::banner(
            api,
            public.map(|address| listener(address, serve.public.tls.is_on())),
            metrics.map(|address| listener(address, serve.metrics_tls.is_on())),
            &driver,
            &start.settings.db.directory,
        );
        if start.source.surface.is_for_administrators() {
            banner += &development::examples(api);
        }
        // A banner that cannot be written does not stop the server.
        let _ = io::stdout().write_all(banner.as_bytes());
    }
}

fn until_asked_to_stop(
    start: &Start<'_>,
    server: Server,
    signals: Signals,
    configured: &Arc<Configured>,
) -> Result<ExitCode, CliError> {
    let address = server.local_addr();
    let manager = ServiceManager::from_environment();
    let metrics = server.metrics();
    let ticks = move || metrics.cores.iter().map(|core| core.ticks.get()).collect();
    manager.watch(ticks).map_err(|source| CliError::Start {
        what: "watchdog",
        source,
    })?;
    manager.ready();
    let (handle, log) = (server.handle(), start.log.clone());
    let (departure, delay) = (start.departure.clone(), start.settings.serve.shutdown_delay);
    let stopping = signals.on_first(
        move || {
            manager.stopping();
            departure.begin(delay, move || handle.drain(DRAIN_MAX));
        },
        move || log.wait_until_written(),
        {
            let configured = Arc::clone(configured);
            move || configured.ask()
        },
    );
    match server.join() {
        Ok(()) if stopping.is_asked() => Ok(ExitCode::SUCCESS),
        Ok(()) => Err(CliError::Stopped(address)),
        Err(error) => Err(error.into()),
    }
}

/// The memory of the server, into which the settings fit already; `None` when the system does not
/// tell how much that is.
fn memory_of(settings: &mut Settings) -> Result<Option<Memory>, CliError> {
    let Some(limit) = memory_limit::find() else {
        return Ok(None);
    };
    // Once more, for the sizes; it changes nothing.
    let (plan, _) = settings.fit_into(limit.bytes)?;
    let source = limit.source;
    Ok(Some(Memory { plan, source }))
}
