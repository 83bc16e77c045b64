//! Races between bulk revocations and verifications.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::scenarios::slow_read::{begin, gated};

/// A read starts before the bulk revocation and ends after it.
#[test]
fn a_slow_read_brings_no_key_back() {
    for mode in MODES {
        let gated = gated();
        let (_, credential) = made(&gated.engine, "leaver", "read");
        let slow = begin(&gated, &credential, mode);
        revoke_where(&gated.engine, of_actor("leaver"));
        gated.go_on.send(()).unwrap();
        let loaded = slow.recv().unwrap();
        // The read began before the revocation, so either answer is right. The cell must refuse the
        // key.
        gated
            .engine
            .finish(&query(&credential, mode), loaded, owned_verdict);
        for mode in MODES {
            gated.go_on.send(()).unwrap();
            let (after, _) = verify(&gated.engine, &credential, mode);
            assert_eq!(after, OwnedVerdict::Refused(Refusal::Revoked), "{mode:?}");
        }
    }
}

/// A read starts after the bulk revocation and ends when the record is rewritten and the bulk
/// revocation is no longer in force.
#[test]
fn a_read_applies_the_bulk_revocations_in_force_when_it_began() {
    for mode in MODES {
        let scratch = tempfile::tempdir().unwrap();
        let engine = paused(scratch.path());
        let (_, credential) = made(&engine, "leaver", "read");
        revoke_where(&engine, of_actor("leaver"));
        let VerifyStep::Pending(pending) = engine.verify(&query(&credential, mode), owned_verdict)
        else {
            panic!("nothing to read");
        };
        let (sender, receiver) = channel();
        engine.read(pending, move |loaded| {
            sender.send(loaded).expect("a receiver");
        });
        let loaded = receiver.recv().expect("the old record");
        engine.finish_catch_up();
        let answer = engine
            .finish(&query(&credential, mode), loaded, owned_verdict)
            .0;
        assert_eq!(answer, OwnedVerdict::Refused(Refusal::Revoked), "{mode:?}");
        assert_revoked(&engine, &credential);
    }
}

/// Once a revocation is answered, no verification accepts a key that it revoked, however cells,
/// reads, rewritten records and later changes interleave.
#[test]
fn verifications_after_the_answer_are_refused() {
    const ROUNDS: usize = 24;
    let scratch = tempfile::tempdir().unwrap();
    let engine = Engine::open(Options {
        // Too few cells for all keys, so that keys are evicted.
        cache_bytes: 24 << 10,
        ..options(scratch.path())
    });
    let engine = engine.unwrap();
    let rounds: Vec<Vec<_>> = (0..ROUNDS)
        .map(|round| {
            let actor = format!("actor-{round}");
            (0..8).map(|_| made(&engine, &actor, "read")).collect()
        })
        .collect();
    let (ended, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for mode in MODES {
            let (engine, rounds, ended, is_over) = (&engine, &rounds, &ended, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    for (round, keys) in rounds.iter().enumerate() {
                        for (_, credential) in keys {
                            let is_ended = ended.load(Ordering::SeqCst) > round;
                            let verdict = verify(engine, credential, mode).0;
                            let is_refused = verdict == OwnedVerdict::Refused(Refusal::Revoked);
                            assert!(is_refused || !is_ended, "{round} {mode:?}: {verdict:?}");
                        }
                    }
                }
            });
        }
        for (round, keys) in rounds.iter().enumerate() {
            revoke_where(&engine, of_actor(&format!("actor-{round}")));
            ended.store(round + 1, Ordering::SeqCst);
            let changes = talos_model::FieldChanges {
                name: Some("renamed".to_owned()),
                ..talos_model::FieldChanges::default()
            };
            submit(
                &engine,
                Command::Update(talos_model::UpdateKey {
                    tenant: TenantId::SINGLE,
                    key_id: keys[0].0,
                    changes,
                }),
            )
            .expect("an update");
        }
        wait_for_records(&engine);
        is_over.store(true, Ordering::SeqCst);
    });
    assert_eq!(engine.store().live_keys(TenantId::SINGLE), Ok(0));
}
