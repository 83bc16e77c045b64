//! Imported keys with the form of derived tokens, and texts of that form that are nothing.

use super::*;

/// A key as Supabase makes them: a JWT that another system has signed.
const FOREIGN_JWT: &str =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJzdXBhYmFzZSIsInJvbGUiOiJhbm9uIn0.c2lnbmF0dXJl";
/// A key that looks like a macaroon if `fw` is a prefix of macaroons.
const FOREIGN_MACAROON: &str = "fw_v1_AgEBeA";
/// The second key of RFC 8032 section 7.1, with the name of [`JWK`].
const OTHER_JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"k1","d":"TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs","x":"PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"}"#;

fn import(engine: &Engine, raw_key: &str) -> KeyId {
    let key_id = imported_key_id(TenantId::SINGLE, raw_key.as_bytes());
    let key = key("imported");
    submit(engine, Command::Import(ImportKey { key_id, key })).expect("an import");
    key_id
}

fn signing_with(jwk: &str) -> KeyringSettings {
    let mut settings = settings();
    settings.tokens.signing_keys = Arc::new(SigningKeys::from_jwk_sets([jwk]).unwrap());
    settings
}

#[test]
fn an_imported_key_may_look_like_a_token() {
    let scratch = tempfile::tempdir().unwrap();
    for (check_parent, cache_bytes) in [(true, 1 << 20), (false, 1 << 20), (true, 0)] {
        let path = scratch.path().join(format!("{check_parent}-{cache_bytes}"));
        let mut settings = settings();
        settings.tokens.check_parent = check_parent;
        settings.tokens.macaroon_prefixes.retired = vec!["fw".to_owned()];
        let engine = open_with(&path, settings, cache_bytes);
        for raw_key in [FOREIGN_JWT, FOREIGN_MACAROON, "eyJ.b.c"] {
            let key_id = import(&engine, raw_key);
            for mode in MODES {
                assert_eq!(
                    verify(&engine, raw_key, mode).0,
                    valid("imported"),
                    "{raw_key}"
                );
            }
            let request = query(raw_key, CacheMode::Bypass);
            assert_eq!(engine.identify(&request), Ok(key_id));
            revoke(&engine, key_id).unwrap();
            for mode in MODES {
                assert_eq!(verify(&engine, raw_key, mode).0, refused(Refusal::Revoked));
            }
        }
    }
}

#[test]
fn an_imported_key_is_proven_once() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_with(scratch.path(), settings(), 1 << 20);
    import(&engine, FOREIGN_JWT);
    let verify_it = || verify(&engine, FOREIGN_JWT, CacheMode::Use);
    assert_eq!(verify_it().0, valid("imported"));
    let checks =
        signature_checks(|| assert_eq!(verify_it(), (valid("imported"), CacheStatus::Hit)));
    assert_eq!(checks, 0);
}

#[test]
fn new_signing_keys_and_prefixes_leave_imported_keys_valid() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_with(scratch.path(), settings(), 1 << 20);
    let (parent, _) = issue(&engine, key("a"));
    // A text that names the key `k1`, which this server has again below.
    let token = derive(&engine, &parent, TokenType::Jwt);
    let mut without = settings();
    without.tokens.signing_keys = Arc::default();
    set_keyring(&engine, Keyring::new(without));
    let raw_keys = [token.as_str(), FOREIGN_JWT, FOREIGN_MACAROON];
    for raw_key in raw_keys {
        import(&engine, raw_key);
    }
    let mut later = signing_with(OTHER_JWK);
    later.tokens.macaroon_prefixes.current = "fw".to_owned();
    set_keyring(&engine, Keyring::new(later));
    for raw_key in raw_keys {
        for mode in MODES {
            assert_eq!(
                verify(&engine, raw_key, mode).0,
                valid("imported"),
                "{raw_key}"
            );
        }
    }
    // What this server has signed is a token, whatever was imported.
    set_keyring(&engine, Keyring::new(settings()));
    for mode in MODES {
        assert_eq!(verify(&engine, &token, mode).0, good());
    }
    let request = query(&token, CacheMode::Bypass);
    assert_eq!(engine.identify(&request), Err(Refusal::InvalidFormat));
}

#[test]
fn a_text_that_is_neither_token_nor_key_is_refused_as_a_token() {
    let scratch = tempfile::tempdir().unwrap();
    for cache_bytes in [1 << 20, 0] {
        let path = scratch.path().join(cache_bytes.to_string());
        let engine = open_with(&path, settings(), cache_bytes);
        let (parent, _) = issue(&engine, key("a"));
        let token = derive(&engine, &parent, TokenType::Jwt);
        let (signed, _) = token.rsplit_once('.').unwrap();
        let unsigned = format!("{signed}.c2lnbmF0dXJl");
        set_keyring(
            &engine,
            Keyring::new(KeyringSettings {
                issuer: "elsewhere".to_owned(),
                ..settings()
            }),
        );
        for (credential, refusal) in [
            (FOREIGN_JWT, Refusal::InvalidFormat),
            ("eyJ.b.c", Refusal::InvalidFormat),
            ("mc_v1_AgEB", Refusal::InvalidFormat),
            (&unsigned, Refusal::SignatureInvalid),
            (&token, Refusal::NotFound),
            (FOREIGN_MACAROON, Refusal::NotFound),
        ] {
            for mode in MODES {
                assert_eq!(
                    verify(&engine, credential, mode).0,
                    refused(refusal),
                    "{credential}"
                );
            }
        }
    }
}
