//! Tokens from derivation to the end of their key, cached or not.

mod deriving;
mod keyrings;
mod lookalikes;

use talos_credentials::token::{CustomClaims, SigningKeys, TokenType};
use talos_credentials::{DeriveToken, imported_key_id};
use talos_model::clock::UnixMillis;
use talos_model::{DeleteKey, FieldChanges, ImportKey, RateLimitPolicy, RotateKey};

use super::last_used::last_used;
use super::slow_read::{begin, gated};
use super::*;
use crate::verifier::SIGNATURE_CHECKS;

const TYPES: [TokenType; 2] = [TokenType::Jwt, TokenType::Macaroon];
pub(super) const MODES: [CacheMode; 3] = [CacheMode::Use, CacheMode::Refresh, CacheMode::Bypass];

/// The private key in RFC 8037 appendix A.1.
pub(super) const JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"k1","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn settings() -> KeyringSettings {
    KeyringSettings {
        tokens: TokenSettings {
            signing_keys: Arc::new(SigningKeys::from_jwk_sets([JWK]).unwrap()),
            ..TokenSettings::default()
        },
        ..keyring_settings("first")
    }
}

fn without_check_of_the_parent() -> KeyringSettings {
    let mut settings = settings();
    settings.tokens.check_parent = false;
    settings
}

fn open_with(path: &Path, settings: KeyringSettings, cache_bytes: usize) -> Arc<Engine> {
    let options = Options {
        tenants: tenants(Keyring::new(settings)),
        cache_bytes,
        ..options(path)
    };
    Engine::open(options).expect("a database")
}

fn wanted(token_type: TokenType) -> DeriveToken {
    DeriveToken {
        token_type,
        ttl_ms: None,
        scopes: Vec::new(),
        audiences: Vec::new(),
        custom: CustomClaims::default(),
    }
}

pub(super) fn derive(engine: &Engine, parent: &Record, token_type: TokenType) -> String {
    let derived = engine.derive(parent, wanted(token_type), None);
    derived.expect("a token").token.expose().to_owned()
}

fn good() -> OwnedVerdict {
    OwnedVerdict::Valid("token of actor".to_owned())
}

fn refused(refusal: Refusal) -> OwnedVerdict {
    OwnedVerdict::Refused(refusal)
}

fn signature_checks(work: impl FnOnce()) -> u64 {
    let before = SIGNATURE_CHECKS.with(std::cell::Cell::get);
    work();
    SIGNATURE_CHECKS.with(std::cell::Cell::get) - before
}

#[test]
fn a_token_is_proven_once() {
    let scratch = tempfile::tempdir().unwrap();
    for check_parent in [true, false] {
        let mut settings = settings();
        settings.tokens.check_parent = check_parent;
        let engine = open_with(
            &scratch.path().join(check_parent.to_string()),
            settings,
            1 << 20,
        );
        let (parent, _) = issue(&engine, key("a"));
        for token_type in TYPES {
            let token = derive(&engine, &parent, token_type);
            let verify_in = |mode| verify(&engine, &token, mode);
            let checks = signature_checks(|| assert_eq!(verify_in(CacheMode::Use).0, good()));
            assert_eq!(checks, 1);
            let checks = signature_checks(|| {
                for _ in 0..3 {
                    assert_eq!(verify_in(CacheMode::Use), (good(), CacheStatus::Hit));
                }
            });
            assert_eq!(checks, 0, "{token_type:?}");
            for mode in [CacheMode::Refresh, CacheMode::Bypass] {
                let verify_again = || assert_eq!(verify_in(mode), (good(), CacheStatus::Skip));
                assert_eq!(signature_checks(verify_again), 1);
            }
        }
    }
}

#[test]
fn verifying_a_token_is_no_use_of_its_key_and_takes_nothing_from_its_quota() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_with(scratch.path(), settings(), 1 << 20);
    set_rate_limits(&engine, Enforcement::On);
    let rate_limit = Some(RateLimitPolicy {
        quota: 1,
        window_s: 31_536_000,
    });
    let limited = IssueKey {
        rate_limit,
        ..key("a")
    };
    let (parent, credential) = issue(&engine, limited);
    let token = derive(&engine, &parent, TokenType::Jwt);
    for mode in MODES {
        let long_after = Query {
            now: clock::now().plus_seconds(1000),
            ..query(&token, mode)
        };
        assert_eq!(verify_query(&engine, &long_after).0, good());
    }
    assert_eq!(last_used(&engine, parent.key_id), None);
    let credential = credential.unwrap();
    let verdict = verify(&engine, &credential, CacheMode::Use).0;
    assert_eq!(verdict, valid("a"), "the quota is untouched");
}

#[test]
fn bypassing_the_cache_leaves_nothing_in_it() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_with(scratch.path(), without_check_of_the_parent(), 1 << 20);
    let (parent, _) = issue(&engine, key("a"));
    let token = derive(&engine, &parent, TokenType::Jwt);
    let before = engine.cache_used_bytes();
    verify(&engine, &token, CacheMode::Bypass);
    assert_eq!(engine.cache_used_bytes(), before);
    verify(&engine, &token, CacheMode::Use);
    assert!(engine.cache_used_bytes() > before);
}

/// A way in which a key can end.
type Ending = (&'static str, fn(&Engine, &Record));

fn endings() -> [Ending; 3] {
    [
        ("revoked", |engine, record| {
            revoke(engine, record.key_id).expect("revoked");
        }),
        ("rotated", |engine, record| {
            let command = RotateKey {
                tenant: TenantId::SINGLE,
                key_id: record.key_id,
                changes: FieldChanges::default(),
                visibility: None,
            };
            submit(engine, Command::Rotate(command)).expect("rotated");
        }),
        ("deleted", |engine, record| {
            let (tenant, key_id) = (TenantId::SINGLE, record.key_id);
            submit(engine, Command::Delete(DeleteKey { tenant, key_id })).expect("deleted");
        }),
    ]
}

fn parent_for(engine: &Engine, ending: &str) -> Record {
    if ending != "deleted" {
        return issue(engine, key("a")).0;
    }
    let import = ImportKey {
        key_id: imported_key_id(TenantId::SINGLE, b"raw"),
        key: key("a"),
    };
    match submit(engine, Command::Import(import)) {
        Ok(Outcome::Imported { record, .. }) => record,
        other => panic!("{other:?}"),
    }
}

#[test]
fn tokens_end_with_their_key_at_once() {
    for (ending, end) in endings() {
        for cache_bytes in [1 << 20, 0] {
            let scratch = tempfile::tempdir().unwrap();
            let engine = open_with(scratch.path(), settings(), cache_bytes);
            let parent = parent_for(&engine, ending);
            let tokens = TYPES.map(|token_type| derive(&engine, &parent, token_type));
            for token in &tokens {
                for mode in MODES {
                    assert_eq!(verify(&engine, token, mode).0, good(), "{ending}");
                }
            }
            end(&engine, &parent);
            for token in &tokens {
                for mode in MODES {
                    let (verdict, _) = verify(&engine, token, mode);
                    assert_eq!(verdict, refused(Refusal::Revoked), "{ending} {mode:?}");
                }
            }
            drop(engine);
            let engine = open_with(scratch.path(), settings(), cache_bytes);
            let (verdict, _) = verify(&engine, &tokens[0], CacheMode::Use);
            assert_eq!(verdict, refused(Refusal::Revoked), "{ending}");
        }
    }
}

#[test]
fn tokens_outlive_their_key_if_the_parent_is_not_checked() {
    for (ending, end) in endings() {
        for cache_bytes in [1 << 20, 0] {
            let scratch = tempfile::tempdir().unwrap();
            let engine = open_with(scratch.path(), without_check_of_the_parent(), cache_bytes);
            let parent = parent_for(&engine, ending);
            let tokens = TYPES.map(|token_type| derive(&engine, &parent, token_type));
            assert_eq!(verify(&engine, &tokens[0], CacheMode::Use).0, good());
            end(&engine, &parent);
            for token in &tokens {
                for mode in MODES {
                    assert_eq!(verify(&engine, token, mode).0, good(), "{ending} {mode:?}");
                }
                let now = query(token, CacheMode::Use).now.plus_seconds(3600);
                let expired = Query {
                    now,
                    ..query(token, CacheMode::Use)
                };
                assert_eq!(verify_query(&engine, &expired).0, refused(Refusal::Expired));
            }
        }
    }
}

#[test]
fn time_audience_and_address_are_checked_on_every_hit() {
    let scratch = tempfile::tempdir().unwrap();
    let skewed = KeyringSettings {
        clock_skew_s: 30,
        ..settings()
    };
    let engine = open_with(scratch.path(), skewed, 1 << 20);
    let restricted = IssueKey {
        allowed_cidrs: vec!["10.0.0.0/8".parse().unwrap()],
        ..key("a")
    };
    let (parent, _) = issue(&engine, restricted);
    let inside = Some("10.1.1.1".parse().unwrap());
    for token_type in TYPES {
        let wanted = DeriveToken {
            ttl_ms: Some(60_000),
            audiences: vec!["api".to_owned(), "web".to_owned()],
            ..wanted(token_type)
        };
        let derived = engine.derive(&parent, wanted, inside).unwrap();
        let (from, until) = derived.claims.window(30);
        let token = derived.token.expose();
        let request = |now, client_ip, expected_audiences| Query {
            expected_audiences,
            client_ip,
            now,
            ..query(token, CacheMode::Use)
        };
        let table = [
            (request(clock::now(), inside, &["api"][..]), good()),
            (request(from, inside, &["other", "web"]), good()),
            (request(UnixMillis(until.0 - 1), inside, &["web"]), good()),
            (request(until, inside, &["web"]), refused(Refusal::Expired)),
            (
                request(UnixMillis(from.0 - 1), inside, &["web"]),
                refused(Refusal::Expired),
            ),
            (
                request(from, inside, &[]),
                refused(Refusal::AudienceMismatch),
            ),
            (
                request(from, inside, &["API", "ap", "api "]),
                refused(Refusal::AudienceMismatch),
            ),
            (
                request(from, Some("192.0.2.1".parse().unwrap()), &["api"]),
                refused(Refusal::IpNotAllowed),
            ),
            (
                request(from, None, &["api"]),
                refused(Refusal::IpNotAllowed),
            ),
            (
                request(from, Some("::ffff:10.9.9.9".parse().unwrap()), &["api"]),
                good(),
            ),
        ];
        for _ in 0..2 {
            for (query, expected) in &table {
                assert_eq!(
                    &verify_query(&engine, query).0,
                    expected,
                    "{token_type:?} {query:?}"
                );
            }
        }
    }
}

#[test]
fn tokens_without_audiences_fail_where_one_is_expected() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_with(scratch.path(), settings(), 1 << 20);
    let (parent, _) = issue(&engine, key("a"));
    let token = derive(&engine, &parent, TokenType::Jwt);
    for _ in 0..2 {
        let expecting = Query {
            expected_audiences: &["api"],
            ..query(&token, CacheMode::Use)
        };
        let verdict = verify_query(&engine, &expecting).0;
        assert_eq!(verdict, refused(Refusal::AudienceMismatch));
        assert_eq!(verify(&engine, &token, CacheMode::Use).0, good());
    }
}

#[test]
fn a_token_of_one_tenant_is_unknown_in_another() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_with(scratch.path(), settings(), 1 << 20);
    let (parent, _) = issue(&engine, key("a"));
    for token_type in TYPES {
        let token = derive(&engine, &parent, token_type);
        assert_eq!(verify(&engine, &token, CacheMode::Use).0, good());
        let elsewhere = Query {
            tenant: TenantId(uuid::Uuid::from_u128(9)),
            ..query(&token, CacheMode::Use)
        };
        assert_eq!(
            verify_query(&engine, &elsewhere).0,
            refused(Refusal::NotFound)
        );
    }
}

#[test]
fn a_macaroon_has_one_spelling() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_with(scratch.path(), settings(), 1 << 20);
    let (parent, _) = issue(&engine, key("a"));
    let token = derive(&engine, &parent, TokenType::Macaroon);
    let longer = token.replacen("mc_v1_", "mc_v1_x_v1_", 1);
    let verdict = verify(&engine, &longer, CacheMode::Use).0;
    assert_eq!(verdict, refused(Refusal::InvalidFormat));
}

#[test]
fn a_slow_read_does_not_bring_back_tokens_of_an_ended_key() {
    for mode in MODES {
        for token_type in TYPES {
            let gated = gated();
            set_keyring(&gated.engine, Keyring::new(settings()));
            let (parent, _) = issue(&gated.engine, key("a"));
            let token = derive(&gated.engine, &parent, token_type);
            let slow = begin(&gated, &token, mode);
            revoke(&gated.engine, parent.key_id).unwrap();
            gated.go_on.send(()).unwrap();
            let loaded = slow.recv().unwrap();
            let request = query(&token, mode);
            let (answer, _) = gated.engine.finish(&request, loaded, owned_verdict);
            if mode != CacheMode::Bypass {
                // The cell is newer than the record that was read.
                assert_eq!(answer, refused(Refusal::Revoked), "{mode:?}");
            }
            for after in [CacheMode::Use, CacheMode::Refresh] {
                gated.go_on.send(()).unwrap();
                let (verdict, _) = verify(&gated.engine, &token, after);
                assert_eq!(verdict, refused(Refusal::Revoked), "{mode:?} {after:?}");
            }
        }
    }
}

#[test]
fn large_tokens_live_within_the_budget() {
    let scratch = tempfile::tempdir().unwrap();
    let limit = 1 << 20;
    let render_token =
        |claims: &talos_credentials::token::Claims| claims.metadata.clone().into_bytes();
    let engine = Engine::open(Options {
        tenants: tenants(Keyring::new(without_check_of_the_parent())),
        cache_bytes: limit,
        render_token,
        ..options(scratch.path())
    })
    .unwrap();
    let large = IssueKey {
        metadata: format!(r#"{{"a":"{}"}}"#, "x".repeat(4000)),
        ..key("a")
    };
    let (parent, _) = issue(&engine, large);
    let empty = engine.cache_used_bytes();
    let mut most = 0;
    for _ in 0..2000 {
        let token = derive(&engine, &parent, TokenType::Macaroon);
        assert!(matches!(
            verify(&engine, &token, CacheMode::Use).0,
            OwnedVerdict::Valid(_)
        ));
        most = most.max(engine.cache_used_bytes());
    }
    assert!(most > empty + 4000 * 50, "{most} bytes: nothing is kept");
    assert!(most <= limit + limit / 8, "{most} bytes of {limit}");
    set_keyring(&engine, Keyring::new(settings()));
}

#[test]
fn a_token_is_the_credential_of_no_key() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_with(scratch.path(), settings(), 1 << 20);
    let (parent, secret) = issue(&engine, key("a"));
    let secret = secret.unwrap();
    let request = query(&secret, CacheMode::Bypass);
    assert_eq!(engine.identify(&request), Ok(parent.key_id));
    for token in TYPES.map(|token_type| derive(&engine, &parent, token_type)) {
        let request = query(&token, CacheMode::Bypass);
        assert_eq!(engine.identify(&request), Err(Refusal::InvalidFormat));
    }
}
