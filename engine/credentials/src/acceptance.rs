//! What a keyring accepts, in a form that nodes can show each other.

use talos_model::{Acceptance, AcceptedSetting, SecretFingerprint};

use crate::settings::KeyringSettings;

/// Everything that decides which credentials are accepted with these settings. `fingerprints` are
/// those of the secrets, the current one first.
pub fn of(settings: &KeyringSettings, fingerprints: &[SecretFingerprint]) -> Acceptance {
    let prefixes = &settings.prefixes;
    let of_keys = std::iter::once(&prefixes.current)
        .chain(&prefixes.public_current)
        .chain(&prefixes.retired)
        .chain(&prefixes.public_retired);
    let tokens = &settings.tokens;
    let macaroons = &tokens.macaroon_prefixes;
    let of_macaroons = std::iter::once(&macaroons.current).chain(&macaroons.retired);
    let retired_issuers = tokens.issuers_retired.iter().map(|retired| &retired.value);
    let issuers = std::iter::once(&settings.issuer).chain(retired_issuers);
    Acceptance(vec![
        AcceptedSetting::new(
            "secrets.hmac",
            fingerprints.iter().map(ToString::to_string).collect(),
        ),
        AcceptedSetting::new("credentials.issuer", issuers.cloned().collect()),
        AcceptedSetting::new("credentials.api_keys.prefix", of_keys.cloned().collect()),
        AcceptedSetting::new(
            "credentials.derived_tokens.macaroon.prefix",
            of_macaroons.cloned().collect(),
        ),
        AcceptedSetting::new(
            "credentials.derived_tokens.jwt.signing_keys",
            tokens.signing_keys.names(),
        ),
    ])
}
