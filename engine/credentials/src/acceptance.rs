//! What the keyrings of the tenants accept, in a form that nodes can show each other.

use std::sync::Arc;

use talos_model::{Acceptance, AcceptedSetting, TenantId};

use crate::keyring::Keyring;
use crate::tenant::Tenant;

/// The settings that are compared, and the accepted values of a keyring.
type Accepted = (&'static str, fn(&Keyring) -> Vec<String>);

const SETTINGS: [Accepted; 5] = [
    ("secrets.hmac", secrets),
    ("credentials.issuer", issuers),
    ("credentials.api_keys.prefix", prefixes),
    (
        "credentials.derived_tokens.macaroon.prefix",
        macaroon_prefixes,
    ),
    ("credentials.derived_tokens.jwt.signing_keys", |keyring| {
        keyring.tokens().signing_keys.names()
    }),
];

/// Everything that decides which credentials of these tenants are accepted. Holds no secret. With
/// several tenants, a value begins with the id of its tenant.
#[must_use]
pub fn acceptance(tenants: &[Arc<Tenant>]) -> Acceptance {
    let settings = SETTINGS.iter().map(|(name, accepted)| {
        let values = tenants.iter().flat_map(|tenant| {
            let values = accepted(&tenant.keyring).into_iter();
            values.map(|value| match tenant.id {
                TenantId::SINGLE => value,
                TenantId(id) => format!("{id}: {value}"),
            })
        });
        AcceptedSetting::new(name, values.collect())
    });
    Acceptance(settings.collect())
}

fn secrets(keyring: &Keyring) -> Vec<String> {
    let fingerprints = keyring.fingerprints().iter();
    fingerprints.map(ToString::to_string).collect()
}

fn issuers(keyring: &Keyring) -> Vec<String> {
    let retired = keyring.tokens().issuers_retired.iter();
    let retired = retired.map(|retired| retired.value.clone());
    std::iter::once(keyring.issuer().to_owned())
        .chain(retired)
        .collect()
}

fn prefixes(keyring: &Keyring) -> Vec<String> {
    let prefixes = &keyring.settings().prefixes;
    std::iter::once(&prefixes.current)
        .chain(&prefixes.retired)
        .chain(&prefixes.public_current)
        .chain(&prefixes.public_retired)
        .cloned()
        .collect()
}

fn macaroon_prefixes(keyring: &Keyring) -> Vec<String> {
    let prefixes = &keyring.tokens().macaroon_prefixes;
    std::iter::once(&prefixes.current)
        .chain(&prefixes.retired)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use talos_model::Secret;
    use uuid::Uuid;

    use super::*;
    use crate::settings::{KeyringSettings, Prefixes, TokenSettings};

    fn tenant(id: u128, current: &str, retired: &[&str]) -> Arc<Tenant> {
        let keyring = Keyring::new(KeyringSettings {
            hmac_current: Secret::new(current.to_owned()),
            hmac_retired: retired
                .iter()
                .map(|&secret| Secret::new(secret.to_owned()).into())
                .collect(),
            prefixes: Prefixes {
                current: "new".to_owned(),
                retired: vec!["old".to_owned()],
                public_current: None,
                public_retired: vec!["pub".to_owned()],
            },
            issuer: "i".to_owned(),
            max_ttl_s: 100,
            clock_skew_s: 10,
            tokens: TokenSettings::default(),
        });
        Arc::new(Tenant::new(TenantId(Uuid::from_u128(id)), keyring, 300))
    }

    #[test]
    fn what_is_accepted_holds_no_secret() {
        let single = TenantId::SINGLE.0.as_u128();
        let rotated = [tenant(single, "do-not-print", &["print-not-either"])];
        let shown = format!("{:?}", acceptance(&rotated));
        assert!(!shown.contains("print"), "{shown}");
        for value in ["new", "old", "pub", "mc", "i"] {
            assert!(shown.contains(&format!("{value:?}")), "{value}: {shown}");
        }
        let fingerprint = rotated[0].keyring.fingerprint().to_string();
        assert!(shown.contains(&fingerprint), "{shown}");
        let lacking = acceptance(&[tenant(single, "do-not-print", &[])]);
        let differences = lacking.differences(&acceptance(&rotated));
        assert_eq!(differences.len(), 1);
        assert!(differences[0].refuses_here());
    }

    #[test]
    fn tenants_are_told_apart() {
        let both =
            |one: &str, other: &str| acceptance(&[tenant(1, one, &[]), tenant(2, other, &[])]);
        assert_eq!(both("a", "b").differences(&both("a", "b")), []);
        let differences = both("a", "b").differences(&both("b", "a"));
        assert_eq!(differences.len(), 1);
        assert_eq!(differences[0].lacking_here.len(), 2);
        let id = Uuid::from_u128(1).to_string();
        assert!(differences[0].to_string().contains(&id));
    }
}
