//! The cache stays within its memory budget under every load.

use std::thread;

use super::*;

#[test]
fn many_keys_live_within_the_budget_and_all_are_answered() {
    let scratch = tempfile::tempdir().unwrap();
    let limit = 256 << 10;
    let engine = Engine::open(Options {
        cache_bytes: limit,
        ..options(scratch.path())
    })
    .unwrap();
    let keys: Vec<_> = thread::scope(|scope| {
        let issue_some = |worker| {
            let engine = &engine;
            move || {
                (0..250)
                    .map(|n| {
                        (
                            format!("{worker}-{n}"),
                            issue_new(engine, &format!("{worker}-{n}")).1,
                        )
                    })
                    .collect::<Vec<_>>()
            }
        };
        let workers: Vec<_> = (0..8)
            .map(|worker| scope.spawn(issue_some(worker)))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    let mut most = 0;
    for _ in 0..3 {
        for (name, credential) in &keys {
            assert_eq!(verify(&engine, credential, CacheMode::Use).0, valid(name));
            most = most.max(engine.cache_used_bytes());
        }
    }
    assert!(most <= limit + limit / 8, "{most} bytes of {limit}");
    assert!(
        most >= limit / 2,
        "{most} bytes of {limit}: the budget is there to be used"
    );
}

#[test]
fn unknown_credentials_take_no_memory() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let before = engine.cache_used_bytes();
    for n in 0..1000 {
        assert_eq!(
            verify(&engine, &format!("sk_{n}"), CacheMode::Use).0,
            OwnedVerdict::Refused(Refusal::NotFound)
        );
    }
    assert_eq!(engine.cache_used_bytes(), before);
}
