//! After a restart, warm-up reads keys into memory before they are first used.

use super::slow_read::gated;
use super::*;

#[test]
fn keys_that_can_be_used_are_hits_after_a_restart() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(scratch.path())).unwrap();
    let keys: Vec<_> = (0..700)
        .map(|n| issue_new(&engine, &format!("key {n}")))
        .collect();
    let (revoked, _) = &keys[350];
    revoke(&engine, *revoked).unwrap();
    drop(engine);

    // So large that no bucket of a table is ever full.
    let engine = Engine::open(Options {
        cache_bytes: 64 << 20,
        ..options(scratch.path())
    })
    .unwrap();
    engine.warm_up().unwrap();
    engine.warm_up_thread().wait();
    for (n, (key_id, credential)) in keys.iter().enumerate() {
        let expected = if key_id == revoked {
            (OwnedVerdict::Refused(Refusal::Revoked), CacheStatus::Miss)
        } else {
            (valid(&format!("key {n}")), CacheStatus::Hit)
        };
        assert_eq!(verify(&engine, credential, CacheMode::Use), expected);
    }
}

#[test]
fn full_cells_are_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = Engine::open(options(scratch.path())).unwrap();
    for n in 0..700 {
        issue_new(&engine, &format!("key {n}"));
    }
    drop(engine);
    let cache_bytes = 200_000;
    let engine = Engine::open(Options {
        cache_bytes,
        ..options(scratch.path())
    })
    .unwrap();
    engine.warm_up().unwrap();
    engine.warm_up_thread().wait();
    let used = engine.cache_used_bytes();
    assert!(used > cache_bytes / 2 && used <= cache_bytes, "{used}");
}

/// The record is read, then the key is revoked, then the record arrives at the cell.
#[test]
fn a_read_before_a_revocation_does_not_undo_it() {
    let gated = gated();
    let (key_id, credential) = issue_new(&gated.engine, "a");
    gated.engine.warm_up().unwrap();
    gated.wait_for_read();
    revoke(&gated.engine, key_id).unwrap();
    gated.go_on.send(()).unwrap();
    gated.engine.warm_up_thread().wait();
    assert_eq!(
        verify(&gated.engine, &credential, CacheMode::Use),
        (OwnedVerdict::Refused(Refusal::Revoked), CacheStatus::Hit)
    );
}
