//! What every action may use.

use std::sync::Arc;

use talos_api::audit::AuditLog;
use talos_api::config::Configuration;
use talos_api::control::ControlRequest;
use talos_api::error::ApiError;
use talos_api::fleet::Fleet;
use talos_credentials::Tenant;
use talos_engine::Engine;
use tokio::sync::Semaphore;

use crate::change_notifier::ChangeNotifier;
use crate::forward::Forwarder;
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
    /// Notifies streams of new changes.
    pub(crate) change_notifier: ChangeNotifier,
    /// One permit for each stream of changes that may be open.
    pub(crate) change_streams: Arc<Semaphore>,
    /// The version of the server.
    pub(crate) release: &'static str,
    /// See [`crate::AdminSettings::configuration`].
    pub(crate) configuration: Arc<dyn Configuration>,
    /// The body of `GET /openapi.json`.
    pub(crate) openapi: Vec<u8>,
}

impl Context {
    /// The tenant of a request.
    ///
    /// # Errors
    /// 404 when the tenant was removed while the request was on its way.
    pub(crate) fn tenant(&self, request: &ControlRequest) -> Result<Arc<Tenant>, ApiError> {
        let tenant = self.engine.tenant(request.tenant);
        tenant.ok_or_else(ApiError::network_not_found)
    }
}
