//! The prefixes that distinguish macaroons from other credentials.

use crate::token::macaroon;

/// The prefixes of macaroons: 1–8 characters of `[A-Za-z0-9_]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MacaroonPrefixes {
    /// For new macaroons.
    pub current: String,
    /// Accepted, but not used for new macaroons.
    pub retired: Vec<String>,
}

impl Default for MacaroonPrefixes {
    fn default() -> Self {
        Self {
            current: "mc".to_owned(),
            retired: Vec::new(),
        }
    }
}

impl MacaroonPrefixes {
    /// The configured prefix that `credential` begins with. The longest one, because a prefix may
    /// begin with another.
    #[must_use]
    pub fn of(&self, credential: &[u8]) -> Option<&str> {
        let leads = |prefix: &&String| {
            credential
                .strip_prefix(prefix.as_bytes())
                .is_some_and(|rest| rest.starts_with(macaroon::VERSION.as_bytes()))
        };
        std::iter::once(&self.current)
            .chain(&self.retired)
            .filter(leads)
            .max_by_key(|prefix| prefix.len())
            .map(String::as_str)
    }

    /// Whether issued keys with the prefix `prefix` would be taken for macaroons.
    #[must_use]
    pub fn shadow(&self, prefix: &str) -> bool {
        let key = format!("{prefix}{}", macaroon::VERSION);
        self.of(key.as_bytes()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_macaroons() {
        let prefixes = MacaroonPrefixes {
            current: "mc".to_owned(),
            retired: vec!["old".to_owned(), "mc_v1_x".to_owned()],
        };
        for (credential, prefix) in [
            ("mc_v1_AgEB", Some("mc")),
            ("mc_v1_", Some("mc")),
            ("old_v1_AgEB", Some("old")),
            ("mc_v1_x_v1_AgEB", Some("mc_v1_x")),
            ("mc_v1_x_v2_AgEB", Some("mc")),
            ("mc_v2_AgEB", None),
            ("mcx_v1_AgEB", None),
            ("MC_v1_AgEB", None),
            ("xmc_v1_AgEB", None),
            ("", None),
        ] {
            assert_eq!(prefixes.of(credential.as_bytes()), prefix, "{credential}");
        }
        for (prefix, shadowed) in [
            ("mc", true),
            ("mc_v1_y", true),
            ("mcx", false),
            ("m", false),
        ] {
            assert_eq!(prefixes.shadow(prefix), shadowed, "{prefix}");
        }
    }
}
