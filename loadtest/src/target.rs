//! The server under load: one that runs already, or one that this program starts and stops.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::affinity::pin_current_thread;
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::LoadError;
use crate::process::Process;
use crate::tenants::Hosts;
use crate::tls::{Tls, TlsFiles};

const READY_WITHIN: Duration = Duration::from_secs(60);
/// The server drains within 10 s. After this time it is killed.
const STOPPED_WITHIN: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);
/// How much of a failed server's log is shown, in bytes.
const LOG_TAIL_BYTES: usize = 4096;

/// A server to send to. Dropping it stops a server that was started here, and removes its
/// directory.
#[derive(Debug)]
pub struct Target {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// The value of the `Host` header of requests that concern the whole server.
    pub host: String,
    /// The value of the `Host` header of requests that concern keys.
    pub hosts: Hosts,
    /// The admin token, if the server needs one.
    pub token: Option<String>,
    own: Option<OwnServer>,
}

/// How a server that is started here is reached.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Loopback.
    Tcp,
    /// TLS over loopback. The caller sets the server's certificate.
    Tls(Tls),
    /// A Unix socket in its directory.
    Unix,
}

#[derive(Debug)]
struct OwnServer {
    child: Child,
    directory: TempDir,
}

impl Target {
    /// The server at `url`, `http://host:port` or `https://host:port`. For `https`, `files` are those
    /// of the client.
    ///
    /// # Errors
    /// When the URL has another form, or its host has no address; when the files cannot be used.
    pub fn running(url: &str, files: &TlsFiles) -> Result<Self, LoadError> {
        let problem = |problem: &str| LoadError::Url {
            url: url.to_owned(),
            problem: problem.to_owned(),
        };
        let (rest, port) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (rest, 80),
            (None, Some(rest)) => (rest, 443),
            (None, None) => return Err(problem("expected http:// or https://")),
        };
        let is_https = port == 443;
        if !is_https && (files.ca.is_some() || files.own.is_some()) {
            return Err(problem("--ca and --cert need an https:// URL"));
        }
        let host = rest.trim_end_matches('/');
        if host.is_empty() || host.contains(['/', '@', '?', '#', ' ']) {
            return Err(problem("expected a host and a port without a path"));
        }
        let split = host.rsplit_once(':');
        let split = split.filter(|(_, port)| port.parse::<u16>().is_ok());
        let (name, with_port) = match split {
            Some((name, _)) => (name, host.to_owned()),
            None => (host, format!("{host}:{port}")),
        };
        let mut addresses = with_port
            .to_socket_addrs()
            .map_err(|error| problem(&error.to_string()))?;
        let address = addresses
            .next()
            .ok_or_else(|| problem("the host has no address"))?;
        let endpoint = if is_https {
            let name = name.trim_start_matches('[').trim_end_matches(']');
            Endpoint::Tls(address, Tls::load(files, name)?)
        } else {
            Endpoint::Tcp(address)
        };
        Ok(Self {
            endpoint,
            host: host.to_owned(),
            hosts: Hosts::one(host),
            token: None,
            own: None,
        })
    }

    /// The server that listens at this Unix socket.
    #[must_use]
    pub fn at_socket(path: &Path) -> Self {
        Self {
            endpoint: Endpoint::Unix(path.to_owned()),
            host: "localhost".to_owned(),
            hosts: Hosts::one("localhost"),
            token: None,
            own: None,
        }
    }

    /// Starts `program serve --dev` in a fresh directory, bound to `cores`, with a worker for each,
    /// and waits until it is ready. With `tenants`, each of these hosts leads to a tenant.
    ///
    /// # Errors
    /// When it cannot be started, ends at once, or is not ready in time; and when interrupted.
    pub fn start(
        program: &Path,
        transport: Transport,
        cores: &[usize],
        tenants: Option<&Hosts>,
        interrupted: &AtomicBool,
    ) -> Result<Self, LoadError> {
        Self::launch(program, transport, cores, &[], tenants, interrupted)
    }

    /// Does what [`Target::start`] does without tenants, with these environment variables.
    ///
    /// # Errors
    /// Those of [`Target::start`].
    pub fn start_with(
        program: &Path,
        transport: Transport,
        cores: &[usize],
        variables: &[(String, String)],
        interrupted: &AtomicBool,
    ) -> Result<Self, LoadError> {
        Self::launch(program, transport, cores, variables, None, interrupted)
    }

    fn launch(
        program: &Path,
        transport: Transport,
        cores: &[usize],
        variables: &[(String, String)],
        tenants: Option<&Hosts>,
        interrupted: &AtomicBool,
    ) -> Result<Self, LoadError> {
        if !program.is_file() {
            return Err(LoadError::NoServer {
                path: program.to_owned(),
            });
        }
        let directory = tempfile::Builder::new()
            .prefix("talos-loadtest-")
            .tempdir()
            .map_err(LoadError::io("making a temporary directory"))?;
        let port = free_port().map_err(LoadError::io("looking for a free port"))?;
        let metrics_port = free_port().map_err(LoadError::io("looking for a free port"))?;
        let log = File::create(directory.path().join("server.log"))
            .map_err(LoadError::io("making the server's log"))?;
        let output = log
            .try_clone()
            .map_err(LoadError::io("making the server's log"))?;

        let mut command = Command::new(program);
        // Settings in the caller's environment must not change the measurement.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TALOS_") {
                command.env_remove(name);
            }
        }
        command
            .args(["serve", "--dev"])
            .current_dir(directory.path())
            .env("TALOS_SERVE_HTTP_PORT", port.to_string())
            .env("TALOS_SERVE_METRICS_PORT", metrics_port.to_string())
            .env("TALOS_SERVE_WORKERS", cores.len().max(1).to_string())
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(log);
        if let Some(tenants) = tenants {
            tenants
                .write_configuration(directory.path())
                .map_err(LoadError::io("writing the tenants' configuration"))?;
            command.args(["--config", "talos.yaml"]);
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let endpoint = match transport {
            Transport::Tcp => Endpoint::Tcp(address),
            Transport::Tls(tls) => Endpoint::Tls(address, tls),
            Transport::Unix => {
                let path = directory.path().join("talos.sock");
                command.env("TALOS_SERVE_HTTP_SOCKET", &path);
                Endpoint::Unix(path)
            }
        };
        let host = format!("localhost:{port}");
        let child = spawn_pinned(command, cores.to_vec())?;
        let target = Self {
            endpoint,
            hosts: tenants.cloned().unwrap_or_else(|| Hosts::one(&host)),
            host,
            token: None,
            own: Some(OwnServer { child, directory }),
        };
        target.wait_until_ready(interrupted)
    }

    fn wait_until_ready(mut self, interrupted: &AtomicBool) -> Result<Self, LoadError> {
        let deadline = Instant::now() + READY_WITHIN;
        while !is_ready(&self) {
            if interrupted.load(Ordering::Relaxed) {
                return Err(LoadError::Interrupted);
            }
            let Some(own) = self.own.as_mut() else { break };
            let ended = own
                .child
                .try_wait()
                .map_err(LoadError::io("waiting for the server"))?;
            if let Some(status) = ended {
                return Err(LoadError::NotReady {
                    what: format!("it ended with {status}"),
                    log: own.log_tail(),
                });
            }
            if Instant::now() > deadline {
                let what = format!("{} s have passed", READY_WITHIN.as_secs());
                return Err(LoadError::NotReady {
                    what,
                    log: own.log_tail(),
                });
            }
            std::thread::sleep(POLL);
        }
        Ok(self)
    }

    /// The process of a server that was started here.
    #[must_use]
    pub fn process(&self) -> Option<Process> {
        self.own.as_ref().map(|own| Process::new(own.child.id()))
    }

    /// What a server that was started here has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        let log = self.own.as_ref().map(OwnServer::log);
        String::from_utf8_lossy(&log.unwrap_or_default()).into_owned()
    }

    /// Whether a server that was started here has ended.
    pub fn has_ended(&mut self) -> bool {
        let own = self.own.as_mut();
        own.is_some_and(|own| !matches!(own.child.try_wait(), Ok(None)))
    }

    /// A client of this server.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.endpoint.clone(), self.host.clone()).with_token(self.token.as_deref())
    }

    /// The version that the server reports.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let reply = self.client().get("/version").ok()?;
        let version = reply.json().get("version")?.as_str()?.to_owned();
        Some(version)
    }
}

/// Starts the command from a thread that is bound to the cores. All threads of the child inherit
/// that.
fn spawn_pinned(mut command: Command, cores: Vec<usize>) -> Result<Child, LoadError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let starter =
        std::thread::spawn(move || pin_current_thread(&cores).and_then(|()| command.spawn()));
    starter
        .join()
        .map_err(|_| LoadError::Panicked)?
        .map_err(LoadError::io(format!("starting {program}")))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

/// Whether a server answers that it is ready.
fn is_ready(target: &Target) -> bool {
    target
        .client()
        .get("/health/ready")
        .is_ok_and(|reply| reply.status == 200)
}

impl OwnServer {
    fn log(&self) -> Vec<u8> {
        fs::read(self.directory.path().join("server.log")).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let tail = log
            .get(log.len().saturating_sub(LOG_TAIL_BYTES)..)
            .unwrap_or_default();
        String::from_utf8_lossy(tail).into_owned()
    }

    /// Waits for the end. Returns whether it has come within this time.
    fn wait(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(POLL);
        }
        false
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // The child has not been waited for, so its id cannot belong to another process.
        let asked = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if asked.is_err() || !self.wait(STOPPED_WITHIN) {
            eprintln!("talos-loadtest: the server did not stop by SIGTERM and is killed");
            // Both fail only if it has ended meanwhile.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The server binary beside this one.
///
/// # Errors
/// When this program's own path is unknown.
pub fn server_beside_this_program() -> Result<PathBuf, LoadError> {
    let own = std::env::current_exe().map_err(LoadError::io("looking for the server binary"))?;
    Ok(own.with_file_name("talos"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_a_port() {
        let target = Target::running("http://127.0.0.1:4420/", &TlsFiles::default()).unwrap();
        assert_eq!(
            (target.endpoint.to_string().as_str(), target.host.as_str()),
            ("127.0.0.1:4420", "127.0.0.1:4420")
        );
        for (url, address) in [
            ("http://127.0.0.1", "127.0.0.1:80"),
            ("http://[::1]:99", "[::1]:99"),
            ("https://127.0.0.1", "127.0.0.1:443"),
            ("https://[::1]:99", "[::1]:99"),
        ] {
            let endpoint = Target::running(url, &TlsFiles::default()).unwrap().endpoint;
            assert_eq!(endpoint.to_string(), address);
        }
        for bad in [
            "ftp://127.0.0.1",
            "https://",
            "127.0.0.1:4420",
            "http://",
            "http://127.0.0.1/v1",
            "http://a@127.0.0.1",
        ] {
            assert!(Target::running(bad, &TlsFiles::default()).is_err(), "{bad}");
        }
        let files = TlsFiles {
            ca: Some("/nowhere.pem".into()),
            own: None,
        };
        let error = Target::running("https://127.0.0.1", &files).unwrap_err();
        assert!(error.to_string().contains("/nowhere.pem"), "{error}");
        let error = Target::running("http://127.0.0.1", &files).unwrap_err();
        assert!(error.to_string().contains("https://"), "{error}");
    }

    #[test]
    fn a_missing_server_is_named() {
        let error = Target::start(
            Path::new("/nonexistent/talos"),
            Transport::Tcp,
            &[],
            None,
            &AtomicBool::new(false),
        )
        .unwrap_err();
        assert!(error.to_string().contains("/nonexistent/talos"), "{error}");
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported_with_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("talos");
        fs::write(&program, "#!/bin/sh\necho 'cannot start' >&2\nexit 1\n").unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&program, executable).unwrap();
        let error = Target::start(&program, Transport::Tcp, &[], None, &AtomicBool::new(false))
            .unwrap_err();
        assert!(
            matches!(&error, LoadError::NotReady { log, .. } if log == "cannot start\n"),
            "{error}"
        );
    }
}
