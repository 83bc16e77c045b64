//! How often a client address may fail.
//!
//! Guarantees: a client that fails more often than its quota allows gets no credential proven until
//! time has passed; other clients notice nothing; a client whose verifications succeed costs one
//! look-up and no write; memory is bounded, and no thread waits for another.
//!
//! Failures are counted after the fact. So a client may exceed its quota once by what is under way
//! at that moment, a batch of credentials for example, and then waits so much longer.

mod table;

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;

use talos_config::{ClientIpSource, ThrottleRate};
use talos_model::Refusal;
use talos_model::cidr::Cidr;
use talos_places::client_network;

use crate::deadlines::CoarseMillis;
use crate::limits;
use table::Table;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Offence {
    /// A verification of a credential that is not valid.
    Failure,
    /// A request to revoke one's own key.
    SelfRevocation,
}

/// The addresses of the client that sends a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The client's address; `None` when it is unknown.
    pub client: Option<IpAddr>,
    /// The address of the connection's other end; `None` over a Unix socket.
    pub peer: Option<IpAddr>,
}

/// Whose offences are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Subject {
    /// A client, by its address or its IPv6 network of 64 bits.
    Client(IpAddr),
    /// All clients behind this peer whose addresses its headers do not tell. Clients can bring that
    /// about, so they must not escape by it.
    UnknownBehind(Option<IpAddr>),
}

/// A quota as the table counts it (GCRA; see `engine/src/limiter/`).
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// The time after which one more is allowed.
    interval_ms: u64,
    /// How far ahead the time may lie at which the whole quota is there again.
    limit_ms: u64,
}

impl Rate {
    fn new(rate: ThrottleRate) -> Option<Self> {
        let interval_ms = rate.interval_ms()?;
        Some(Self {
            interval_ms,
            limit_ms: interval_ms.saturating_mul(rate.quota?),
        })
    }

    /// How long a client must wait whose quota is whole again at `full_at_ms`; 0 = not at all.
    fn wait_ms(self, full_at_ms: u64, now: CoarseMillis) -> u64 {
        let ahead_ms = full_at_ms.saturating_sub(now.0);
        ahead_ms
            .saturating_add(self.interval_ms)
            .saturating_sub(self.limit_ms)
    }

    /// When the quota is whole again after `count` more.
    fn after(self, full_at_ms: u64, count: u64, now: CoarseMillis) -> u64 {
        let cost_ms = self.interval_ms.saturating_mul(count);
        full_at_ms.max(now.0).saturating_add(cost_ms)
    }
}

/// The counts of all clients, which all cores share.
pub(crate) struct Throttle {
    failures: Option<Rate>,
    self_revocations: Option<Rate>,
    exempt: Vec<Cidr>,
    /// Whether a header names the client. Then an unknown client may be anybody, also over a Unix
    /// socket.
    reads_header: bool,
    table: Table,
    /// Seeded at start, so nobody can choose addresses that share a bucket with another.
    hasher: RandomState,
}

impl Throttle {
    /// Nothing is counted yet. `None` when there is no quota.
    pub(crate) fn new(settings: talos_config::Throttle, source: ClientIpSource) -> Option<Self> {
        let failures = Rate::new(settings.failures);
        let self_revocations = Rate::new(settings.self_revocations);
        (failures.is_some() || self_revocations.is_some()).then(|| Self {
            failures,
            self_revocations,
            exempt: settings.exempt,
            reads_header: source != ClientIpSource::RemoteAddress,
            table: Table::new(limits::THROTTLE_BUCKETS),
            hasher: RandomState::new(),
        })
    }

    /// The seconds that the client must wait because of its offences; `None` = it need not.
    pub(crate) fn wait_s(
        &self,
        offence: Offence,
        origin: Origin,
        now: CoarseMillis,
    ) -> Option<u32> {
        let (rate, hash) = self.counted(offence, origin)?;
        let wait_ms = rate.wait_ms(self.table.get(hash), now);
        (wait_ms > 0 && !self.exempts(origin)).then(|| seconds(wait_ms))
    }

    /// Counts offences that have happened.
    pub(crate) fn count(&self, offence: Offence, origin: Origin, count: u64, now: CoarseMillis) {
        let Some((rate, hash)) = self.counted(offence, origin) else {
            return;
        };
        if count > 0 && !self.exempts(origin) {
            self.table
                .change(hash, |full_at| Some(rate.after(full_at, count, now)));
        }
    }

    /// Counts an offence that is about to happen, unless the client must wait. Returns the seconds
    /// that it must wait; `None` = it need not.
    pub(crate) fn take(&self, offence: Offence, origin: Origin, now: CoarseMillis) -> Option<u32> {
        let (rate, hash) = self.counted(offence, origin)?;
        if self.exempts(origin) {
            return None;
        }
        let mut wait_ms = 0;
        self.table.change(hash, |full_at| {
            wait_ms = rate.wait_ms(full_at, now);
            (wait_ms == 0).then(|| rate.after(full_at, 1, now))
        });
        (wait_ms > 0).then(|| seconds(wait_ms))
    }

    /// The quota for an offence and the hash of the one who commits it; `None` when it is not
    /// counted.
    fn counted(&self, offence: Offence, origin: Origin) -> Option<(Rate, u64)> {
        let rate = match offence {
            Offence::Failure => self.failures,
            Offence::SelfRevocation => self.self_revocations,
        }?;
        let subject = self.subject(origin)?;
        Some((rate, self.hasher.hash_one((offence, subject))))
    }

    /// `None` for a program on this machine that uses the Unix socket: it has no address, and no
    /// stranger can be it.
    fn subject(&self, origin: Origin) -> Option<Subject> {
        match (origin.client, origin.peer) {
            (Some(client), _) => Some(Subject::Client(client_network(client))),
            (None, None) if !self.reads_header => None,
            (None, peer) => Some(Subject::UnknownBehind(peer.map(client_network))),
        }
    }

    fn exempts(&self, origin: Origin) -> bool {
        let contains = |address| self.exempt.iter().any(|block| block.contains(address));
        origin.client.is_some_and(contains)
    }
}

/// Whether a verification that ends so is a failure of the client. It is not when the server could
/// not judge, or when the credential is valid and only used too often.
pub(crate) fn is_failure(refusal: Refusal) -> bool {
    match refusal {
        Refusal::InvalidFormat
        | Refusal::Expired
        | Refusal::Revoked
        | Refusal::NotFound
        | Refusal::SignatureInvalid
        | Refusal::IpNotAllowed
        | Refusal::AudienceMismatch => true,
        Refusal::Internal | Refusal::RateLimited | Refusal::AnswerTooLarge => false,
    }
}

fn seconds(ms: u64) -> u32 {
    u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
