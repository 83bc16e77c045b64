//! Which principal a client certificate proves. Pure: the certificate is verified elsewhere.
//!
//! Guarantees: a name of one kind never stands for a name of another kind; names are compared as a
//! whole, without wildcards; the first rule that matches decides.

use std::sync::Arc;

use talos_config::{CertificateName, CertificateRule};
use talos_model::Principal;
use talos_tls::ClientIdentity;

/// The rules of the configuration, in their order.
pub(crate) struct CertificatePrincipals(Vec<(CertificateName, Arc<Principal>)>);

impl CertificatePrincipals {
    /// Prepares `rules`.
    pub(crate) fn new(rules: &[CertificateRule]) -> Self {
        let rules = rules.iter();
        let rule =
            |rule: &CertificateRule| (rule.certificate.clone(), Arc::new(rule.principal.clone()));
        Self(rules.map(rule).collect())
    }

    /// The principal of the first rule that matches.
    pub(crate) fn find(&self, names: &ClientIdentity) -> Option<Arc<Principal>> {
        let mut rules = self.0.iter();
        let (_, principal) = rules.find(|(name, _)| has(names, name))?;
        Some(Arc::clone(principal))
    }
}

/// Whether the certificate has this name. DNS names have no case (RFC 4343); the others are
/// compared as they are.
fn has(names: &ClientIdentity, name: &CertificateName) -> bool {
    match name {
        CertificateName::CommonName(name) => names.common_name.as_ref() == Some(name),
        CertificateName::Dns(name) => {
            let mut known = names.dns_names.iter();
            known.any(|dns| dns.eq_ignore_ascii_case(name))
        }
        CertificateName::Uri(name) => names.uris.contains(name),
        CertificateName::Email(name) => names.emails.contains(name),
    }
}

#[cfg(test)]
mod tests {
    use talos_model::{Proof, Role};

    use super::*;

    fn rules(rules: &[(&str, CertificateName)]) -> CertificatePrincipals {
        let rule = |(name, certificate): &(&str, CertificateName)| CertificateRule {
            certificate: certificate.clone(),
            principal: Principal {
                name: (*name).to_owned(),
                proof: Proof::Certificate,
                role: Role::Read,
                tenant: None,
            },
        };
        let rules: Vec<_> = rules.iter().map(rule).collect();
        CertificatePrincipals::new(&rules)
    }

    #[test]
    fn each_kind_of_name_is_compared_with_its_own() {
        let text = || "a.example".to_owned();
        let values = vec![text()];
        let certificates = [
            ClientIdentity {
                common_name: Some(text()),
                ..ClientIdentity::default()
            },
            ClientIdentity {
                dns_names: values.clone(),
                ..ClientIdentity::default()
            },
            ClientIdentity {
                uris: values.clone(),
                ..ClientIdentity::default()
            },
            ClientIdentity {
                emails: values.clone(),
                ..ClientIdentity::default()
            },
        ];
        let names = [
            CertificateName::CommonName(text()),
            CertificateName::Dns(text()),
            CertificateName::Uri(text()),
            CertificateName::Email(text()),
        ];
        for (rule, name) in names.into_iter().enumerate() {
            let rules = rules(&[("x", name)]);
            for (at, certificate) in certificates.iter().enumerate() {
                assert_eq!(rules.find(certificate).is_some(), at == rule, "{at} {rule}");
            }
            assert!(rules.find(&ClientIdentity::default()).is_none());
        }
    }

    #[test]
    fn names_are_whole_and_only_dns_names_have_no_case() {
        let rules = rules(&[
            ("dns", CertificateName::Dns("a.example".to_owned())),
            ("uri", CertificateName::Uri("spiffe://a/B".to_owned())),
            ("cn", CertificateName::CommonName("CI".to_owned())),
        ]);
        let found = |common_name: Option<&str>, dns: &str, uri: &str| {
            let principal = rules.find(&ClientIdentity {
                common_name: common_name.map(ToOwned::to_owned),
                dns_names: vec![dns.to_owned()],
                uris: vec![uri.to_owned()],
                emails: Vec::new(),
            });
            principal
                .map(|principal| principal.name.clone())
                .unwrap_or_default()
        };
        assert_eq!(found(None, "A.Example", ""), "dns");
        assert_eq!(found(None, "b.a.example", "spiffe://a/B"), "uri");
        assert_eq!(found(Some("CI"), "a.example.", "spiffe://a/b"), "cn");
        for (common_name, dns, uri) in [
            (None, "*.example", "spiffe://a/b"),
            (Some("ci"), "example", "spiffe://a/B/c"),
            (Some("CI "), "", ""),
        ] {
            assert_eq!(found(common_name, dns, uri), "", "{dns} {uri}");
        }
    }

    #[test]
    fn the_first_rule_decides() {
        let rules = rules(&[
            ("first", CertificateName::CommonName("ci".to_owned())),
            ("second", CertificateName::Dns("ci.example".to_owned())),
        ]);
        let mut names = ClientIdentity {
            common_name: Some("ci".to_owned()),
            dns_names: vec!["ci.example".to_owned()],
            ..ClientIdentity::default()
        };
        assert_eq!(
            rules
                .find(&names)
                .map(|found| found.name.clone())
                .as_deref(),
            Some("first")
        );
        names.common_name = None;
        assert_eq!(
            rules
                .find(&names)
                .map(|found| found.name.clone())
                .as_deref(),
            Some("second")
        );
    }
}
