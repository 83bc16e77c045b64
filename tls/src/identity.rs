//! What a certificate says: whose it is, and when it may be used.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::limits;

/// The certificate is no X.509 certificate, or has a malformed extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate is malformed")]
pub struct UnreadableCertificate;

/// The names in a client's certificate, which was issued by an authority that the listener trusts.
///
/// A name is text that an authority has vouched for. It may contain any characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The common name of the subject. `None` if there are several, because it would be unclear
    /// which one counts.
    pub common_name: Option<String>,
    /// The subject alternative names that are DNS names.
    pub dns_names: Vec<String>,
    /// The subject alternative names that are URIs, such as SPIFFE ids.
    pub uris: Vec<String>,
    /// The subject alternative names that are email addresses.
    pub emails: Vec<String>,
}

impl ClientIdentity {
    /// Reads the names from the first certificate of a client's chain. At most
    /// [`limits::IDENTITY_NAMES`] names of each kind are taken.
    ///
    /// # Errors
    /// [`UnreadableCertificate`]. The caller must treat the client as one without a certificate, or
    /// refuse it.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, UnreadableCertificate> {
        let certificate = parsed(certificate)?;
        let mut identity = Self::default();
        let mut common_names = certificate.subject().iter_common_name();
        if let (Some(name), None) = (common_names.next(), common_names.next()) {
            let name = name.as_str().map_err(|_| UnreadableCertificate)?;
            identity.common_name = Some(name.to_owned());
        }
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| UnreadableCertificate)?;
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            let (names, name) = match name {
                GeneralName::DNSName(name) => (&mut identity.dns_names, name),
                GeneralName::URI(name) => (&mut identity.uris, name),
                GeneralName::RFC822Name(name) => (&mut identity.emails, name),
                _ => continue,
            };
            if names.len() < limits::IDENTITY_NAMES {
                names.push((*name).to_owned());
            }
        }
        Ok(identity)
    }
}

/// When a certificate may be used, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    not_before: i64,
    not_after: i64,
}

/// Why a certificate may not be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    NotYetValid,
    Expired,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotYetValid => "is not valid yet",
            Self::Expired => "has expired",
        })
    }
}

impl Validity {
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Result<Self, UnreadableCertificate> {
        let certificate = parsed(certificate)?;
        let validity = certificate.validity();
        Ok(Self {
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        })
    }

    /// The last second in which the certificate may be used, since 1970.
    pub(crate) fn not_after(self) -> i64 {
        self.not_after
    }

    /// Why the certificate may not be used now.
    pub(crate) fn problem_now(self) -> Option<Invalid> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        });
        self.problem_at(now)
    }

    fn problem_at(self, now: i64) -> Option<Invalid> {
        if now < self.not_before {
            Some(Invalid::NotYetValid)
        } else if now > self.not_after {
            Some(Invalid::Expired)
        } else {
            None
        }
    }
}

fn parsed<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, UnreadableCertificate> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(UnreadableCertificate),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::string::Ia5String;
    use rcgen::{DnType, SanType};

    use super::*;
    use crate::test_authority::Authority;

    #[test]
    fn the_names_of_a_certificate_are_found_by_their_kind() {
        let authority = Authority::new();
        let certificate = authority.issue(|params| {
            params
                .distinguished_name
                .push(DnType::CommonName, "deploy bot");
            let text = |text: &str| Ia5String::try_from(text).unwrap();
            params.subject_alt_names = vec![
                SanType::DnsName(text("bot.example.com")),
                SanType::URI(text("spiffe://example.com/bot")),
                SanType::Rfc822Name(text("bot@example.com")),
                SanType::IpAddress("192.0.2.1".parse().unwrap()),
                SanType::DnsName(text("*.example.com")),
            ];
        });
        assert_eq!(
            ClientIdentity::of(&certificate.der.into()).unwrap(),
            ClientIdentity {
                common_name: Some("deploy bot".to_owned()),
                dns_names: vec!["bot.example.com".to_owned(), "*.example.com".to_owned()],
                uris: vec!["spiffe://example.com/bot".to_owned()],
                emails: vec!["bot@example.com".to_owned()],
            }
        );
        assert_eq!(
            ClientIdentity::of(&CertificateDer::from(b"0\x03abc".to_vec())),
            Err(UnreadableCertificate)
        );
    }

    #[test]
    fn names_are_bounded() {
        let authority = Authority::new();
        let certificate = authority.issue(|params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.subject_alt_names = (0..=limits::IDENTITY_NAMES)
                .map(|n| SanType::DnsName(format!("n{n}.example.com").try_into().unwrap()))
                .collect();
        });
        let identity = ClientIdentity::of(&certificate.der.into()).unwrap();
        assert_eq!(identity.dns_names.len(), limits::IDENTITY_NAMES);
        assert_eq!(identity.common_name, None);
    }

    #[test]
    fn validity_includes_both_ends() {
        let validity = Validity {
            not_before: 10,
            not_after: 20,
        };
        assert_eq!(validity.problem_at(9), Some(Invalid::NotYetValid));
        assert_eq!(validity.problem_at(10), None);
        assert_eq!(validity.problem_at(20), None);
        assert_eq!(validity.problem_at(21), Some(Invalid::Expired));
    }
}
