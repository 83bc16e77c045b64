//! The effect of changed secrets, signing keys and issuers on tokens.

use talos_credentials::{RetiredIssuer, RetiredSecret};

use super::*;

#[test]
fn a_changed_check_of_the_parent_holds_for_tokens_seen_before() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_with(scratch.path(), without_check_of_the_parent(), 1 << 20);
    let (parent, _) = issue(&engine, key("a"));
    let token = derive(&engine, &parent, TokenType::Jwt);
    revoke(&engine, parent.key_id).unwrap();
    assert_eq!(verify(&engine, &token, CacheMode::Use).0, good());
    set_keyring(&engine, Keyring::new(settings()));
    for _ in 0..2 {
        let (verdict, _) = verify(&engine, &token, CacheMode::Use);
        assert_eq!(verdict, refused(Refusal::Revoked));
    }
    set_keyring(&engine, Keyring::new(without_check_of_the_parent()));
    assert_eq!(verify(&engine, &token, CacheMode::Use).0, good());
}

#[test]
fn new_secrets_and_signing_keys_void_tokens_and_retired_secrets_do_not() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_with(scratch.path(), settings(), 1 << 20);
    let (parent, _) = issue(&engine, key("a"));
    let [jwt, macaroon] = TYPES.map(|token_type| derive(&engine, &parent, token_type));
    let both = |of_jwt: OwnedVerdict, of_macaroon: OwnedVerdict| {
        for _ in 0..2 {
            assert_eq!(verify(&engine, &jwt, CacheMode::Use).0, of_jwt);
            assert_eq!(verify(&engine, &macaroon, CacheMode::Use).0, of_macaroon);
        }
    };
    let invalid = refused(Refusal::SignatureInvalid);
    both(good(), good());
    let second = |retired: &[&str]| KeyringSettings {
        hmac_current: Secret::new("second".to_owned()),
        hmac_retired: retired
            .iter()
            .map(|&s| Secret::new(s.to_owned()).into())
            .collect(),
        ..settings()
    };
    set_keyring(&engine, Keyring::new(second(&[])));
    both(good(), invalid.clone());
    set_keyring(&engine, Keyring::new(second(&["zeroth", "first"])));
    both(good(), good());
    let mut without = settings();
    without.tokens.signing_keys = Arc::default();
    set_keyring(&engine, Keyring::new(without));
    both(invalid, good());
    let mut prefixes = settings();
    prefixes.tokens.macaroon_prefixes.current = "new".to_owned();
    set_keyring(&engine, Keyring::new(prefixes.clone()));
    // Without the prefix the token looks like an imported key.
    both(good(), refused(Refusal::NotFound));
    assert!(derive(&engine, &parent, TokenType::Macaroon).starts_with("new_v1_"));
    prefixes.tokens.macaroon_prefixes.retired = vec!["mc".to_owned()];
    set_keyring(&engine, Keyring::new(prefixes));
    both(good(), good());
}

#[test]
fn a_retired_issuer_is_accepted_until_its_time() {
    let scratch = tempfile::tempdir().unwrap();
    for check_parent in [true, false] {
        let mut settings = settings();
        settings.tokens.check_parent = check_parent;
        let path = scratch.path().join(check_parent.to_string());
        let engine = open_with(&path, settings.clone(), 1 << 20);
        let (parent, _) = issue(&engine, key("a"));
        let tokens = TYPES.map(|token_type| derive(&engine, &parent, token_type));
        let now = clock::now();
        let verdict_of = |token: &str, after_ms: i64| {
            let request = Query {
                now: UnixMillis(now.0 + after_ms),
                ..query(token, CacheMode::Use)
            };
            verify_query(&engine, &request).0
        };
        settings.issuer = "elsewhere".to_owned();
        set_keyring(&engine, Keyring::new(settings.clone()));
        assert_eq!(verdict_of(&tokens[0], 1000), refused(Refusal::NotFound));
        let retired = |expires_at| RetiredIssuer {
            value: "issuer".to_owned(),
            expires_at,
        };
        settings.tokens.issuers_retired = vec![retired(Some(UnixMillis(now.0 + 5000)))];
        set_keyring(&engine, Keyring::new(settings.clone()));
        for token in &tokens {
            for _ in 0..2 {
                assert_eq!(verdict_of(token, 4999), good());
            }
            assert_eq!(verdict_of(token, 5000), refused(Refusal::NotFound));
        }
        settings.tokens.issuers_retired.push(retired(None));
        set_keyring(&engine, Keyring::new(settings));
        assert_eq!(verdict_of(&tokens[0], 6000), good());
    }
}

#[test]
fn what_a_retired_secret_signed_ends_with_it_though_it_was_seen_before() {
    let scratch = tempfile::tempdir().unwrap();
    let mut settings = settings();
    let engine = open_with(scratch.path(), settings.clone(), 1 << 20);
    let (parent, credential) = issue(&engine, key("a"));
    let credential = credential.unwrap();
    let [jwt, macaroon] = TYPES.map(|token_type| derive(&engine, &parent, token_type));
    let now = clock::now();
    let verdict_of = |text: &str, after_ms: i64| {
        let request = Query {
            now: UnixMillis(now.0 + after_ms),
            ..query(text, CacheMode::Use)
        };
        verify_query(&engine, &request).0
    };
    settings.hmac_retired = vec![RetiredSecret {
        secret: settings.hmac_current,
        expires_at: Some(UnixMillis(now.0 + 5000)),
    }];
    settings.hmac_current = Secret::new("second".to_owned());
    set_keyring(&engine, Keyring::new(settings));
    for _ in 0..2 {
        assert!(matches!(
            verdict_of(&credential, 4999),
            OwnedVerdict::Valid(_)
        ));
        assert_eq!(verdict_of(&macaroon, 4999), good());
    }
    assert_eq!(verdict_of(&credential, 5000), refused(Refusal::NotFound));
    let invalid = refused(Refusal::SignatureInvalid);
    assert_eq!(verdict_of(&macaroon, 5000), invalid);
    assert_eq!(verdict_of(&jwt, 5000), good(), "another key signed it");
}
