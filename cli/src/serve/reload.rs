//! Taking a changed configuration into use while the server runs.
//!
//! Guarantees: a configuration is loaded and checked as a whole before anything of it is used; one
//! that cannot be used changes nothing; the settings of all tenants change at once, those of the
//! data plane within a tick of each worker.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use talos_api::config::{ConfigState, Configuration};
use talos_config::{FixedValues, Settings, Warning};
use talos_engine::Engine;
use talos_metrics::Exposition;
use talos_node::Node;
use talos_server::ServerHandle;
use talos_tls::Stamp;

use super::logging::Level;
use super::source::Source;
use super::{config_hash, options, secrets, tenants, tls};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// The configuration in use, and how often it was loaded again.
pub(super) struct Configured {
    succeeded: AtomicU64,
    failed: AtomicU64,
    state: Mutex<ConfigState>,
    /// The values of the start that do not change before the next one.
    fixed: FixedValues,
    messages: Sender<Message>,
}

impl Configured {
    /// The configuration of the start, and the messages for [`Following::start`].
    pub(super) fn new(settings: &Settings) -> (Arc<Self>, Receiver<Message>) {
        let (messages, receiver) = channel();
        let state = ConfigState {
            generation: 1,
            hash: config_hash::of(settings),
            restart_required: Vec::new(),
        };
        let configured = Self {
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            state: Mutex::new(state),
            fixed: settings.fixed.clone(),
            messages,
        };
        (Arc::new(configured), receiver)
    }

    /// Asks for the configuration to be loaded now. Does not wait for the result, which is logged.
    pub(super) fn ask(&self) {
        // The thread is gone only when the server stops.
        let _ = self.messages.send(Message::Load(None));
    }

    /// Notes that `settings` are in use now.
    fn note(&self, settings: &Settings) -> ConfigState {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        let restart_required = self.fixed.changed(&settings.fixed).into_iter();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.generation += 1;
        state.hash = config_hash::of(settings);
        state.restart_required = restart_required.map(str::to_owned).collect();
        state.clone()
    }

    /// Writes the counters.
    pub(super) fn expose(&self, page: &mut Exposition) {
        let mut reloads = page.counter(
            "talos_config_reloads_total",
            "How often a changed configuration was loaded, and with which result.",
        );
        for (result, count) in [("success", &self.succeeded), ("failure", &self.failed)] {
            reloads.sample(&[("result", result)], count.load(Ordering::Relaxed));
        }
        let state = self.state();
        page.gauge(
            "talos_config_generation",
            "Which configuration is in use, counted from 1 at the start.",
        )
        .sample(&[("hash", &state.hash)], state.generation);
    }
}

impl Configuration for Configured {
    fn state(&self) -> ConfigState {
        let state = self.state.lock();
        state.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn reload(&self) -> Result<ConfigState, String> {
        let (reply, result) = channel();
        let gone = || "the server is stopping".to_owned();
        let asked = self.messages.send(Message::Load(Some(reply)));
        asked.map_err(|_| gone())?;
        result.recv().map_err(|_| gone())?
    }
}

/// What a changed configuration is handed to.
pub(super) struct Parts {
    pub(super) engine: Arc<Engine>,
    /// `None` on a standalone server.
    pub(super) node: Option<Arc<Node>>,
    pub(super) server: ServerHandle,
    pub(super) listeners: tls::Listeners,
    pub(super) configured: Arc<Configured>,
    pub(super) level: Level,
}

/// What the thread is asked for.
pub(super) enum Message {
    /// Load the configuration now, and tell the result.
    Load(Option<Sender<Result<ConfigState, String>>>),
    /// End.
    Stop,
}

/// The thread that follows the configuration. It ends when this is dropped.
pub(super) struct Following {
    configured: Arc<Configured>,
    thread: Option<JoinHandle<()>>,
}

impl Following {
    /// Follows the configuration, of which `settings` are in use.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(
        source: Arc<Source>,
        parts: Parts,
        messages: Receiver<Message>,
        settings: &Settings,
    ) -> std::io::Result<Self> {
        let configured = Arc::clone(&parts.configured);
        let follower = Follower {
            files: Files::new(settings.files.clone()),
            source,
            parts,
        };
        let thread = thread::Builder::new()
            .name("talos-config".to_owned())
            .spawn(move || follower.run(&messages))?;
        Ok(Self {
            configured,
            thread: Some(thread),
        })
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.configured.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that follows the configuration panicked");
        }
    }
}

struct Follower {
    files: Files,
    source: Arc<Source>,
    parts: Parts,
}

impl Follower {
    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            match messages.recv_timeout(INTERVAL) {
                Ok(Message::Load(reply)) => {
                    let result = self.load();
                    if let Some(reply) = reply {
                        // The client may have hung up.
                        let _ = reply.send(result);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if self.files.have_changed() {
                        // The result is logged.
                        let _ = self.load();
                    }
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Loads the configuration and takes it into use. Returns what is wrong with it.
    fn load(&mut self) -> Result<ConfigState, String> {
        // Taken before the files are read, so that a change meanwhile is noticed later.
        self.files.note_loaded();
        let (settings, warnings) = self.source.load().map_err(|error| {
            self.parts.configured.failed.fetch_add(1, Ordering::Relaxed);
            let error = error.to_string();
            for line in error.lines() {
                tracing::error!("the configuration was not reloaded: {line}");
            }
            error
        })?;
        for Warning { key, message } in &warnings {
            tracing::warn!(key, "{message}");
        }
        let Parts {
            engine,
            node,
            server,
            listeners,
            configured,
            level,
        } = &self.parts;
        let tenants = tenants::of(&settings, &engine.tenants());
        secrets::check_change(engine, &tenants).map_err(|problem| {
            configured.failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!("the configuration was not reloaded: {problem}");
            problem
        })?;
        level.set(settings.log.level);
        engine.set_tenants(tenants);
        if let Some(node) = node {
            node.compare_acceptance();
        }
        let is_development = self.source.development.is_some();
        let surface = self.source.surface;
        server.reload(&options::of_server(
            &settings,
            surface,
            is_development,
            listeners,
        ));
        let state = configured.note(&settings);
        self.files.follow(settings.files.clone());
        if !state.restart_required.is_empty() {
            let keys = state.restart_required.join(", ");
            tracing::warn!(keys, "changed settings take effect at the next start");
        }
        tracing::info!(
            generation = state.generation,
            hash = state.hash,
            tenants = settings.tenants.len(),
            "configuration reloaded"
        );
        Ok(state)
    }
}

/// The files that the configuration was read from.
struct Files {
    paths: Vec<PathBuf>,
    /// The files when they were last loaded.
    loaded: Vec<Stamp>,
    /// The files at the last look.
    seen: Vec<Stamp>,
}

impl Files {
    fn new(paths: Vec<PathBuf>) -> Self {
        let loaded = stamps(&paths);
        Self {
            seen: loaded.clone(),
            loaded,
            paths,
        }
    }

    /// Whether they have changed since they were loaded. A file that is written in its place may be
    /// half there, so it counts only when it has not changed since the last look.
    fn have_changed(&mut self) -> bool {
        let now = stamps(&self.paths);
        let mut pairs = now.iter().zip(&self.loaded);
        let is_whole = now == self.seen || pairs.any(|(now, loaded)| now.replaces(loaded));
        self.seen.clone_from(&now);
        is_whole && now != self.loaded
    }

    fn note_loaded(&mut self) {
        self.loaded = stamps(&self.paths);
        self.seen.clone_from(&self.loaded);
    }

    /// Follows these files from now on. Those that are new were just loaded.
    fn follow(&mut self, paths: Vec<PathBuf>) {
        if paths != self.paths {
            self.paths = paths;
            self.note_loaded();
        }
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    paths.iter().map(|path| Stamp::of(path)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_counts_when_it_is_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("talos.yaml");
        fs::write(&path, "a").expect("a file");
        let mut files = Files::new(vec![path.clone()]);
        assert!(!files.have_changed());
        // In its place: at the second look, if it stays as it is.
        fs::write(&path, "ab").expect("a file");
        assert!(!files.have_changed());
        fs::write(&path, "abc").expect("a file");
        assert!(!files.have_changed());
        assert!(files.have_changed());
        files.note_loaded();
        assert!(!files.have_changed());
        // Renamed to its place: at once.
        let other = directory.path().join("other.yaml");
        fs::write(&other, "abcd").expect("a file");
        fs::rename(&other, &path).expect("renamed");
        assert!(files.have_changed());
        files.note_loaded();
        fs::remove_file(&path).expect("removed");
        assert!(!files.have_changed());
        assert!(files.have_changed(), "gone for good");
    }
}
