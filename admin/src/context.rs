//! What every action may use.

use std::sync::Arc;

use talos_api::audit::AuditLog;
use talos_api::fleet::Fleet;
use talos_api::page_token::PageTokenKeys;
use talos_engine::Engine;
use tokio::sync::Semaphore;

use crate::change_notifier::ChangeNotifier;
use crate::forward::Forwarder;
use crate::jwks::KeySet;
use crate::metrics::ControlMetrics;
use crate::reported_change::Deletions;
use crate::unsent_secrets::UnsentSecrets;

/// The parts of the server and the prepared answers that actions need. All requests share one.
pub(crate) struct Context {
    pub(crate) engine: Arc<Engine>,
    /// The node's membership in a cluster.
    pub(crate) fleet: Arc<dyn Fleet>,
    /// Sends requests on to the primary.
    pub(crate) forwarder: Forwarder,
    pub(crate) metrics: Arc<ControlMetrics>,
    /// See [`crate::AdminSettings::audit`].
    pub(crate) audit: Option<Arc<dyn AuditLog>>,
    /// What "there is no such key" rests on.
    pub(crate) deletions: Deletions,
    /// The secrets of new keys whose answers were not sent.
    pub(crate) unsent_secrets: Arc<UnsentSecrets>,
    /// See [`crate::AdminSettings::default_ttl_ms`].
    pub(crate) default_ttl_ms: Option<u64>,
    /// See [`crate::AdminSettings::page_tokens`].
    pub(crate) page_tokens: PageTokenKeys,
    /// Notifies streams of new changes.
    pub(crate) change_notifier: ChangeNotifier,
    /// One permit for each stream of changes that may be open.
    pub(crate) change_streams: Arc<Semaphore>,
    /// What the JWKS routes show.
    pub(crate) jwks: KeySet,
    /// The version of the server, for backups.
    pub(crate) release: &'static str,
    /// The body of `GET /version`.
    pub(crate) version: Vec<u8>,
    /// The body of `GET /openapi.json`.
    pub(crate) openapi: Vec<u8>,
}
