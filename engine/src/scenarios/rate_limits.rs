//! Rate limits: the last check of every verification, from memory or from storage.

use talos_model::{DeleteKey, FieldChanges, RateLimit, RateLimitPolicy, Standing, UpdateKey};

use super::*;

/// A window so long that no request becomes available again during a test.
const YEAR_S: u64 = 31_536_000;

fn policy(quota: u64) -> RateLimitPolicy {
    let window_s = YEAR_S;
    RateLimitPolicy { quota, window_s }
}

fn open_limited(path: &Path, cache_bytes: usize) -> Arc<Engine> {
    let engine = Engine::open(Options {
        cache_bytes,
        ..options(path)
    });
    let engine = engine.expect("a database");
    set_rate_limits(&engine, Enforcement::On);
    engine
}

fn issue_limited(engine: &Engine, quota: u64) -> (KeyId, String) {
    let limited = IssueKey {
        rate_limit: Some(policy(quota)),
        allowed_cidrs: vec!["10.0.0.0/8".parse().unwrap()],
        ..key("a")
    };
    let (record, credential) = issue(engine, limited);
    (record.key_id, credential.unwrap())
}

fn inside(credential: &str, cache: CacheMode) -> Query<'_> {
    Query {
        client_ip: Some("10.1.1.1".parse().unwrap()),
        ..query(credential, cache)
    }
}

fn update(engine: &Engine, key_id: KeyId, rate_limit: Option<RateLimitPolicy>) {
    let changes = FieldChanges {
        rate_limit: Some(rate_limit),
        ..FieldChanges::default()
    };
    let tenant = TenantId::SINGLE;
    let command = Command::Update(UpdateKey {
        tenant,
        key_id,
        changes,
    });
    submit(engine, command).expect("an update");
}

/// The number of `tries` verifications that pass.
fn count_valid(engine: &Engine, credential: &str, cache: CacheMode, tries: usize) -> usize {
    (0..tries)
        .filter(|_| verify_query(engine, &inside(credential, cache)).0 == valid("a"))
        .count()
}

#[test]
fn every_way_to_an_answer_takes_from_one_quota() {
    for cache_bytes in [1 << 20, 0] {
        let scratch = tempfile::tempdir().unwrap();
        let engine = open_limited(scratch.path(), cache_bytes);
        let (_, credential) = issue_limited(&engine, 7);
        for round in 0..2 {
            for mode in [CacheMode::Use, CacheMode::Refresh, CacheMode::Bypass] {
                assert_eq!(
                    verify_query(&engine, &inside(&credential, mode)).0,
                    valid("a"),
                    "{round}"
                );
            }
        }
        set_keyring(&engine, keyring("first"));
        assert_eq!(count_valid(&engine, &credential, CacheMode::Use, 3), 1);
        for mode in [CacheMode::Use, CacheMode::Refresh, CacheMode::Bypass] {
            let (verdict, _) = verify_query(&engine, &inside(&credential, mode));
            assert_eq!(
                verdict,
                OwnedVerdict::Refused(Refusal::RateLimited),
                "{mode:?}"
            );
        }
    }
}

#[test]
fn many_threads_get_exactly_the_quota() {
    for (cache_bytes, mode) in [
        (1 << 20, CacheMode::Use),
        (1 << 20, CacheMode::Bypass),
        (0, CacheMode::Use),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let engine = open_limited(scratch.path(), cache_bytes);
        let (_, credential) = issue_limited(&engine, 500);
        let passed: usize = std::thread::scope(|scope| {
            let count = || count_valid(&engine, &credential, mode, 100);
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(count)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(passed, 500, "{mode:?}");
    }
}

#[test]
fn other_refusals_do_not_count_against_the_quota() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_limited(scratch.path(), 1 << 20);
    let (key_id, credential) = issue_limited(&engine, 2);
    for _ in 0..5 {
        let outside = query(&credential, CacheMode::Use);
        assert_eq!(
            verify_query(&engine, &outside).0,
            OwnedVerdict::Refused(Refusal::IpNotAllowed)
        );
        let audience = Query {
            expected_audiences: &["api"],
            ..inside(&credential, CacheMode::Use)
        };
        assert_eq!(
            verify_query(&engine, &audience).0,
            OwnedVerdict::Refused(Refusal::AudienceMismatch)
        );
    }
    assert_eq!(count_valid(&engine, &credential, CacheMode::Use, 5), 2);
    revoke(&engine, key_id).unwrap();
    let (verdict, _) = verify_query(&engine, &inside(&credential, CacheMode::Use));
    assert_eq!(
        verdict,
        OwnedVerdict::Refused(Refusal::Revoked),
        "the limit is the last check"
    );
}

#[test]
fn an_update_takes_effect_with_the_next_verification() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_limited(scratch.path(), 1 << 20);
    let (key_id, credential) = issue_limited(&engine, 2);
    let passing = || count_valid(&engine, &credential, CacheMode::Use, 10);
    assert_eq!(passing(), 2);
    update(&engine, key_id, Some(policy(5)));
    assert_eq!(passing(), 3, "earlier uses still count");
    update(&engine, key_id, Some(policy(4)));
    assert_eq!(passing(), 0);
    update(&engine, key_id, None);
    assert_eq!(passing(), 10, "without a policy there is no limit");
    update(&engine, key_id, Some(policy(6)));
    assert_eq!(passing(), 1, "the five earlier uses still count");
}

#[test]
fn limits_can_be_switched_and_a_restart_forgets() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (_, credential) = issue_limited(&engine, 3);
    let passing = |engine: &Engine| count_valid(engine, &credential, CacheMode::Use, 10);
    assert_eq!(passing(&engine), 10, "off by default");
    set_rate_limits(&engine, Enforcement::On);
    assert_eq!(passing(&engine), 3);
    set_rate_limits(&engine, Enforcement::Off);
    assert_eq!(passing(&engine), 10);
    set_rate_limits(&engine, Enforcement::On);
    assert_eq!(passing(&engine), 0, "earlier uses still count");
    drop(engine);
    assert_eq!(passing(&open_limited(scratch.path(), 1 << 20)), 3);
}

#[test]
fn an_answer_says_what_is_left_and_when_to_retry() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (_, credential) = issue_limited(&engine, 2);
    let request = inside(&credential, CacheMode::Use);
    let rate_limit_and_retry = || {
        let answer = engine.verify(&request, |answer| match answer.verdict {
            Verdict::Valid { rate_limit, .. } => (rate_limit, None),
            Verdict::Limited {
                rate_limit,
                retry_after_s,
            } => (Some(rate_limit), Some(retry_after_s)),
            Verdict::Refused(refusal) => panic!("{refusal:?}"),
        });
        match answer {
            VerifyStep::Answered(answer) => answer,
            VerifyStep::Pending(_) => panic!("the record is in memory"),
        }
    };
    let policy = policy(2);
    let unenforced = RateLimit {
        policy,
        standing: None,
    };
    assert_eq!(rate_limit_and_retry(), (Some(unenforced), None));
    set_rate_limits(&engine, Enforcement::On);
    for (remaining, intervals, limited) in [(1, 1, false), (0, 2, false), (0, 2, true)] {
        let (rate_limit, retry_after_s) = rate_limit_and_retry();
        let standing = rate_limit.unwrap().standing.unwrap();
        assert_eq!(standing.remaining, remaining);
        // Tolerates that the clock runs during the test, but not for an hour.
        let full_at = request.now.plus_seconds(intervals * YEAR_S / 2);
        let close = |Standing { reset_time, .. }: Standing| {
            reset_time <= full_at && full_at < reset_time.plus_seconds(3600)
        };
        assert!(close(standing), "{standing:?} {full_at:?}");
        assert_eq!(retry_after_s.is_some(), limited);
        assert!(retry_after_s.is_none_or(|s| s <= YEAR_S / 2 && YEAR_S / 2 < s + 3600));
    }
}

#[test]
fn a_key_that_is_imported_again_keeps_its_used_quota() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_limited(scratch.path(), 1 << 20);
    let import = || {
        let key_id = talos_credentials::imported_key_id(TenantId::SINGLE, b"raw");
        let key = IssueKey {
            rate_limit: Some(policy(2)),
            ..key("a")
        };
        submit(
            &engine,
            Command::Import(talos_model::ImportKey { key_id, key }),
        )
        .unwrap();
        key_id
    };
    let key_id = import();
    assert_eq!(count_valid(&engine, "raw", CacheMode::Use, 5), 2);
    let tenant = TenantId::SINGLE;
    submit(&engine, Command::Delete(DeleteKey { tenant, key_id })).unwrap();
    import();
    assert_eq!(
        count_valid(&engine, "raw", CacheMode::Use, 5),
        0,
        "no way around"
    );
}
