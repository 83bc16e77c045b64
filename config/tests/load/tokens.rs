//! The settings of derived tokens.

use super::*;

#[test]
fn retired_issuers_may_have_an_end() {
    let yaml = "credentials:\n  issuer_retired:\n    - https://a.example\n    - {value: https://b.example, expires_at: 2027-01-31T00:00:00Z}\n    - value: https://c.example\n      expires_at:\n";
    let (settings, warnings) = load(yaml, &[]).expect("settings");
    assert_eq!(warnings, []);
    let issuers: Vec<_> = settings
        .credentials
        .issuers_retired
        .iter()
        .map(|issuer| (issuer.value.as_str(), issuer.expires_at.map(|at| at.0)))
        .collect();
    assert_eq!(
        issuers,
        [
            ("https://a.example", None),
            ("https://b.example", Some(1_801_353_600_000)),
            ("https://c.example", None)
        ]
    );
    let variable = ("TALOS_CREDENTIALS_ISSUER_RETIRED", "https://d.example,e");
    let (settings, _) = load(yaml, &[variable]).expect("settings");
    assert_eq!(settings.credentials.issuers_retired.len(), 2);
    for (items, says) in [
        (
            "[{value: a, expires_at: tomorrow}]",
            "expires_at is no instant",
        ),
        (
            "[{value: a, expires_at: 2027-01-31}]",
            "expires_at is no instant",
        ),
        ("[{expires_at: 2027-01-31T00:00:00Z}]", "every item must be"),
        (
            "[{value: a, until: 2027-01-31T00:00:00Z}]",
            "every item must be",
        ),
        ("[[a]]", "every item must be"),
        ("['']", "item 0"),
        ("https://a.example", "a list is needed"),
    ] {
        let yaml = format!("credentials: {{issuer_retired: {items}}}");
        let complaint = complaint(&yaml, &[]);
        assert!(
            complaint.contains("credentials.issuer_retired") && complaint.contains(says),
            "{items}: {complaint}"
        );
    }
}

#[test]
fn macaroons_and_issued_keys_can_be_told_apart() {
    let macaroon = |prefix: &str| {
        format!("credentials: {{derived_tokens: {{macaroon: {{prefix: {prefix}}}}}}}")
    };
    for prefix in ["{current: ory_ak}", "{retired: [x, ory_ak]}"] {
        let complaint = complaint(&macaroon(prefix), &[]);
        assert!(
            complaint.contains("credentials.derived_tokens.macaroon.prefix")
                && complaint.contains("\"ory_ak\""),
            "{complaint}"
        );
    }
    let shadowed = (
        "TALOS_CREDENTIALS_API_KEYS_PREFIX_PUBLIC_CURRENT",
        "mc_v1_x",
    );
    assert!(complaint("", &[shadowed]).contains("\"mc_v1_x\""));
    let (settings, _) = load(&macaroon("{current: ory, retired: [mc]}"), &[]).expect("settings");
    let tokens = &settings.credentials.derived_tokens;
    assert_eq!(tokens.macaroon_prefixes.current, "ory");
    assert!(complaint(&macaroon("{current: ninechars}"), &[]).contains("1 to 8 letters"));
}

#[test]
fn how_tokens_are_derived() {
    let (settings, _) = load("", &[]).expect("settings");
    let tokens = &settings.credentials.derived_tokens;
    assert_eq!(
        (tokens.check_parent, tokens.default_ttl),
        (true, Duration::from_secs(3600))
    );
    assert_eq!(
        (
            tokens.signing_key_id.as_deref(),
            tokens.macaroon_prefixes.current.as_str()
        ),
        (None, "mc")
    );
    let yaml = "credentials: {derived_tokens: {check_parent: false, default_ttl: 10m, jwt: {signing_key_id: ''}}}";
    let (settings, warnings) = load(yaml, &[]).expect("settings");
    let tokens = &settings.credentials.derived_tokens;
    assert_eq!(
        (tokens.check_parent, tokens.default_ttl),
        (false, Duration::from_secs(600))
    );
    assert_eq!((&tokens.signing_key_id, warnings.len()), (&None, 0));
    let (_, warnings) = load(
        "credentials: {derived_tokens: {jwt: {signing_key_id: k9}}}",
        &[],
    )
    .expect("settings");
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings
            .iter()
            .all(|warning| warning.message.contains("k9"))
    );
}
