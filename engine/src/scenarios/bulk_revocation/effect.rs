//! The effect of a bulk revocation on keys, before and after their records are rewritten.

use talos_credentials::token::{CustomClaims, SigningKeys, TokenType};
use talos_credentials::{DeriveToken, imported_key_id};
use talos_model::{Change, Event, ImportKey, Subject};

use super::*;
use crate::scenarios::model::files::copy_of_one_moment;

/// The private key in RFC 8037 appendix A.1.
const JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"k1","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn with_tokens(path: &Path, cache_bytes: usize) -> Options {
    let mut settings = keyring_settings("first");
    settings.tokens.signing_keys = Arc::new(SigningKeys::from_jwk_sets([JWK]).unwrap());
    Options {
        tenants: tenants(Keyring::new(settings)),
        cache_bytes,
        ..options(path)
    }
}

fn derive(engine: &Engine, parent: KeyId, token_type: TokenType) -> String {
    let parent = get(engine, parent).expect("a key");
    let wanted = DeriveToken {
        token_type,
        ttl_ms: None,
        scopes: Vec::new(),
        audiences: Vec::new(),
        custom: CustomClaims::default(),
    };
    let derived = engine.derive(&parent, wanted, None).expect("a token");
    derived.token.expose().to_owned()
}

fn import(engine: &Engine, raw: &str, key: IssueKey) -> KeyId {
    let key_id = imported_key_id(TenantId::SINGLE, raw.as_bytes());
    submit(engine, Command::Import(ImportKey { key_id, key })).expect("an imported key");
    key_id
}

/// The changes after a sequence, oldest first.
fn changes_after(engine: &Engine, sequence: u64) -> Vec<Change> {
    let store = engine.store();
    let changes = store.newest_changes().expect("the log");
    let changes = changes.map(|change| change.expect("a change"));
    let mut changes: Vec<_> = changes
        .take_while(|change| change.position.sequence.0 > sequence)
        .collect();
    changes.reverse();
    changes
}

#[test]
fn all_keys_end_at_once_cached_or_not() {
    for cache_bytes in [0, 1 << 20] {
        let scratch = tempfile::tempdir().unwrap();
        let engine = PausedEngine::open(with_tokens(scratch.path(), cache_bytes));
        let (key_id, credential) = made(&engine, "leaver", "read");
        let (_, other) = made(&engine, "stayer", "read");
        let raw = "a-key-of-another-system";
        import(&engine, raw, key_of("leaver", "read"));
        let tokens =
            [TokenType::Jwt, TokenType::Macaroon].map(|kind| derive(&engine, key_id, kind));
        let (cold_id, cold) = made(&engine, "leaver", "read");
        for credential in [&credential, &other, raw, &tokens[0], &tokens[1]] {
            for _ in 0..2 {
                let verdict = verify(&engine, credential, CacheMode::Use).0;
                assert!(matches!(verdict, OwnedVerdict::Valid(_)), "{verdict:?}");
            }
        }
        let live = engine.store().live_keys(TenantId::SINGLE);
        let bulk_revocation = revoke_where(&engine, of_actor("leaver"));
        let assert_ended = || {
            for credential in [&credential, raw, &cold, &tokens[0], &tokens[1]] {
                assert_revoked(&engine, credential);
            }
            for key_id in [key_id, cold_id] {
                let shown = get(&engine, key_id).expect("a key");
                assert_eq!(shown.revocation.as_ref(), Some(&bulk_revocation.revocation));
                assert_eq!(shown.update_time, bulk_revocation.revocation.time);
            }
            assert_valid(&engine, &other);
        };
        assert_ended();
        assert_eq!(engine.bulk_revocations_in_force(), 1);
        assert_eq!(engine.store().live_keys(TenantId::SINGLE), live, "not yet");
        let (_, late) = made(&engine, "leaver", "read");
        assert_valid(&engine, &late);

        let before = engine.committed().sequence.0;
        engine.finish_catch_up();
        assert_ended();
        assert_valid(&engine, &late);
        assert_eq!(engine.store().live_keys(TenantId::SINGLE), Ok(2));
        let events: Vec<_> = changes_after(&engine, before)
            .into_iter()
            .map(|change| change.event)
            .collect();
        let (last, ends) = events.split_last().expect("changes");
        assert_eq!(*last, Event::BulkRevocationCompleted);
        let of = |event| ends.iter().filter(|found| **found == event).count();
        assert_eq!(of(Event::IssuedKeyRevoked), 2);
        assert_eq!(of(Event::ImportedKeyRevoked), 1);
        assert_eq!(ends.len(), 3, "each key once, and no other");
    }
}

#[test]
fn keys_that_cannot_match_stay_in_their_cells() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = paused(scratch.path());
    let (_, other) = made(&engine, "stayer", "write");
    cache(&engine, &other);
    revoke_where(&engine, of_actor("leaver"));
    let verdict = verify(&engine, &other, CacheMode::Use);
    assert_eq!(verdict, (valid("a"), CacheStatus::Hit), "nothing was read");
}

#[test]
fn every_condition_counts() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = paused(scratch.path());
    let tagged = IssueKey {
        metadata: r#"{"team":"a","n":1}"#.to_owned(),
        ..key_of("x", "deploy")
    };
    let (record, secret) = issue(&engine, tagged);
    let credential = secret.expect("a credential");
    cache(&engine, &credential);
    assert_eq!(record.prefix.as_deref(), Some("talos"));
    let some = |text: &str| Some(text.to_owned());
    let member = |value: &str| vec![("team".to_owned(), value.to_owned())];
    let after = |ms| Some(clock::UnixMillis(record.create_time.0 + ms));
    let all = Matcher {
        actor_id: some("x"),
        prefix: some("talos"),
        created_before: after(1),
        scope: some("deploy"),
        metadata: member("a"),
    };
    let others = [
        Matcher {
            actor_id: some("y"),
            ..all.clone()
        },
        Matcher {
            prefix: some("other"),
            ..all.clone()
        },
        Matcher {
            created_before: after(0),
            ..all.clone()
        },
        Matcher {
            scope: some("read"),
            ..all.clone()
        },
        Matcher {
            metadata: member("b"),
            ..all.clone()
        },
    ];
    for matcher in others {
        assert_eq!(engine.count_matching(TenantId::SINGLE, &matcher), Ok(0));
        let bulk_revocation = revoke_where(&engine, matcher);
        assert_valid(&engine, &credential);
        assert_eq!(engine.count_ended(&bulk_revocation), Ok(0));
    }
    assert_eq!(engine.count_matching(TenantId::SINGLE, &all), Ok(1));
    let bulk_revocation = revoke_where(&engine, all.clone());
    assert_revoked(&engine, &credential);
    assert_eq!(engine.count_ended(&bulk_revocation), Ok(1));
    assert_eq!(
        engine.count_matching(TenantId::SINGLE, &all),
        Ok(0),
        "no more"
    );
    engine.finish_catch_up();
    assert_eq!(
        engine.count_ended(&bulk_revocation),
        Ok(1),
        "the records have followed"
    );
    assert_revoked(&engine, &credential);
}

#[test]
fn every_key_is_counted_once() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = paused(scratch.path());
    let many = crate::limits::BULK_REVOCATION_WALK_KEYS * 2 + 3;
    let names: Vec<_> = (0..many).map(|n| format!("raw key {n}")).collect();
    let imports = names.iter().map(|raw| ImportKey {
        key_id: imported_key_id(TenantId::SINGLE, raw.as_bytes()),
        key: key_of("a", "s"),
    });
    submit(&engine, Command::ImportMany(imports.collect())).expect("many keys");
    let elsewhere = TenantId(uuid::Uuid::from_u128(u128::MAX));
    let other = IssueKey {
        tenant: elsewhere,
        ..key_of("a", "s")
    };
    issue(&engine, other);
    for matcher in [of_actor("a"), with_scope("s")] {
        let counted = engine.count_matching(TenantId::SINGLE, &matcher);
        assert_eq!(counted, Ok(many as u64), "{matcher:?}");
        assert_eq!(engine.count_matching(elsewhere, &matcher), Ok(1));
    }
    let bulk_revocation = revoke_where(&engine, with_scope("s"));
    assert_eq!(engine.count_ended(&bulk_revocation), Ok(many as u64));
    engine.finish_catch_up();
    assert_eq!(engine.count_ended(&bulk_revocation), Ok(many as u64));
    assert_eq!(engine.store().live_keys(TenantId::SINGLE), Ok(0));
    assert_eq!(engine.store().live_keys(elsewhere), Ok(1));
}

#[test]
fn records_are_rewritten_after_a_restart_too() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("first");
    let engine = paused(&path);
    let (key_id, credential) = made(&engine, "leaver", "read");
    let (_, other) = made(&engine, "stayer", "read");
    let bulk_revocation = revoke_where(&engine, of_actor("leaver"));
    let crashed = scratch.path().join("crashed");
    copy_of_one_moment(&path, &crashed);
    drop(engine);

    let engine = paused(&crashed);
    assert_eq!(engine.bulk_revocations_in_force(), 1);
    engine.warm_up().expect("a thread");
    engine.warm_up_thread().wait();
    let warm = verify(&engine, &credential, CacheMode::Use);
    assert_eq!(
        warm,
        (OwnedVerdict::Refused(Refusal::Revoked), CacheStatus::Hit)
    );
    assert_revoked(&engine, &credential);
    assert_eq!(
        get(&engine, key_id).unwrap().sequence.0,
        1,
        "on disk it is the old one"
    );
    engine.finish_catch_up();
    assert_revoked(&engine, &credential);
    assert_valid(&engine, &other);
    let shown = get(&engine, key_id).unwrap();
    assert_eq!(shown.revocation, Some(bulk_revocation.revocation));
    drop(engine);

    let engine = open(&crashed);
    assert_eq!(engine.bulk_revocations_in_force(), 0);
    assert_revoked(&engine, &credential);
    assert_valid(&engine, &other);
}

#[test]
fn the_first_of_two_bulk_revocations_counts() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = paused(scratch.path());
    let (both, credential) = made(&engine, "leaver", "deploy");
    let (second, other) = made(&engine, "stayer", "deploy");
    let bulk_revocations = [
        revoke_where(&engine, of_actor("leaver")),
        revoke_where(&engine, with_scope("deploy")),
    ];
    assert_eq!(
        bulk_revocations
            .each_ref()
            .map(|bulk_revocation| engine.count_ended(bulk_revocation)),
        [Ok(1), Ok(1)]
    );
    let revocations = || [both, second].map(|key_id| get(&engine, key_id).unwrap().revocation);
    let of_bulk_revocations = bulk_revocations
        .each_ref()
        .map(|bulk_revocation| Some(bulk_revocation.revocation.clone()));
    assert_eq!(revocations(), of_bulk_revocations);
    engine.finish_catch_up();
    assert_eq!(revocations(), of_bulk_revocations);
    assert_revoked(&engine, &credential);
    assert_revoked(&engine, &other);
}

#[test]
fn the_number_of_bulk_revocations_in_force_is_limited() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = paused(scratch.path());
    for _ in 0..crate::limits::BULK_REVOCATIONS {
        revoke_where(&engine, of_actor("nobody"));
    }
    let one_more = try_revoke_where(&engine, of_actor("nobody"));
    let too_many = CommandError::Rejected(talos_model::Rejection::TooManyBulkRevocations);
    assert_eq!(one_more, Err(too_many));
    engine.finish_catch_up();
    revoke_where(&engine, of_actor("nobody"));
}

#[test]
fn a_log_that_contradicts_the_bulk_revocations_in_force_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = paused(scratch.path());
    made(&engine, "leaver", "read");
    let bulk_revocation = revoke_where(&engine, of_actor("leaver"));
    let last = changes_after(&engine, 1).pop().expect("a change");
    assert_eq!(
        last.subject,
        Subject::BulkRevocation(bulk_revocation.clone())
    );
    engine.store().remove_bulk_revocation(&bulk_revocation);
    let damaged = scratch.path().join("damaged");
    copy_of_one_moment(&scratch.path().join("db"), &damaged.join("db"));
    std::fs::copy(scratch.path().join("FORMAT"), damaged.join("FORMAT")).unwrap();
    let error = open_error(&damaged).to_string();
    assert!(
        error.contains("change 2 is in the log, but not in the rules in force"),
        "{error}"
    );
}
