//! The keys of a listener's TLS, for each listener that has it.

use crate::key::Key;

/// The four keys below `$section`, as an array. `$tls` is the path of the
/// [`ListenerTls`](crate::ListenerTls) in the settings.
macro_rules! listener_tls {
    ($section:literal, $($tls:ident).+) => {
        [
            $crate::key::public(
                concat!($section, ".cert"),
                $crate::key::Fallback::Unset("no TLS"),
                $crate::kind::Kind::Text {
                    set: |s, path| s.$($tls).+.cert = Some(std::path::PathBuf::from(path)),
                },
            ),
            $crate::key::public(
                concat!($section, ".key"),
                $crate::key::Fallback::Unset(concat!("see ", $section, ".cert")),
                $crate::kind::Kind::Text {
                    set: |s, path| s.$($tls).+.key = Some(std::path::PathBuf::from(path)),
                },
            ),
            $crate::key::public(
                concat!($section, ".client_ca"),
                $crate::key::Fallback::Unset("clients need no certificate"),
                $crate::kind::Kind::Text {
                    set: |s, path| s.$($tls).+.client_ca = Some(std::path::PathBuf::from(path)),
                },
            ),
            $crate::key::public(
                concat!($section, ".client_ca_optional"),
                $crate::key::Fallback::Value("false"),
                $crate::kind::Kind::Boolean {
                    set: |s, optional| s.$($tls).+.client_ca_optional = optional,
                },
            ),
        ]
    };
}

/// `serve.http.tls`.
pub(super) const HTTP_KEYS: &[Key] = &listener_tls!("serve.http.tls", serve.http.tls);
/// `serve.public.tls`.
pub(super) const PUBLIC_KEYS: &[Key] = &listener_tls!("serve.public.tls", serve.public.tls);
/// `serve.metrics.tls`.
pub(super) const METRICS_KEYS: &[Key] = &listener_tls!("serve.metrics.tls", serve.metrics_tls);
