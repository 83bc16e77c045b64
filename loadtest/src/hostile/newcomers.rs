//! Callers with a new connection each, while others take all places: a health check, then a
//! verification.

use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::answer;
use crate::clock::nanoseconds;
use crate::endpoint::{Endpoint, Stream};
use crate::error::LoadError;
use crate::measure::{Latencies, no_latencies};

/// The time between two of them.
const EVERY: Duration = Duration::from_millis(100);
/// Failures kept in words.
const COMPLAINTS_MAX: usize = 5;

/// What became of the newcomers.
#[derive(Debug)]
pub struct Arrived {
    /// How long each took from its connect to its last answer, in nanoseconds.
    pub latencies: Latencies,
    /// Those that had no right answers.
    pub failed: u64,
    /// The first few failures in words.
    pub complaints: Vec<String>,
}

/// A thread that plays newcomers until it is stopped.
#[derive(Debug)]
pub struct Newcomers {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Arrived>,
}

impl Newcomers {
    /// Starts them. One that waits for longer than `patience` has failed.
    #[must_use]
    pub fn start(server: Endpoint, host: &str, patience: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ordered, host) = (Arc::clone(&stop), host.to_owned());
        let thread = std::thread::spawn(move || play(&server, &host, patience, &ordered));
        Self { stop, thread }
    }

    /// Stops them. Returns what became of them.
    ///
    /// # Errors
    /// When the thread panicked.
    pub fn stop(self) -> Result<Arrived, LoadError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| LoadError::Panicked)
    }
}

impl Arrived {
    /// No newcomer yet.
    #[must_use]
    pub fn none() -> Self {
        Self {
            latencies: no_latencies(),
            failed: 0,
            complaints: Vec::new(),
        }
    }

    /// Adds those of another round.
    pub fn add(&mut self, other: &Self) {
        let same_bounds = self.latencies.add(&other.latencies);
        debug_assert!(same_bounds.is_ok(), "all histograms have the same bounds");
        self.failed += other.failed;
        let room = COMPLAINTS_MAX.saturating_sub(self.complaints.len());
        let more = other.complaints.iter().take(room).cloned();
        self.complaints.extend(more);
    }
}

fn play(server: &Endpoint, host: &str, patience: Duration, stop: &AtomicBool) -> Arrived {
    let mut arrived = Arrived::none();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        match visit(server, host, patience) {
            Ok(()) => arrived
                .latencies
                .saturating_record(nanoseconds(began.elapsed())),
            Err(error) => {
                arrived.failed += 1;
                if arrived.complaints.len() < COMPLAINTS_MAX {
                    let after = began.elapsed().as_secs_f64();
                    let words = format!("a new connection failed after {after:.1} s: {error}");
                    arrived.complaints.push(words);
                }
            }
        }
        std::thread::sleep(EVERY.saturating_sub(began.elapsed()));
    }
    arrived
}

/// Connects and has two requests answered.
fn visit(server: &Endpoint, host: &str, patience: Duration) -> io::Result<()> {
    let mut stream = server.connect(patience)?;
    let health = format!("GET /health/ready HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let body = r#"{"credential":"sk_nobody"}"#;
    let length = body.len();
    let verification = format!(
        "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    for request in [health, verification] {
        stream.write_all(request.as_bytes())?;
        stream.flush()?;
        let (status, text) = read_answer(&mut stream)?;
        if status != 200 || text.contains(r#""is_valid":true"#) {
            let what = format!("status {status}: {text}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
    }
    Ok(())
}

fn read_answer(stream: &mut Stream) -> io::Result<(u16, String)> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let (mut incoming, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut piece)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        incoming.extend_from_slice(piece.get(..length).unwrap_or_default());
        if let Some(answer) = answer::find(&incoming).map_err(invalid)? {
            let body = incoming.get(answer.body).unwrap_or_default();
            return Ok((answer.status, String::from_utf8_lossy(body).into_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    /// A server whose every answer is this.
    fn answering(answer: &'static [u8]) -> Endpoint {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut buffer) = (stream.unwrap(), [0; 4096]);
                while stream.read(&mut buffer).is_ok_and(|length| length > 0) {
                    let _ = stream.write_all(answer);
                }
            }
        });
        Endpoint::Tcp(address)
    }

    #[test]
    fn a_newcomer_wants_two_right_answers() {
        for (answer, right) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"[..], true),
            (b"HTTP/1.1 503 x\r\nContent-Length: 2\r\n\r\n{}", false),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"is_valid\":true}",
                false,
            ),
        ] {
            let newcomers =
                Newcomers::start(answering(answer), "localhost", Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(300));
            let arrived = newcomers.stop().unwrap();
            let (answered, failed) = (arrived.latencies.len(), arrived.failed);
            assert!(if right {
                answered > 0 && failed == 0
            } else {
                answered == 0 && failed > 0
            });
            assert_eq!(arrived.complaints.is_empty(), right);
        }
    }
}
