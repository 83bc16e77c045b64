//! The authentication of administrators: the rules of the configuration, prepared for look-ups.

use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use talos_config::{AdminAuth, BOOTSTRAP_TOKEN_CHARACTERS_MAX};
use talos_credentials::admin_token;
use talos_engine::Engine;
use talos_model::clock::UnixMillis;
use talos_model::{Principal, Proof, Role, TokenDigest};
use talos_tls::ClientIdentity;

use crate::certificate_principal::CertificatePrincipals;
use crate::limits;

const _: () = assert!(BOOTSTRAP_TOKEN_CHARACTERS_MAX <= limits::TOKEN_BYTES);
const _: () = assert!(admin_token::BYTES_MAX <= limits::TOKEN_BYTES);

/// The name of the principal that the bootstrap token proves.
const BOOTSTRAP: &str = "bootstrap";

/// The rules by which requests prove who makes them. They never change while the server runs; the
/// admin tokens are in the engine.
pub(crate) struct Access {
    /// Whether verifications need no principal.
    pub open_verification: bool,
    bootstrap: Option<(TokenDigest, Arc<Principal>)>,
    certificates: CertificatePrincipals,
    /// The users of this host that are principals, each by its id.
    peers: Vec<(u32, Arc<Principal>)>,
}

impl Access {
    /// The rules of the configuration; `None` when no route needs a principal.
    pub(crate) fn new(auth: &AdminAuth) -> Option<Self> {
        if !auth.enabled {
            return None;
        }
        let bootstrap = auth.bootstrap_token.as_ref().map(|token| {
            let principal = Principal {
                name: BOOTSTRAP.to_owned(),
                proof: Proof::BootstrapToken,
                role: Role::Admin,
                tenant: None,
            };
            let digest = admin_token::digest(token.expose().as_bytes());
            (digest, Arc::new(principal))
        });
        let peers = auth.peers.iter();
        Some(Self {
            open_verification: auth.open_verification,
            bootstrap,
            certificates: CertificatePrincipals::new(&auth.certificates),
            peers: peers
                .map(|rule| (rule.uid, Arc::new(rule.principal.clone())))
                .collect(),
        })
    }

    /// The principal whose token is `text`: the holder of the bootstrap token, or of an admin token
    /// that has not expired.
    pub(crate) fn of_token(
        &self,
        engine: &Engine,
        text: &[u8],
        now: UnixMillis,
    ) -> Option<Arc<Principal>> {
        let digest = admin_token::digest(text);
        if let Some((known, principal)) = &self.bootstrap
            && bool::from(known.0.ct_eq(&digest.0))
        {
            return Some(Arc::clone(principal));
        }
        if !admin_token::is_well_formed(text) {
            return None;
        }
        engine.admin_tokens().find(&digest, now).map(Arc::clone)
    }

    /// The principal that a process of this user is.
    pub(crate) fn of_user(&self, uid: u32) -> Option<Arc<Principal>> {
        let mut peers = self.peers.iter();
        let (_, principal) = peers.find(|(known, _)| *known == uid)?;
        Some(Arc::clone(principal))
    }

    /// The principal that a client certificate with these names proves.
    pub(crate) fn of_certificate(&self, names: &ClientIdentity) -> Option<Arc<Principal>> {
        self.certificates.find(names)
    }
}
