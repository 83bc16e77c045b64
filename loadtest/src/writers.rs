//! Writes during the verifications: issues, imports and revokes keys at a fixed rate, on separate
//! connections.
//!
//! Every second write is a revocation, so the number of keys stays about the same. Writes are due
//! at fixed times, whether earlier ones are answered or not. Latency counts from the due time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::admin_api::text_at;
use crate::answer::NO_CONTENT;
use crate::changing::{ChangingKey, Pool};
use crate::client::Client;
use crate::clock::nanoseconds;
use crate::derived::{self, Family};
use crate::endpoint::Endpoint;
use crate::measure::{Latencies, no_latencies};
use crate::random::Random;
use crate::report::{Percentiles, Writes};

/// Writes per second of one thread. A thread waits for each answer.
const PER_THREAD: f64 = 50.0;
const THREADS_MAX: f64 = 32.0;
/// Keys that are made before the first revocation.
const PREPARED: u64 = 32;
const COMPLAINTS_MAX: usize = 5;
/// The longest sleep of a thread. Then it checks whether it should stop.
const LOOK_AROUND: Duration = Duration::from_millis(20);

/// What is written, and where.
#[derive(Clone, Debug)]
pub struct WriteLoad {
    /// The server.
    pub endpoint: Endpoint,
    /// The value of the `Host` header.
    pub host: String,
    /// The admin token, if the server needs one.
    pub token: Option<String>,
    /// Writes per second, above 0.
    pub rate: f64,
    /// The keys that verifications use.
    pub pool: Arc<Pool>,
    /// What imported credentials are computed from.
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Issue,
    Import,
    Revoke,
}

#[derive(Debug)]
struct WriteCounts {
    issued: u64,
    imported: u64,
    revoked: u64,
    errors: u64,
    latencies: Latencies,
    complaints: Vec<String>,
}

#[derive(Debug)]
struct Shared {
    load: WriteLoad,
    start: Instant,
    /// The number of the first key. It differs in every run, so that runs with the same seed import
    /// different keys.
    first_number: u64,
    next: AtomicU64,
    stop: AtomicBool,
    counted: Mutex<WriteCounts>,
}

/// Threads that write until they are stopped.
#[derive(Debug)]
pub struct RunningWrites {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl WriteLoad {
    /// Makes the first keys, then starts threads that write at the rate.
    #[must_use]
    pub fn start(&self) -> RunningWrites {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut shared = Shared {
            load: self.clone(),
            start: Instant::now(),
            first_number: nanoseconds(since_1970.unwrap_or_default()),
            next: AtomicU64::new(PREPARED),
            stop: AtomicBool::new(false),
            counted: Mutex::new(WriteCounts {
                issued: 0,
                imported: 0,
                revoked: 0,
                errors: 0,
                latencies: no_latencies(),
                complaints: Vec::new(),
            }),
        };
        let mut client = shared.client();
        let mut random = Random::new(self.seed, 0);
        for number in 0..PREPARED {
            let kind = if number % 2 == 0 {
                Kind::Issue
            } else {
                Kind::Import
            };
            let written = shared.write(&mut client, kind, number, &mut random);
            if let Err(what) = written {
                shared.fail(&what);
                break;
            }
        }
        shared.start = Instant::now();
        let shared = Arc::new(shared);
        let threads = threads(self.rate);
        let threads = (1..=threads)
            .map(|stream| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.run(stream))
            })
            .collect();
        RunningWrites { shared, threads }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a small range"
)]
fn threads(rate: f64) -> u64 {
    (rate / PER_THREAD).ceil().clamp(1.0, THREADS_MAX) as u64
}

impl RunningWrites {
    /// Stops the threads. Returns what they did, and the first few failures in words.
    #[must_use]
    pub fn stop(self) -> (Writes, Vec<String>) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            if thread.join().is_err() {
                self.shared.fail("a writing thread panicked");
            }
        }
        let counted = self.shared.counted.lock();
        let mut counted = counted.unwrap_or_else(PoisonError::into_inner);
        let writes = Writes {
            offered_per_s: self.shared.load.rate,
            issued: counted.issued,
            imported: counted.imported,
            revoked: counted.revoked,
            errors: counted.errors,
            latency_us: Percentiles::from(&counted.latencies),
        };
        (writes, std::mem::take(&mut counted.complaints))
    }
}

impl Shared {
    fn client(&self) -> Client {
        Client::new(self.load.endpoint.clone(), self.load.host.clone())
            .with_token(self.load.token.as_deref())
    }

    fn fail(&self, what: &str) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.errors += 1;
        if counted.complaints.len() < COMPLAINTS_MAX {
            counted.complaints.push(format!("writing: {what}"));
        }
    }

    fn run(&self, stream: u64) {
        let mut client = self.client();
        let mut random = Random::new(self.load.seed, stream);
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let after = (number - PREPARED) as f64 / self.load.rate;
            let due = self.start + Duration::from_secs_f64(after);
            while Instant::now() < due {
                if self.stop.load(Ordering::SeqCst) {
                    return;
                }
                let left = due.saturating_duration_since(Instant::now());
                std::thread::sleep(left.min(LOOK_AROUND));
            }
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let kind = match number % 4 {
                0 => Kind::Issue,
                2 => Kind::Import,
                _ => Kind::Revoke,
            };
            match self.write(&mut client, kind, number, &mut random) {
                Ok(()) => {
                    let took = due.elapsed();
                    let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
                    counted.latencies.saturating_record(nanoseconds(took));
                    match kind {
                        Kind::Issue => counted.issued += 1,
                        Kind::Import => counted.imported += 1,
                        Kind::Revoke => counted.revoked += 1,
                    }
                }
                Err(what) => self.fail(&what),
            }
        }
    }

    fn write(
        &self,
        client: &mut Client,
        kind: Kind,
        number: u64,
        random: &mut Random,
    ) -> Result<(), String> {
        if kind == Kind::Revoke {
            return self.revoke(client, random);
        }
        let imported = kind == Kind::Import;
        let number = self.first_number.wrapping_add(number);
        let raw_key = derived::text(self.load.seed, Family::Changing, number);
        let (path, body) = if imported {
            (
                "/v2alpha1/admin/importedApiKeys",
                format!(r#"{{"raw_key":"{raw_key}","name":"load","actor_id":"load-changing"}}"#),
            )
        } else {
            let body = r#"{"name":"load","actor_id":"load-changing"}"#.to_owned();
            ("/v2alpha1/admin/issuedApiKeys", body)
        };
        let reply = client
            .post(path, body.as_bytes())
            .map_err(|error| error.to_string())?;
        let answer = reply.json();
        let key = if imported {
            text_at(&answer, "/key_id").map(|id| (raw_key, id))
        } else {
            text_at(&answer, "/secret").zip(text_at(&answer, "/issued_api_key/key_id"))
        };
        let (secret, id) =
            key.ok_or_else(|| format!("{path}: status {}: {}", reply.status, reply.text()))?;
        self.load.pool.show(ChangingKey::new(secret, id), random);
        Ok(())
    }

    fn revoke(&self, client: &mut Client, random: &mut Random) -> Result<(), String> {
        let Some(key) = self.load.pool.take_for_revocation(random) else {
            return Err("there is no key left to revoke".to_owned());
        };
        let path = format!("/v2alpha1/admin/apiKeys/{}:revoke", key.key_id);
        let reply = client
            .post(&path, b"{}")
            .map_err(|error| error.to_string())?;
        if reply.status == NO_CONTENT {
            key.acknowledge_revocation();
            Ok(())
        } else {
            Err(format!("{path}: status {}: {}", reply.status, reply.text()))
        }
    }
}
