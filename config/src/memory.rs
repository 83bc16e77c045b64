//! How the memory of the server is divided: how large each part may become, so that all of them
//! together stay below the memory limit of the process.
//!
//! A part that the operator sets keeps its size. The others get a share of the limit, and never
//! more than their defaults. `docs/memory.md` has the resulting sizes.

use crate::byte_size;
use crate::error::{ConfigError, Problem, Warning};
use crate::settings::Settings;
use crate::tenant_settings::TenantSettings;

const MIB: u64 = 1 << 20;
/// Below this limit not even the program and its smallest parts fit.
const LIMIT_MIN: u64 = 48 * MIB;
/// A limit into which everything fits, if nothing is set.
const LIMIT_ADVISED: u64 = 64 * MIB;
/// Program, threads, and what RocksDB needs for flushes and compactions.
const PROGRAM_BYTES: u64 = 32 * MIB;
/// Where there is less for each data-plane thread, there are fewer threads than cores.
const BYTES_PER_WORKER: u64 = 64 * MIB;
/// The least memory of a worker for requests and answers.
const REQUESTS_MIN: u64 = 6 * MIB;
/// Two first buffers of 4 KiB, and the state of the connection's task.
const CONNECTION_BYTES: u64 = 16 << 10;
const CONNECTIONS_MIN: u64 = 128;
const WRITE_BUFFER_MIN: u64 = 4 * MIB;
/// Below this limit, in bytes, memory that grows with the number of keys is bounded, too, and the
/// allocators have to give back what is freed.
pub const SCARCE_MEMORY: u64 = 1024 * MIB;
/// Counts of how often keys are used, where rate limits are enforced.
const RATE_LIMIT_BYTES: u64 = 32 * MIB;
/// The bodies that may wait for the control plane, without a limit.
const WAITING_BODIES_BYTES: u64 = 64 * MIB;

/// The keys that [`Settings::fit_into`] may change. A key that the operator has set stays.
pub(crate) const FITTED: [&str; 8] = [
    WORKERS,
    CONNECTIONS,
    REQUESTS,
    BATCH_BODY,
    BATCH_ANSWER,
    BLOCK_CACHE,
    WRITE_BUFFER,
    KEYS,
];
const WORKERS: &str = "serve.workers";
const CONNECTIONS: &str = "serve.http.limits.connections";
const REQUESTS: &str = "serve.http.limits.memory";
const BATCH_BODY: &str = "serve.http.limits.batch_body";
const BATCH_ANSWER: &str = "serve.http.limits.batch_answer";
const BLOCK_CACHE: &str = "db.block_cache_size";
const WRITE_BUFFER: &str = "db.write_buffer_size";
const KEYS: &str = "cache.memory.max_size";

/// A part of the server's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPart {
    /// Its name in metrics and in the log.
    pub name: &'static str,
    /// The most that it may take, in bytes.
    pub bytes: u64,
    /// The key that sets its size.
    pub key: Option<&'static str>,
    /// Whether that key is set.
    pub is_set: bool,
    /// Whether use fills it for certain, sooner or later.
    fills: bool,
}

/// The sizes of all parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The memory that the process may use, in bytes.
    pub limit: u64,
    /// Its parts, all of them.
    pub parts: Vec<MemoryPart>,
    /// The most that the bodies of requests that wait for the control plane may take, in bytes.
    pub waiting_bodies: u64,
}

impl MemoryPlan {
    /// All parts together, in bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// The shares of a limit. The numbers after each share are fractions of what the program leaves;
/// together they are 1.
struct Shares {
    left: u64,
    workers: u64,
}

impl Shares {
    /// 1/5.
    fn block_cache(&self) -> u64 {
        round(self.left / 5)
    }

    /// 1/5.
    fn keys(&self) -> u64 {
        round(self.left / 5)
    }

    /// 1/10.
    fn write_buffer(&self) -> u64 {
        round(self.left / 10).max(WRITE_BUFFER_MIN)
    }

    /// 1/4: of each worker 1/5, and a quarter of that for small requests.
    fn requests(&self) -> u64 {
        round(self.left / 5 / self.workers).max(REQUESTS_MIN)
    }

    /// 1/8.
    fn connections(&self) -> u64 {
        let most = self.left / 8 / self.workers / CONNECTION_BYTES;
        (most / 64 * 64).max(CONNECTIONS_MIN)
    }

    /// 1/8.
    fn waiting_bodies(&self) -> u64 {
        round(self.left / 8)
    }
}

/// Down to whole mebibytes, so that the sizes read well.
fn round(bytes: u64) -> u64 {
    (bytes / MIB).max(1) * MIB
}

impl Settings {
    /// Makes the parts of the server fit into `limit` bytes of memory, as far as their sizes are
    /// not set. Returns the sizes, and warnings about those that do not fit.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] when the limit is too small for any server, or when caches are set
    /// that are larger than it.
    pub fn fit_into(&mut self, limit: u64) -> Result<(MemoryPlan, Vec<Warning>), ConfigError> {
        if limit < LIMIT_MIN {
            return Err(ConfigError::Invalid(vec![Problem::of_key(
                "",
                format!(
                    "the memory limit of this process is {}, and a server needs {} at least, better {}; raise the limit",
                    shown(limit),
                    shown(LIMIT_MIN),
                    shown(LIMIT_ADVISED),
                ),
            )]));
        }
        let waiting_bodies = self.shrink(limit);
        self.db.tables_in_block_cache = limit < SCARCE_MEMORY;
        let plan = self.plan(limit, waiting_bodies);
        if let Some(problem) = too_large(&plan) {
            return Err(ConfigError::Invalid(vec![problem]));
        }
        let warnings = scarce(&plan).into_iter().collect();
        Ok((plan, warnings))
    }

    fn is_set(&self, key: &str) -> bool {
        self.set_sizes.contains(&key)
    }

    /// Shrinks bodies and answers that are not set to what [`REQUESTS`] allows, if that is set.
    pub(crate) fn fit_into_requests(&mut self) {
        let set = [BATCH_BODY, BATCH_ANSWER].map(|key| self.is_set(key));
        let limits = &mut self.serve.http.limits;
        for (bytes, is_set) in [&mut limits.batch_body, &mut limits.batch_answer]
            .into_iter()
            .zip(set)
        {
            if !is_set {
                shrink(bytes, limits.memory as u64 / 4);
            }
        }
    }

    /// Shrinks what is not set. Returns the memory for bodies that wait.
    fn shrink(&mut self, limit: u64) -> u64 {
        if !self.is_set(WORKERS) {
            shrink(&mut self.serve.workers, (limit / BYTES_PER_WORKER).max(1));
        }
        let shares = Shares {
            left: limit.saturating_sub(PROGRAM_BYTES + self.rate_limit_bytes()),
            workers: self.serve.workers as u64,
        };
        let waiting_bodies = self.shrink_requests(&shares);
        if !self.is_set(BLOCK_CACHE) {
            shrink(&mut self.db.block_cache_bytes, shares.block_cache());
        }
        if !self.is_set(WRITE_BUFFER) {
            shrink(&mut self.db.write_buffer_bytes, shares.write_buffer());
        }
        if !self.is_set(KEYS) {
            shrink(&mut self.cache.memory_bytes_max, shares.keys());
        }
        waiting_bodies
    }

    /// The memory in which it is counted how often keys are used.
    fn rate_limit_bytes(&self) -> u64 {
        let is_enforced = |tenant: &TenantSettings| tenant.rate_limits_enabled;
        if self.tenants.iter().any(is_enforced) {
            RATE_LIMIT_BYTES
        } else {
            0
        }
    }

    fn shrink_requests(&mut self, shares: &Shares) -> u64 {
        let [requests, batch_body, batch_answer, connections] =
            [REQUESTS, BATCH_BODY, BATCH_ANSWER, CONNECTIONS].map(|key| self.is_set(key));
        let limits = &mut self.serve.http.limits;
        if !requests {
            // A body or an answer that the operator allows has to fit.
            let batch_body = if batch_body { limits.batch_body } else { 0 };
            let batch_answer = if batch_answer { limits.batch_answer } else { 0 };
            let wanted = batch_body.max(batch_answer).saturating_mul(4);
            shrink(&mut limits.memory, shares.requests().max(wanted as u64));
        }
        let mut waiting_bodies = shares.waiting_bodies().min(WAITING_BODIES_BYTES);
        if batch_body {
            // It must fit into the share of bodies that is for changes.
            waiting_bodies = waiting_bodies.max(limits.batch_body as u64 * 3 / 2);
        } else {
            let most = (limits.memory as u64 / 2).min(waiting_bodies * 2 / 3);
            shrink(&mut limits.batch_body, round(most).max(limits.body as u64));
        }
        if !batch_answer {
            shrink(&mut limits.batch_answer, limits.memory as u64 / 4);
        }
        if !connections {
            let per_address = limits.connections_per_address.unwrap_or(0) as u64;
            shrink(
                &mut limits.connections,
                shares.connections().max(per_address),
            );
        }
        waiting_bodies
    }

    fn plan(&self, limit: u64, waiting_bodies: u64) -> MemoryPlan {
        let limits = &self.serve.http.limits;
        let workers = self.serve.workers as u64;
        let requests = workers.saturating_mul(limits.memory as u64);
        let part = |name, bytes, key: Option<&'static str>, fills| MemoryPart {
            name,
            bytes,
            key,
            is_set: key.is_some_and(|key| self.is_set(key)),
            fills,
        };
        let parts = vec![
            part("program", PROGRAM_BYTES, None, true),
            part(
                "block_cache",
                self.db.block_cache_bytes as u64,
                Some(BLOCK_CACHE),
                true,
            ),
            part(
                "write_buffer",
                self.db.write_buffer_bytes as u64,
                Some(WRITE_BUFFER),
                true,
            ),
            part("keys", self.cache.memory_bytes() as u64, Some(KEYS), true),
            part(
                "requests",
                requests.saturating_add(requests / 4),
                Some(REQUESTS),
                false,
            ),
            part(
                "connections",
                workers * limits.connections as u64 * CONNECTION_BYTES,
                Some(CONNECTIONS),
                false,
            ),
            part("waiting_requests", waiting_bodies, None, false),
            part("rate_limits", self.rate_limit_bytes(), None, false),
        ];
        MemoryPlan {
            limit,
            parts,
            waiting_bodies,
        }
    }
}

fn shrink(size: &mut usize, most: u64) {
    *size = (*size).min(usize::try_from(most).unwrap_or(usize::MAX));
}

/// Caches that are set and do not fit. They fill up, and then the system ends the process.
fn too_large(plan: &MemoryPlan) -> Option<Problem> {
    let certain = plan.parts.iter().filter(|part| part.fills);
    let needed: u64 = certain.clone().map(|part| part.bytes).sum();
    if needed <= plan.limit {
        return None;
    }
    let set = certain.filter(|part| part.is_set);
    let largest = set.max_by_key(|part| part.bytes)?;
    Some(Problem::of_key(
        largest.key.unwrap_or_default(),
        format!(
            "{} does not fit: with it the program and its caches take {}, and the memory limit of this process is {}; leave it unset, lower it, or raise the limit",
            shown(largest.bytes),
            shown(needed),
            shown(plan.limit),
        ),
    ))
}

/// Parts that together exceed the limit if all of them are in full use at once.
fn scarce(plan: &MemoryPlan) -> Option<Warning> {
    let total = plan.total();
    if total <= plan.limit {
        return None;
    }
    let set = plan.parts.iter().filter(|part| part.is_set);
    let largest = set.max_by_key(|part| part.bytes);
    let advice = match largest {
        Some(part) => format!(
            "it may be ended by the system; leave the key unset (it gives {} to {}), lower it, or raise the limit",
            shown(part.bytes),
            part.name
        ),
        None => "it may be ended by the system under load; raise the limit".to_owned(),
    };
    Some(Warning {
        key: largest.and_then(|part| part.key).unwrap_or("memory"),
        message: format!(
            "this server may take {} of memory, and its limit is {}: {advice}",
            shown(total),
            shown(plan.limit),
        ),
    })
}

/// In whole mebibytes.
fn shown(bytes: u64) -> String {
    byte_size::format(bytes.div_ceil(MIB) * MIB)
}
