//! Messages to the service manager that started the process (`sd_notify`(3) of systemd): that it is
//! ready, that it stops, and that it still works.
//!
//! Without `NOTIFY_SOCKET` in the environment nothing is sent. A message that cannot be sent stops
//! nothing.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG_PERIOD: &str = "WATCHDOG_USEC";
const WATCHDOG_PROCESS: &str = "WATCHDOG_PID";
/// A part that shows no progress for so long is stuck, even if the watchdog is asked more often.
const STUCK_AFTER: Duration = Duration::from_secs(2);
/// The shortest pause between two messages of the watchdog.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// The service manager, if there is one.
#[derive(Clone)]
pub(crate) struct ServiceManager {
    channel: Option<Arc<(UnixDatagram, SocketAddr)>>,
    /// Within this time the service manager wants to hear that the process still works.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The service manager that the environment names.
    pub(crate) fn from_environment() -> Self {
        let channel = std::env::var_os(SOCKET)
            .filter(|name| !name.is_empty())
            .and_then(|name| {
                let opened = open(&name);
                opened
                    .inspect_err(|error| {
                        tracing::warn!(%error, socket = ?name, "the service manager cannot be told anything");
                    })
                    .ok()
            });
        let text = |name| std::env::var(name).ok();
        let is_ours =
            text(WATCHDOG_PROCESS).is_none_or(|process| process.parse() == Ok(std::process::id()));
        Self {
            channel: channel.map(Arc::new),
            watchdog: text(WATCHDOG_PERIOD)
                .filter(|_| is_ours)
                .and_then(|micros| micros.parse().ok())
                .filter(|micros| *micros > 0)
                .map(Duration::from_micros),
        }
    }

    /// The process serves.
    pub(crate) fn ready(&self) {
        self.send("READY=1");
    }

    /// The process has begun to stop.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// If the service manager wants to hear that the process still works, tells it so twice in the
    /// time that it allows, on a thread of its own, as long as every part works. `progress` returns
    /// one number for each part; a part works if its number changes.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn watch(&self, progress: impl Fn() -> Vec<u64> + Send + 'static) -> io::Result<()> {
        let (Some(_), Some(period)) = (&self.channel, self.watchdog) else {
            return Ok(());
        };
        let manager = self.clone();
        let pause = (period / 2).max(PAUSE_MIN);
        let mut heartbeats = Heartbeats::new(STUCK_AFTER.max(pause));
        let run = move || {
            loop {
                if heartbeats.are_regular(&progress(), Instant::now()) {
                    manager.send("WATCHDOG=1");
                } else {
                    tracing::error!(
                        "a core is stuck; the service manager is not told that it works"
                    );
                }
                thread::sleep(pause);
            }
        };
        thread::Builder::new()
            .name("talos-watchdog".to_owned())
            .spawn(run)
            .map(drop)
    }

    fn send(&self, message: &str) {
        let Some(channel) = &self.channel else { return };
        let (socket, address) = &**channel;
        if let Err(error) = socket.send_to_addr(message.as_bytes(), address) {
            tracing::warn!(%error, message, "the service manager was not reached");
        }
    }
}

/// Opens a socket to the service manager. A name that begins with `@` is in the abstract namespace.
fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        [b'/', ..] => SocketAddr::from_pathname(OsString::from(name))?,
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "NOTIFY_SOCKET is neither an absolute path nor an abstract name",
            ));
        }
    };
    let socket = UnixDatagram::unbound()?;
    // A service manager that does not read must not hold up the server.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// When each part last showed progress.
struct Heartbeats {
    stuck_after: Duration,
    parts: Vec<(u64, Instant)>,
}

impl Heartbeats {
    fn new(stuck_after: Duration) -> Self {
        Self {
            stuck_after,
            parts: Vec::new(),
        }
    }

    /// Whether every part has shown progress lately.
    fn are_regular(&mut self, progress: &[u64], now: Instant) -> bool {
        self.parts.resize(progress.len(), (u64::MAX, now));
        for ((last, at), count) in self.parts.iter_mut().zip(progress) {
            if last != count {
                (*last, *at) = (*count, now);
            }
        }
        let is_late = |at: Instant| now.duration_since(at) >= self.stuck_after;
        !self.parts.iter().any(|(_, at)| is_late(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stuck_part_is_enough() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut heartbeats = Heartbeats::new(Duration::from_secs(2));
        assert!(heartbeats.are_regular(&[1, 1], at(0)));
        assert!(heartbeats.are_regular(&[2, 1], at(1)));
        assert!(
            !heartbeats.are_regular(&[3, 1], at(2)),
            "the second is stuck"
        );
        assert!(heartbeats.are_regular(&[4, 2], at(3)), "it goes on");
        assert!(heartbeats.are_regular(&[4, 3], at(4)));
        assert!(
            !heartbeats.are_regular(&[4, 4], at(5)),
            "the first is stuck"
        );
    }

    #[test]
    fn sockets_are_paths_or_abstract() {
        for name in ["", "relative/path", "vsock:2:1234"] {
            assert!(open(OsStr::new(name)).is_err(), "{name}");
        }
        for name in ["/run/systemd/notify", "@talos-test"] {
            assert!(open(OsStr::new(name)).is_ok(), "{name}");
        }
        assert!(open(OsStr::new(&format!("/{}", "x".repeat(200)))).is_err());
    }
}
