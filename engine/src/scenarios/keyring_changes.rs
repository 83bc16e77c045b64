//! Changing secrets, prefixes or the issuer takes effect on the next verification.

use super::*;

#[test]
fn a_new_secret_voids_proofs_at_once_and_a_new_issuer_is_named_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (_, credential) = issue_new(&engine, "a");
    for _ in 0..2 {
        assert_eq!(verify(&engine, &credential, CacheMode::Use).0, valid("a"));
    }
    engine.set_keyring(keyring("second"));
    assert_eq!(
        verify(&engine, &credential, CacheMode::Use).0,
        OwnedVerdict::Refused(Refusal::NotFound)
    );
    let (_, newer) = issue_new(&engine, "b");
    assert_eq!(verify(&engine, &newer, CacheMode::Use).0, valid("b"));

    let mut settings = KeyringSettings {
        hmac_current: Secret::new("second".to_owned()),
        hmac_retired: vec![Secret::new("first".to_owned()).into()],
        prefixes: Prefixes {
            current: "talos".to_owned(),
            retired: Vec::new(),
            public_current: None,
            public_retired: Vec::new(),
        },
        issuer: "elsewhere".to_owned(),
        max_ttl_s: 86_400,
        clock_skew_s: 0,
        tokens: TokenSettings::default(),
    };
    engine.set_keyring(Keyring::new(settings.clone()));
    for _ in 0..2 {
        for (name, credential) in [("a", &credential), ("b", &newer)] {
            assert_eq!(
                verify(&engine, credential, CacheMode::Use).0,
                OwnedVerdict::Valid(format!("{name}@elsewhere"))
            );
        }
    }
    settings.prefixes.current = "other".to_owned();
    engine.set_keyring(Keyring::new(settings));
    assert_eq!(
        verify(&engine, &newer, CacheMode::Use).0,
        OwnedVerdict::Refused(Refusal::NotFound)
    );
}
