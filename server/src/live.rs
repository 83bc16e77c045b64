//! The options that may change while the server runs: one immutable snapshot, replaced as a whole.
//!
//! A core looks once in each tick whether there is another snapshot, so its requests read the
//! options without an atomic operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use talos_config::{ClientIpSource, TrustedProxies};

use crate::access::Access;
use crate::admin_hosts::AdminHosts;
use crate::cors::CrossOrigin;
use crate::limits::{BodyLimits, HeadLimits};
use crate::options::{Deadlines, ServerOptions};
use crate::throttle::Throttle;

/// The options that may change while the server runs. Each core has a copy of its own, so that no
/// two cores count references in one place.
#[derive(Clone)]
pub(crate) struct LiveOptions {
    /// How long connections may take.
    pub deadlines: Deadlines,
    /// How large the heads of requests may be.
    pub heads: HeadLimits,
    /// How large bodies may be.
    pub bodies: BodyLimits,
    /// The most connections of one worker.
    pub connections_per_worker: usize,
    /// The most connections of one worker from one address.
    pub connections_per_address: usize,
    /// Connections of one worker beyond these, which may only ask for health.
    pub health_connections: usize,
    /// Counts how often clients fail; `None` = any number is allowed.
    pub throttle: Option<Arc<Throttle>>,
    throttle_options: (talos_config::Throttle, ClientIpSource),
    /// The most memory for requests and answers of one worker, in bytes.
    pub memory_bytes: usize,
    /// Whether requests to the health routes are logged.
    pub log_health_requests: bool,
    /// Where the client's address comes from.
    pub client_ip_source: ClientIpSource,
    /// The proxies whose headers name the client's address. Empty = any peer is believed.
    pub trusted_proxies: TrustedProxies,
    /// The authentication of administrators; `None` = everybody may use their routes.
    pub access: Option<Arc<Access>>,
    /// The rules for pages of other origins; `None` = such pages may read nothing.
    pub cors: Option<Arc<CrossOrigin>>,
    /// The host names under which the routes of administrators are served, for each listener.
    pub admin_hosts: Vec<AdminHosts>,
}

impl LiveOptions {
    /// The live ones of `options`. What `before` has counted goes on if it is counted alike.
    fn new(options: &ServerOptions, before: Option<&Self>) -> Self {
        let throttle_options = (options.throttle.clone(), options.client_ip_source);
        let throttle = match before {
            Some(before) if before.throttle_options == throttle_options => before.throttle.clone(),
            _ => Throttle::new(options.throttle.clone(), options.client_ip_source).map(Arc::new),
        };
        let listeners = options.listeners.iter();
        Self {
            deadlines: options.deadlines,
            heads: options.heads,
            bodies: options.bodies,
            connections_per_worker: options.connections_per_worker,
            connections_per_address: options.connections_per_address.unwrap_or(usize::MAX),
            health_connections: options.health_connections,
            throttle,
            throttle_options,
            memory_bytes: options.memory_bytes,
            log_health_requests: options.log_health_requests,
            client_ip_source: options.client_ip_source,
            trusted_proxies: options.trusted_proxies.clone(),
            access: Access::new(&options.admin_auth).map(Arc::new),
            cors: CrossOrigin::new(&options.cors).map(Arc::new),
            admin_hosts: listeners.map(|one| one.admin_hosts.clone()).collect(),
        }
    }
}

/// The current snapshot.
pub(crate) struct Current {
    options: ArcSwap<LiveOptions>,
    /// Rises with each snapshot.
    version: AtomicU64,
}

impl Current {
    /// The first snapshot.
    pub(crate) fn new(options: &ServerOptions) -> Self {
        Self {
            options: ArcSwap::from_pointee(LiveOptions::new(options, None)),
            version: AtomicU64::new(1),
        }
    }

    /// The version of the snapshot. Another one means that there is another snapshot.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// A copy of the snapshot.
    pub(crate) fn get(&self) -> LiveOptions {
        LiveOptions::clone(&self.options.load())
    }

    /// Replaces the snapshot by the live ones of `options`. Only one thread does so at a time.
    pub(crate) fn replace(&self, options: &ServerOptions) {
        let before = self.options.load();
        let next = LiveOptions::new(options, Some(&before));
        self.options.store(Arc::new(next));
        self.version.fetch_add(1, Ordering::Release);
    }
}
