//! Warnings at the start about who may administer the server.

use talos_api::route::Surface;
use talos_config::{Settings, Warning};

const ENABLED: &str = "serve.admin.auth.enabled";

/// What an operator should know who starts a server that has `surface`. `tokens` is the number of
/// admin tokens in the database; `None` = it will come from another node.
pub(super) fn warnings(
    settings: &Settings,
    surface: Surface,
    tokens: Option<usize>,
) -> Vec<Warning> {
    let auth = &settings.serve.admin_auth;
    if !matches!(surface, Surface::All | Surface::Admin) {
        return Vec::new();
    }
    let listener = settings.serve.http.listener;
    let message = if !auth.enabled && !listener.host.to_canonical().is_loopback() {
        format!(
            "is false, and {} is not a loopback address: anyone who reaches it can issue, list and revoke keys without any credential; set it to true, or let only administrators reach the port",
            listener.address()
        )
    } else if auth.enabled && !auth.names_anybody() && tokens == Some(0) {
        "is true, but nobody can get in: the database has no admin token, and the configuration names no principal; set serve.admin.auth.bootstrap_token, or add entries to serve.admin.auth.certificates or serve.admin.auth.peers"
            .to_owned()
    } else {
        return Vec::new();
    };
    vec![Warning {
        key: ENABLED,
        message,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The warnings for a start with these variables.
    fn warned(variables: &[(&str, &str)], surface: Surface, tokens: Option<usize>) -> String {
        let required = [
            ("TALOS_CREDENTIALS_ISSUER", "https://keys.example"),
            (
                "TALOS_SECRETS_HMAC_CURRENT",
                "0123456789abcdef0123456789abcdef",
            ),
        ];
        let variables = required.iter().chain(variables);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let (settings, _) = Settings::load(None, variables.map(owned), &[]).unwrap();
        let warnings = warnings(&settings, surface, tokens);
        let lines: Vec<_> = warnings.iter().map(Warning::to_string).collect();
        lines.join("\n")
    }

    const HOST: &str = "TALOS_SERVE_HTTP_HOST";
    const ON: (&str, &str) = ("TALOS_SERVE_ADMIN_AUTH_ENABLED", "true");

    #[test]
    fn an_open_server_that_others_reach_says_so() {
        for surface in [Surface::All, Surface::Admin] {
            for host in ["0.0.0.0", "::", "192.0.2.1"] {
                let warning = warned(&[(HOST, host)], surface, Some(0));
                assert!(
                    warning.starts_with("serve.admin.auth.enabled: is false"),
                    "{warning}"
                );
            }
            for host in ["127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1"] {
                assert_eq!(warned(&[(HOST, host)], surface, Some(0)), "");
            }
            assert_eq!(warned(&[(HOST, "0.0.0.0"), ON], surface, Some(1)), "");
        }
        for surface in [Surface::Data, Surface::Public] {
            assert_eq!(warned(&[(HOST, "0.0.0.0")], surface, Some(0)), "");
        }
    }

    #[test]
    fn a_server_that_nobody_can_administer_says_so() {
        let alone = warned(&[ON], Surface::All, Some(0));
        assert!(alone.contains("nobody can get in") && alone.contains("bootstrap_token"));
        assert_eq!(warned(&[ON], Surface::All, Some(1)), "");
        assert_eq!(warned(&[ON], Surface::All, None), "");
        for (key, value) in [
            ("BOOTSTRAP_TOKEN", "0123456789abcdef0123456789abcdef"),
            ("PEERS", "[{uid: 7, role: admin}]"),
            ("CERTIFICATES", "[{name: a, role: admin, dns: a}]"),
        ] {
            let key = format!("TALOS_SERVE_ADMIN_AUTH_{key}");
            assert_eq!(warned(&[ON, (&key, value)], Surface::All, Some(0)), "");
        }
    }
}
