//! Tenants: reading and replacing their settings.

use std::sync::Arc;

use talos_cells::pin;
use talos_credentials::{MacaroonPrefixes, Tenant};
use talos_model::TenantId;

use super::Engine;

impl Engine {
    /// Replaces all tenants. Each id must occur once. When this returns, every verification and
    /// every command that begins uses the new settings, and the credentials of a tenant that is not
    /// among `tenants` are refused. Its keys stay in the database.
    ///
    /// What was proven before stays proven as long as the keyring of the tenant is the same object.
    /// Uses of a key while its limits were not enforced do not count.
    pub fn set_tenants(&self, tenants: Vec<Arc<Tenant>>) {
        self.verifier.set_tenants(tenants);
    }

    /// The settings of all tenants.
    pub fn tenants(&self) -> Vec<Arc<Tenant>> {
        let tenants = self.verifier.tenants();
        let settings = tenants.iter().map(|tenant| Arc::clone(tenant.settings()));
        settings.collect()
    }

    /// The settings of a tenant; `None` if there is no such tenant.
    pub fn tenant(&self, id: TenantId) -> Option<Arc<Tenant>> {
        let tenants = self.verifier.tenants();
        tenants.get(id).map(|tenant| Arc::clone(tenant.settings()))
    }

    /// The tenant that has `host`, a name or an address in lower case, without a port and brackets.
    #[inline]
    pub fn tenant_of_host(&self, host: &str) -> Option<TenantId> {
        self.verifier.current(&pin()).tenants.of_host(host)
    }

    /// The current prefixes of a tenant's macaroons, by which [`talos_credentials::shape`]
    /// recognizes them. A tenant that does not exist has none.
    pub fn macaroon_prefixes(&self, id: TenantId) -> MacaroonPrefixes {
        let tenant = self.tenant(id);
        let prefixes = tenant.map(|tenant| tenant.keyring.tokens().macaroon_prefixes.clone());
        prefixes.unwrap_or_default()
    }
}
