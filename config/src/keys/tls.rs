//! The keys of a listener's TLS, for each listener that has it.

use crate::key::Key;

/// The four keys below `$section`, as an array. `$tls` is the path of the
/// [`ListenerTls`](crate::ListenerTls) in the settings. Changed files are read while the server runs,
/// other paths at the next start.
macro_rules! listener_tls {
    ($section:literal, $($tls:ident).+ ) => {
        [
            $crate::key::public(
                concat!($section, ".cert"),
                $crate::key::Fallback::Unset("no TLS"),
                $crate::kind::Kind::Text {
                    set: |s, path| s.$($tls).+.cert = Some(std::path::PathBuf::from(path)),
                },
            )
            .restart()
            .about(
                "PEM file with the certificate, after it its intermediates. With an ECDSA key (P-256) \
                 a handshake costs a fraction of what it costs with an RSA key.",
            )
            .example("/etc/talos/tls.pem"),
            $crate::key::public(
                concat!($section, ".key"),
                $crate::key::Fallback::Unset(concat!("see ", $section, ".cert")),
                $crate::kind::Kind::Text {
                    set: |s, path| s.$($tls).+.key = Some(std::path::PathBuf::from(path)),
                },
            )
            .restart()
            .about(concat!("PEM file with the private key of ", $section, ".cert."))
            .example("/etc/talos/tls-key.pem"),
            $crate::key::public(
                concat!($section, ".client_ca"),
                $crate::key::Fallback::Unset("clients need no certificate"),
                $crate::kind::Kind::Text {
                    set: |s, path| s.$($tls).+.client_ca = Some(std::path::PathBuf::from(path)),
                },
            )
            .restart()
            .about(
                "PEM file with the certificate authorities that clients' certificates must come \
                 from.",
            )
            .example("/etc/talos/clients-ca.pem"),
            $crate::key::public(
                concat!($section, ".client_ca_optional"),
                $crate::key::Fallback::Value("false"),
                $crate::kind::Kind::Boolean {
                    set: |s, optional| s.$($tls).+.client_ca_optional = optional,
                },
            )
            .restart()
            .about("true = a client may have no certificate.")
            .example("true"),
        ]
    };
}

/// `serve.http.tls`.
pub(super) const HTTP_KEYS: &[Key] = &listener_tls!("serve.http.tls", serve.http.tls);
/// `serve.public.tls`.
pub(super) const PUBLIC_KEYS: &[Key] = &listener_tls!("serve.public.tls", serve.public.tls);
/// `serve.metrics.tls`.
pub(super) const METRICS_KEYS: &[Key] = &listener_tls!("serve.metrics.tls", serve.metrics_tls);
