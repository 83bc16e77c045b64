//! The proxies of `deploy/`, each started with its file there. Only addresses differ.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A proxy that `deploy/` has a file for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `deploy/nginx.conf`.
    Nginx,
    /// `deploy/Caddyfile`.
    Caddy,
    /// `deploy/haproxy.cfg`.
    Haproxy,
    /// `deploy/envoy.yaml`.
    Envoy,
}

/// A running proxy. Dropping it ends it.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    /// Its files. They are removed with it.
    directory: tempfile::TempDir,
}

/// The root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A port that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Replaces text that must be there.
fn replace(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is missing:\n{text}");
    text.replace(from, to)
}

impl Proxy {
    /// Starts a proxy in front of the server at `upstream`, and waits until it answers.
    pub fn start(kind: Kind, upstream: SocketAddr) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("talos-proxy-")
            .tempdir()
            .unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut command = command(kind, address, upstream, directory.path());
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let child = command
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{kind:?} cannot start ({error}): run make setup"));
        let mut proxy = Self {
            address,
            child,
            directory,
        };
        let deadline = Instant::now() + PATIENCE;
        while !answers(address) {
            let ended = proxy.child.try_wait().unwrap();
            let log = fs::read_to_string(proxy.directory.path().join("log")).unwrap();
            assert!(ended.is_none(), "{kind:?} ended: {log}");
            assert!(Instant::now() < deadline, "{kind:?} does not answer: {log}");
            std::thread::sleep(POLL);
        }
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that starts a proxy, and its files in `directory`.
fn command(kind: Kind, address: SocketAddr, upstream: SocketAddr, directory: &Path) -> Command {
    let port = address.port();
    let sample = |name: &str| fs::read_to_string(root().join("deploy").join(name)).unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let upstream = upstream.to_string();
    match kind {
        Kind::Nginx => {
            let site = replace(
                &sample("nginx.conf"),
                "listen 8080",
                &format!("listen {address}"),
            );
            write("talos.conf", &replace(&site, "127.0.0.1:4421", &upstream));
            let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("{name}_temp_path {name};"))
                .join(" ");
            let main = format!(
                "daemon off; master_process off; pid nginx.pid; error_log stderr; events {{}}\n\
                 http {{ access_log off; {paths} include talos.conf; }}\n"
            );
            let main = write("main.conf", &main);
            let mut command = Command::new("/usr/sbin/nginx");
            command.arg("-p").arg(directory).arg("-c").arg(main);
            command
        }
        Kind::Caddy => {
            let site = format!("http://:{port} {{\n\tbind 127.0.0.1");
            let file = replace(&sample("Caddyfile"), "\n:8080 {", &format!("\n{site}"));
            let file = write("Caddyfile", &replace(&file, "127.0.0.1:4421", &upstream));
            let mut command = Command::new("caddy");
            command
                .args(["run", "--adapter", "caddyfile", "--config"])
                .arg(file)
                .env("HOME", directory)
                .env("XDG_DATA_HOME", directory)
                .env("XDG_CONFIG_HOME", directory);
            command
        }
        Kind::Haproxy => {
            let file = replace(
                &sample("haproxy.cfg"),
                "bind :8080",
                &format!("bind {address}"),
            );
            let file = write("haproxy.cfg", &replace(&file, "127.0.0.1:4421", &upstream));
            let mut command = Command::new("/usr/sbin/haproxy");
            command.arg("-db").arg("-f").arg(file);
            command
        }
        Kind::Envoy => {
            let own = "address: 0.0.0.0, port_value: 8080";
            let here = format!("address: 127.0.0.1, port_value: {port}");
            let file = replace(&sample("envoy.yaml"), own, &here);
            let (_, upstream_port) = upstream.rsplit_once(':').unwrap();
            let there = format!("port_value: {upstream_port}");
            let file = write("envoy.yaml", &replace(&file, "port_value: 4421", &there));
            let mut command = Command::new(envoy());
            command
                .args([
                    "--concurrency",
                    "1",
                    "--disable-hot-restart",
                    "--log-level",
                    "warn",
                    "-c",
                ])
                .arg(file);
            command
        }
    }
}

/// The program that `scripts/envoy` installs.
fn envoy() -> String {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("envoy");
    let made = Command::new(root().join("scripts/envoy"))
        .arg(place)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

fn answers(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(
            b"GET /health/alive HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}
