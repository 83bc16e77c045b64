//! TLS of the listeners of `talos serve`: from the settings to configurations that follow their
//! files.

use std::sync::Arc;

use talos_config::{ListenerTls, Serve};
use talos_metrics::Exposition;
use talos_tls::{
    Certified, ClientAuthority, ClientCertificate, Protocol, Reload, Reloader, ServerFiles,
    ServerTls,
};

use crate::error::CliError;

/// The configurations whose files are watched.
pub(super) type Watched = Vec<Arc<dyn Reload>>;

/// TLS of each listener; `None` = plain HTTP.
#[derive(Clone, Default)]
pub(super) struct Listeners {
    /// Of the API.
    pub(super) http: Option<Arc<ServerTls>>,
    /// Of the second listener of the API.
    pub(super) public: Option<Arc<ServerTls>>,
    /// Of metrics and health.
    pub(super) metrics: Option<Arc<ServerTls>>,
}

impl Listeners {
    /// Loads the files of all listeners, and adds them to `watched`.
    ///
    /// # Errors
    /// [`CliError::ListenerTls`] with the key whose files cannot be used.
    pub(super) fn load(serve: &Serve, watched: &mut Watched) -> Result<Self, CliError> {
        let mut of = |section, tls| load(section, tls, watched);
        Ok(Self {
            http: of("serve.http.tls", &serve.http.tls)?,
            public: of("serve.public.tls", &serve.public.tls)?,
            metrics: of("serve.metrics.tls", &serve.metrics_tls)?,
        })
    }

    /// Writes when the certificates in use expire.
    pub(super) fn expose(&self, page: &mut Exposition) {
        let listeners = [
            ("http", &self.http),
            ("public", &self.public),
            ("metrics", &self.metrics),
        ];
        let mut expiry = page.gauge(
            "talos_tls_certificate_expiry_seconds",
            "When the certificate that a listener uses expires, in seconds since 1970.",
        );
        for (listener, tls) in listeners {
            if let Some(tls) = tls
                && let Some(not_after) = tls.certificate_not_after()
            {
                let not_after = u64::try_from(not_after).unwrap_or_default();
                expiry.sample(&[("listener", listener)], not_after);
            }
        }
    }
}

/// Loads the files of one listener, and adds them to `watched`. `section` is the path of its keys.
///
/// # Errors
/// [`CliError::ListenerTls`].
pub(super) fn load(
    section: &'static str,
    tls: &ListenerTls,
    watched: &mut Watched,
) -> Result<Option<Arc<ServerTls>>, CliError> {
    let Some((certificates, key)) = tls.own() else {
        return Ok(None);
    };
    let files = ServerFiles {
        own: Certified {
            certificates: certificates.to_owned(),
            key: key.to_owned(),
        },
        client_authority: tls.client_ca.as_ref().map(|authority| ClientAuthority {
            certificates: authority.clone(),
            client_certificate: if tls.client_ca_optional {
                ClientCertificate::Optional
            } else {
                ClientCertificate::Required
            },
        }),
    };
    let tls = ServerTls::load(files, Protocol::Http)
        .map_err(|source| CliError::ListenerTls { section, source })?;
    let tls = Arc::new(tls);
    watched.push(Arc::<ServerTls>::clone(&tls));
    Ok(Some(tls))
}

/// Starts to watch the files, if there are any. They are watched until the result is dropped.
///
/// # Errors
/// [`CliError::ListenerTls`] when the thread cannot be started.
pub(super) fn watch(watched: Watched) -> Result<Option<Reloader>, CliError> {
    if watched.is_empty() {
        return Ok(None);
    }
    let reloader = Reloader::start(watched).map_err(|source| CliError::ListenerTls {
        section: "TLS",
        source,
    })?;
    Ok(Some(reloader))
}
