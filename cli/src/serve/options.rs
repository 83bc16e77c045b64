//! Hands the settings to the parts of the server.

use std::iter;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use talos_admin::{AdminSettings, ForwardSettings};
use talos_api::config::Configuration;
use talos_api::fleet::ForwardingKeys;
use talos_api::route::Surface;
use talos_config::{Http, PublicSurface, ReplicationRole, Settings};
use talos_engine::{LastUsedOptions, Options, Retention, TableMemory};
use talos_server::limits::{BodyLimits, HeadLimits};
use talos_server::{AdminHosts, Deadlines, ListenScope, ListenerOptions, ServerOptions, Tenancy};
use talos_tls::ServerTls;

use super::{tenants, tls};
use crate::error::CliError;

/// The options of the engine.
pub(super) fn of_engine(settings: &Settings) -> Options {
    Options {
        path: settings.db.directory.clone(),
        shards: settings.db.shards,
        block_cache_bytes: settings.db.block_cache_bytes,
        write_buffer_bytes: settings.db.write_buffer_bytes,
        table_memory: if settings.db.tables_in_block_cache {
            TableMemory::InBlockCache
        } else {
            TableMemory::Beside
        },
        cache_bytes: settings.cache.memory_bytes(),
        last_used: LastUsedOptions {
            queue_size: settings.last_used.queue_size,
            flush_size: settings.last_used.flush_size,
            flush_interval: settings.last_used.flush_interval,
        },
        retention: Retention::new(
            settings.replication.log.retention,
            settings.replication.log.bytes_max,
        ),
        snapshots: settings.replication.snapshots.concurrent,
        tenants: tenants::of(settings, &[]),
        render: talos_api::verify::render_valid,
        render_token: talos_api::verify::render_valid_token,
    }
}

/// The settings of the control plane.
pub(super) fn of_control_plane(
    settings: &Settings,
    forward: ForwardSettings,
    configuration: Arc<dyn Configuration>,
) -> AdminSettings {
    AdminSettings {
        version: env!("CARGO_PKG_VERSION"),
        configuration,
        forward,
        forwarding_keys: forwarding_keys(settings),
        audit: None,
        bodies_bytes: usize::MAX,
    }
}

/// The keys by which the nodes of a fleet vouch for clients; `None` for a standalone server.
fn forwarding_keys(settings: &Settings) -> Option<ForwardingKeys> {
    let replication = &settings.replication;
    let secret = replication.secret.as_ref()?;
    (replication.role != ReplicationRole::None)
        .then(|| ForwardingKeys::new(secret, &replication.secrets_retired))
}

/// The routes of the second listener.
pub(super) fn surface_of(surface: PublicSurface) -> Surface {
    match surface {
        PublicSurface::Data => Surface::Data,
        PublicSurface::Public => Surface::Public,
    }
}

/// Refuses a second listener beside a first one that has nothing for administrators: the second one
/// would serve all routes of the first.
pub(super) fn check_surfaces(first: Surface, settings: &Settings) -> Result<(), CliError> {
    let has_second = settings.serve.public.port.is_some();
    if has_second && matches!(first, Surface::Data | Surface::Public) {
        return Err(CliError::Usage(format!(
            "`talos serve {name}` has one listener, serve.http, and serve.public.port asks for a second one; leave serve.public.port unset, or start `talos serve` or `talos serve admin`",
            name = first.name()
        )));
    }
    Ok(())
}

/// The options of the data plane, whose first listener serves `surface`.
pub(super) fn of_server(
    settings: &Settings,
    surface: Surface,
    is_development: bool,
    tls: &tls::Listeners,
) -> ServerOptions {
    let (serve, http) = (&settings.serve, &settings.serve.http);
    let listener = |address: SocketAddr, surface, tls: &Option<Arc<ServerTls>>| {
        let mut listener = ListenerOptions::new(address);
        listener.surface = surface;
        listener.tls.clone_from(tls);
        listener.admin_hosts =
            AdminHosts::new(scope(address.ip(), is_development), &http.allowed_hosts)
                .with_issuer(&settings.credentials.issuer);
        listener
    };
    let mut options = ServerOptions::new(http.listener.address());
    let first = listener(http.listener.address(), surface, &tls.http);
    let second = serve
        .public
        .address()
        .map(|address| listener(address, surface_of(serve.public.surface), &tls.public));
    options.listeners = iter::once(first).chain(second).collect();
    options.workers = serve.workers;
    options.driver = serve.driver;
    limit(&mut options, http);
    options.trusted_proxies.clone_from(&http.trusted_proxies);
    options.socket.clone_from(&http.socket);
    options.cors.clone_from(&http.cors);
    options.throttle.clone_from(&http.throttle);
    options.log_health_requests = !http.exclude_health_endpoints;
    options.client_ip_source = http.client_ip_source;
    options.tenancy = Tenancy {
        by_host: settings.multitenancy.enabled,
        trust_forwarded_host: http.trust_forwarded_host,
    };
    options.admin_auth.clone_from(&serve.admin_auth);
    options.forwarding_keys = forwarding_keys(settings);
    options
}

/// From where a listener can be reached. A development server is for its own machine, wherever it
/// listens.
fn scope(host: IpAddr, is_development: bool) -> ListenScope {
    if is_development || host.to_canonical().is_loopback() {
        ListenScope::Loopback
    } else {
        ListenScope::Network
    }
}

fn limit(options: &mut ServerOptions, http: &Http) {
    let (timeouts, limits) = (http.timeouts, http.limits);
    options.deadlines = Deadlines {
        idle: timeouts.idle,
        head: timeouts.head,
        body: timeouts.body,
        body_pace: timeouts.body_progress,
        write: timeouts.write,
        linger: timeouts.linger,
    };
    options.heads = HeadLimits {
        bytes: limits.head,
        fields: limits.headers,
        target: limits.target,
    };
    options.bodies = BodyLimits {
        bytes: limits.body,
        batch: limits.batch_body,
        batch_answer: limits.batch_answer,
    };
    options.connections_per_worker = limits.connections;
    options.connections_per_address = limits.connections_per_address;
    options.health_connections = limits.health_connections;
    options.memory_bytes = limits.memory;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(public_port: Option<&str>) -> Settings {
        let required = [
            ("TALOS_CREDENTIALS_ISSUER", "https://keys.example"),
            (
                "TALOS_SECRETS_HMAC_CURRENT",
                "correct-horse-battery-staple-0123456789",
            ),
        ];
        let port = public_port.map(|port| ("TALOS_SERVE_PUBLIC_PORT", port));
        let variables = required.into_iter().chain(port);
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Settings::load(None, variables, &[]).expect("settings").0
    }

    #[test]
    fn the_second_listener_has_its_own_routes() {
        let surfaces = |settings: &Settings| -> Vec<Surface> {
            let options = of_server(settings, Surface::Admin, false, &tls::Listeners::default());
            options.listeners.iter().map(|one| one.surface).collect()
        };
        assert_eq!(surfaces(&settings(None)), [Surface::Admin]);
        assert_eq!(
            surfaces(&settings(Some("0"))),
            [Surface::Admin, Surface::Data]
        );
    }

    #[test]
    fn a_second_listener_needs_a_first_for_administrators() {
        for (surface, port, fits) in [
            (Surface::All, Some("0"), true),
            (Surface::Admin, Some("0"), true),
            (Surface::Data, Some("0"), false),
            (Surface::Public, Some("0"), false),
            (Surface::Data, None, true),
            (Surface::Public, None, true),
        ] {
            let checked = check_surfaces(surface, &settings(port));
            assert_eq!(checked.is_ok(), fits, "{surface:?} {port:?}");
            if let Err(error) = checked {
                assert!(error.to_string().contains("serve.public.port"), "{error}");
            }
        }
    }

    #[test]
    fn the_defaults_of_the_settings_are_those_of_the_server() {
        let defaults = ServerOptions::new(SocketAddr::from(([0, 0, 0, 0], 4420)));
        let options = of_server(
            &settings(None),
            Surface::All,
            false,
            &tls::Listeners::default(),
        );
        assert_eq!(options.deadlines, defaults.deadlines);
        assert_eq!(options.heads, defaults.heads);
        assert_eq!(options.bodies, defaults.bodies);
        assert_eq!(options.memory_bytes, defaults.memory_bytes);
        assert_eq!(
            options.connections_per_worker,
            defaults.connections_per_worker
        );
        assert_eq!(options.health_connections, defaults.health_connections);
        assert_eq!(
            options.connections_per_address,
            defaults.connections_per_address
        );
    }
}
