//! `serve.admin.auth`: who may use the routes of administrators.

use std::fs;
use std::path::Path;

use talos_model::{Principal, Proof, Role, Secret, TenantId};

use crate::error::Warning;
use crate::mapping::{Fields, Mapping};
use crate::scalar;

/// The most characters of a bootstrap token, which is sent in a header.
pub const BOOTSTRAP_TOKEN_CHARACTERS_MAX: usize = 512;
/// The most entries of each list. Entries are compared one after the other.
const ENTRIES_MAX: usize = 1000;
/// The users of this host, one a line: `NAME:x:UID:…` (passwd(5)).
const USERS: &str = "/etc/passwd";
/// What the kernel reports for a user that has no id in this user namespace.
const UNKNOWN_UID: u32 = 65_534;
/// What system calls take for "no user".
const NO_UID: u32 = u32::MAX;

/// The fields of an entry of `certificates`.
pub(crate) const CERTIFICATE_FIELDS: Fields = Fields {
    names: &[
        "name",
        "role",
        "tenant",
        "common_name",
        "dns",
        "uri",
        "email",
    ],
    required: &["name", "role"],
    one_of: &["common_name", "dns", "uri", "email"],
    items_max: Some(ENTRIES_MAX),
};
/// The fields of an entry of `peers`.
pub(crate) const PEER_FIELDS: Fields = Fields {
    names: &["uid", "name", "role", "tenant"],
    required: &["uid", "role"],
    one_of: &[],
    items_max: Some(ENTRIES_MAX),
};

/// `serve.admin.auth`: who may use the routes of administrators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminAuth {
    /// Whether these routes need a principal at all.
    pub enabled: bool,
    /// Whether verifications need none all the same.
    pub open_verification: bool,
    /// A token with the role admin, to create the first admin token with.
    pub bootstrap_token: Option<Secret>,
    /// Which client certificates are principals. The first that matches decides.
    pub certificates: Vec<CertificateRule>,
    /// Which users of this host are principals on the Unix socket.
    pub peers: Vec<PeerRule>,
}

/// A client certificate that is a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRule {
    /// The name that the certificate must have.
    pub certificate: CertificateName,
    /// The principal that it proves.
    pub principal: Principal,
}

/// A name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// The common name of the subject.
    CommonName(String),
    /// A DNS name among the subject's alternative names, in lower case.
    Dns(String),
    /// A URI among the subject's alternative names.
    Uri(String),
    /// A mail address among the subject's alternative names.
    Email(String),
}

/// A user of this host that is a principal on the Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRule {
    /// The id of the user.
    pub uid: u32,
    /// The principal of the user's processes.
    pub principal: Principal,
}

impl AdminAuth {
    /// Whether the configuration alone lets anybody in.
    #[must_use]
    pub fn names_anybody(&self) -> bool {
        self.bootstrap_token.is_some() || !self.certificates.is_empty() || !self.peers.is_empty()
    }

    /// Sets the bootstrap token.
    pub(crate) fn set_bootstrap_token(&mut self, text: &str) -> Result<(), String> {
        let secret = scalar::secret(text)?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "has a character that cannot be sent in a header: only printable ASCII without spaces can"
                    .to_owned(),
            );
        }
        if text.len() > BOOTSTRAP_TOKEN_CHARACTERS_MAX {
            return Err("too long".to_owned());
        }
        self.bootstrap_token = Some(secret);
        Ok(())
    }

    /// Adds an entry of `certificates`.
    pub(crate) fn add_certificate(&mut self, entry: &Mapping) -> Result<(), String> {
        entry.refuse_unknown(CERTIFICATE_FIELDS.names)?;
        let text = |name: &str| {
            let value = entry.get(name).map(scalar::text).transpose();
            value.map_err(|error| format!("{name}: {error}"))
        };
        let names: Vec<CertificateName> = [
            text("common_name")?.map(CertificateName::CommonName),
            text("dns")?.map(|name| CertificateName::Dns(name.to_ascii_lowercase())),
            text("uri")?.map(CertificateName::Uri),
            text("email")?.map(CertificateName::Email),
        ]
        .into_iter()
        .flatten()
        .collect();
        let [certificate] = <[CertificateName; 1]>::try_from(names)
            .map_err(|_| "needs exactly one of common_name, dns, uri and email".to_owned())?;
        if let CertificateName::Dns(name) = &certificate
            && name.contains('*')
        {
            return Err("dns: names are compared as a whole, so * matches nothing".to_owned());
        }
        if self
            .certificates
            .iter()
            .any(|rule| rule.certificate == certificate)
        {
            return Err("another entry has the same name of a certificate".to_owned());
        }
        let name =
            scalar::text(entry.required("name")?).map_err(|error| format!("name: {error}"))?;
        if self.certificates.len() >= ENTRIES_MAX {
            return Err(format!("more than {ENTRIES_MAX} entries"));
        }
        self.certificates.push(CertificateRule {
            certificate,
            principal: principal(entry, name, Proof::Certificate)?,
        });
        Ok(())
    }

    /// Adds an entry of `peers`.
    pub(crate) fn add_peer(&mut self, entry: &Mapping) -> Result<(), String> {
        entry.refuse_unknown(PEER_FIELDS.names)?;
        let user = entry.required("uid")?;
        let number = !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_digit());
        let uid = if number {
            user.parse()
                .map_err(|_| "uid: not an id of a user".to_owned())?
        } else {
            let users = fs::read_to_string(USERS)
                .map_err(|error| format!("uid: cannot read {USERS}: {error}; give the number"))?;
            uid_in(&users, user).ok_or_else(|| {
                format!(
                    "uid: no user {user:?} in {USERS}; for users from elsewhere give the number"
                )
            })?
        };
        if matches!(uid, UNKNOWN_UID | NO_UID) {
            return Err(format!(
                "uid: {uid} stands for every user whom the kernel cannot name here, so it proves nobody; use another user"
            ));
        }
        if self.peers.iter().any(|rule| rule.uid == uid) {
            return Err("uid: another entry has the same user".to_owned());
        }
        let name = match entry.get("name") {
            Some(name) => scalar::text(name).map_err(|error| format!("name: {error}"))?,
            None if number => format!("uid-{uid}"),
            None => user.to_owned(),
        };
        if self.peers.len() >= ENTRIES_MAX {
            return Err(format!("more than {ENTRIES_MAX} entries"));
        }
        self.peers.push(PeerRule {
            uid,
            principal: principal(entry, name, Proof::PeerCredentials)?,
        });
        Ok(())
    }

    /// Settings that are allowed, but that probably do not do what the operator wants. `socket` is
    /// the Unix socket of the server, and `client_ca` holds the authorities of its clients.
    pub(crate) fn warnings(&self, socket: Option<&Path>, client_ca: Option<&Path>) -> Vec<Warning> {
        let off = Some("while serve.admin.auth.enabled is false").filter(|_| !self.enabled);
        let missing = |there: Option<&Path>, message| off.or(there.is_none().then_some(message));
        let idle = [
            (
                "serve.admin.auth.open_verification",
                self.open_verification,
                off,
            ),
            (
                "serve.admin.auth.bootstrap_token",
                self.bootstrap_token.is_some(),
                off,
            ),
            (
                "serve.admin.auth.certificates",
                !self.certificates.is_empty(),
                missing(
                    client_ca,
                    "without serve.http.tls.client_ca or serve.public.tls.client_ca",
                ),
            ),
            (
                "serve.admin.auth.peers",
                !self.peers.is_empty(),
                missing(socket, "without serve.http.socket"),
            ),
        ];
        let warning = |(key, is_set, why): (&'static str, bool, Option<&str>)| {
            let message = format!("has no effect {}", why.filter(|_| is_set)?);
            Some(Warning { key, message })
        };
        idle.into_iter().filter_map(warning).collect()
    }
}

/// The principal of an entry.
fn principal(entry: &Mapping, name: String, proof: Proof) -> Result<Principal, String> {
    let role: Role = entry
        .required("role")?
        .parse()
        .map_err(|error| format!("role: {error}"))?;
    let tenant = |text: &str| match text.parse() {
        Ok(id) => Ok(TenantId(id)),
        Err(_) => Err("tenant: not a UUID".to_owned()),
    };
    Ok(Principal {
        name,
        proof,
        role,
        tenant: entry.get("tenant").map(tenant).transpose()?,
    })
}

/// The id of `user` in a file of users.
fn uid_in(users: &str, user: &str) -> Option<u32> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then_some(())?;
        fields.nth(1)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(entry: &str) -> Result<CertificateRule, String> {
        let mut auth = AdminAuth::default();
        auth.add_certificate(&Mapping::item(entry).expect("a mapping"))?;
        Ok(auth.certificates.remove(0))
    }

    fn peer(entry: &str) -> Result<PeerRule, String> {
        let mut auth = AdminAuth::default();
        auth.add_peer(&Mapping::item(entry).expect("a mapping"))?;
        Ok(auth.peers.remove(0))
    }

    #[test]
    fn certificates_have_one_name() {
        for (field, name) in [
            (
                "common_name: CI",
                CertificateName::CommonName("CI".to_owned()),
            ),
            (
                "dns: CI.example",
                CertificateName::Dns("ci.example".to_owned()),
            ),
            (
                "uri: 'spiffe://a/B'",
                CertificateName::Uri("spiffe://a/B".to_owned()),
            ),
            (
                "email: A@b.example",
                CertificateName::Email("A@b.example".to_owned()),
            ),
        ] {
            let rule = certificate(&format!("{{name: ci, role: write, {field}}}")).expect("a rule");
            assert_eq!(rule.certificate, name);
            assert_eq!(rule.principal.name, "ci");
            assert_eq!(rule.principal.role, Role::Write);
            assert_eq!(rule.principal.proof, Proof::Certificate);
            assert_eq!(rule.principal.tenant, None);
        }
        for (entry, problem) in [
            ("{name: a, role: read}", "needs exactly one"),
            ("{name: a, role: read, dns: a, uri: b}", "needs exactly one"),
            ("{role: read, dns: a}", "name is missing"),
            ("{name: a, dns: a}", "role is missing"),
            (
                "{name: a, role: root, dns: a}",
                "role: must be one of verify, read",
            ),
            (
                "{name: a, role: read, dns: '*.a'}",
                "dns: names are compared as a whole",
            ),
            ("{name: a, role: read, dns: ''}", "dns: empty"),
            ("{name: a, role: read, cn: a}", "\"cn\" is no field"),
            (
                "{name: a, role: read, dns: a, tenant: x}",
                "tenant: not a UUID",
            ),
        ] {
            let error = certificate(entry).expect_err(entry);
            assert!(error.starts_with(problem), "{entry}: {error}");
        }
    }

    #[test]
    fn peers_are_users_by_number_or_name() {
        let tenant = "00000000-0000-0000-0000-000000000007";
        let rule = peer(&format!("{{uid: 1000, role: operate, tenant: {tenant}}}")).expect("one");
        assert_eq!(rule.uid, 1000);
        assert_eq!(rule.principal.name, "uid-1000");
        assert_eq!(rule.principal.proof, Proof::PeerCredentials);
        assert_eq!(
            rule.principal.tenant.map(|id| id.0.to_string()).as_deref(),
            Some(tenant)
        );
        let rule = peer("{uid: root, role: admin}").expect("every host has one");
        assert_eq!((rule.uid, rule.principal.name.as_str()), (0, "root"));
        assert_eq!(
            peer("{uid: 0, name: us, role: read}")
                .expect("one")
                .principal
                .name,
            "us"
        );
        for (entry, problem) in [
            ("{role: read}", "uid is missing"),
            ("{uid: 4294967296, role: read}", "uid: not an id"),
            (
                "{uid: 4294967295, role: read}",
                "uid: 4294967295 stands for every user",
            ),
            (
                "{uid: 65534, role: read}",
                "uid: 65534 stands for every user",
            ),
            ("{uid: no-such-user, role: read}", "uid: no user"),
            ("{uid: -1, role: read}", "uid: no user"),
            ("{uid: 1, role: Admin}", "role: must be one of"),
            ("{uid: 1, role: read, dns: a}", "\"dns\" is no field"),
        ] {
            let error = peer(entry).expect_err(entry);
            assert!(error.starts_with(problem), "{entry}: {error}");
        }
    }

    #[test]
    fn no_two_entries_are_for_the_same_client() {
        let mut auth = AdminAuth::default();
        let add = |auth: &mut AdminAuth, entry: &str| {
            auth.add_certificate(&Mapping::item(entry).expect("a mapping"))
        };
        assert_eq!(add(&mut auth, "{name: a, role: read, dns: x}"), Ok(()));
        assert_eq!(add(&mut auth, "{name: a, role: read, uri: x}"), Ok(()));
        assert!(add(&mut auth, "{name: b, role: admin, dns: X}").is_err());
        let peer = Mapping::item("{uid: 5, role: read}").expect("a mapping");
        assert_eq!(auth.add_peer(&peer), Ok(()));
        assert!(auth.add_peer(&peer).is_err());
    }

    #[test]
    fn users_are_found_by_their_whole_name() {
        let users = "rooty:x:7:7::/:/bin/sh\nroot:x:0:0:root:/root:/bin/sh\nbad:x\n";
        assert_eq!(uid_in(users, "root"), Some(0));
        assert_eq!(uid_in(users, "rooty"), Some(7));
        for user in ["roo", "bad", "", "x"] {
            assert_eq!(uid_in(users, user), None, "{user}");
        }
    }

    #[test]
    fn a_bootstrap_token_can_be_sent_in_a_header() {
        let set = |text: &str| AdminAuth::default().set_bootstrap_token(text);
        assert_eq!(set("0123456789abcdef0123456789abcdef"), Ok(()));
        for text in [
            "short",
            &"x".repeat(64),
            "0123456789abcdef 0123456789abcdef",
            "0123456789äbcdef0123456789äbcdef",
            &"0123".repeat(200),
        ] {
            assert!(set(text).is_err(), "{text}");
        }
    }
}
