//! Which tokens can be derived, and which cannot.

use talos_credentials::token::{MintError, NoSuchKey};
use talos_credentials::{CannotMint, DeriveError};

use super::*;

#[test]
fn a_token_allows_no_more_than_its_key() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_with(scratch.path(), settings(), 1 << 20);
    let (parent, _) = issue(
        &engine,
        IssueKey {
            scopes: vec!["read".to_owned(), "write".to_owned()],
            ttl_ms: Some(600_000),
            allowed_cidrs: vec!["10.0.0.0/8".parse().unwrap()],
            ..key("a")
        },
    );
    let inside = Some("10.1.1.1".parse().unwrap());
    let now = parent.create_time;
    let derive = |parent: &Record, settings: KeyringSettings, wanted, client_ip, now| {
        let keyring = Keyring::new(settings);
        talos_credentials::derive(&keyring, parent, wanted, client_ip, now, uuid::Uuid::nil())
    };
    let jwt = || wanted(TokenType::Jwt);
    let claims = |wanted| derive(&parent, settings(), wanted, inside, now).map(|made| made.claims);

    // All scopes and addresses of the key, and the rest of its lifetime instead of the default of
    // one hour.
    let made = claims(jwt()).unwrap();
    assert_eq!(made.scopes, parent.scopes);
    assert_eq!(made.allowed_cidrs, parent.allowed_cidrs);
    assert_eq!(made.expires_at_s, parent.expire_time.unwrap().seconds());
    let scope = |scope: &str| DeriveToken {
        scopes: vec![scope.to_owned()],
        ..jwt()
    };
    assert_eq!(claims(scope("read")).unwrap().scopes, ["read"]);
    for beyond in ["admin", "Read", "read ", "*", ""] {
        let error = Err(DeriveError::ScopeBeyondParent(beyond.to_owned()));
        assert_eq!(claims(scope(beyond)), error);
    }
    let ttl = |ttl_ms| DeriveToken {
        ttl_ms: Some(ttl_ms),
        ..jwt()
    };
    let seconds = claims(ttl(60_999)).unwrap();
    assert!(seconds.expires_at_s * 1000 <= now.0 + 60_999);
    assert!(claims(ttl(600_000)).is_ok());
    let left = Err(DeriveError::TtlBeyondParent { left_s: 600 });
    assert_eq!(claims(ttl(600_001)), left);
    let max = Err(DeriveError::TtlBeyondMax { max_s: 86_400 });
    assert_eq!(claims(ttl(86_400_001)), max);
    for (client_ip, now, error) in [
        (None, now, DeriveError::AddressNotAllowed),
        (
            Some("192.0.2.1".parse().unwrap()),
            now,
            DeriveError::AddressNotAllowed,
        ),
        (
            inside,
            parent.expire_time.unwrap(),
            DeriveError::ParentExpired,
        ),
        (
            None,
            parent.expire_time.unwrap(),
            DeriveError::ParentExpired,
        ),
    ] {
        let refused = derive(&parent, settings(), jwt(), client_ip, now);
        assert_eq!(refused.map(|made| made.claims), Err(error));
    }
    // The rest of the lifetime is too short for a token, which counts in seconds.
    let end = parent.expire_time.unwrap();
    let late = UnixMillis(end.seconds() * 1000);
    let refused = derive(&parent, settings(), jwt(), inside, late);
    assert_eq!(
        refused.map(|made| made.claims),
        Err(DeriveError::ParentExpired)
    );

    // An issued key also has a maximum age.
    let eternal = Record {
        expire_time: None,
        ..parent.clone()
    };
    let old = now.plus_seconds(86_000);
    let made = derive(&eternal, settings(), jwt(), inside, old).unwrap();
    assert!(made.claims.expires_at_s <= now.plus_seconds(86_400).seconds());
    let refused = derive(&eternal, settings(), ttl(500_000), inside, old).map(|made| made.claims);
    assert_eq!(refused, Err(DeriveError::TtlBeyondParent { left_s: 400 }));
    let refused = derive(
        &eternal,
        settings(),
        jwt(),
        inside,
        now.plus_seconds(86_400),
    );
    assert_eq!(
        refused.map(|made| made.claims),
        Err(DeriveError::ParentExpired)
    );

    revoke(&engine, parent.key_id).unwrap();
    let revoked = get(&engine, parent.key_id).unwrap();
    let refused = derive(&revoked, settings(), jwt(), None, end);
    assert_eq!(
        refused.map(|made| made.claims),
        Err(DeriveError::ParentRevoked)
    );
}

#[test]
fn a_token_that_cannot_be_signed_gives_the_reason() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_with(scratch.path(), settings(), 1 << 20);
    let (parent, _) = issue(&engine, key("a"));
    let refused = |tokens: TokenSettings, wanted: DeriveToken| {
        let settings = KeyringSettings {
            tokens,
            ..settings()
        };
        set_keyring(&engine, Keyring::new(settings));
        engine.derive(&parent, wanted, None).map(|made| made.claims)
    };
    let none = TokenSettings::default();
    let error = DeriveError::Mint(CannotMint::Key(NoSuchKey::NoneConfigured));
    assert_eq!(refused(none.clone(), wanted(TokenType::Jwt)), Err(error));
    assert!(refused(none, wanted(TokenType::Macaroon)).is_ok());
    let named = TokenSettings {
        signing_key_id: Some("k2".to_owned()),
        ..settings().tokens
    };
    let error = DeriveError::Mint(CannotMint::Key(NoSuchKey::Unknown("k2".to_owned())));
    assert_eq!(refused(named, wanted(TokenType::Jwt)), Err(error));
    let too_long = DeriveToken {
        custom: CustomClaims::new(
            serde_json::json!({"a": "x".repeat(8192)})
                .as_object()
                .unwrap()
                .clone(),
        ),
        ..wanted(TokenType::Macaroon)
    };
    let error = refused(settings().tokens, too_long);
    assert!(
        matches!(
            error,
            Err(DeriveError::Mint(CannotMint::Mint(
                MintError::TooLong { .. }
            )))
        ),
        "{error:?}"
    );
}
